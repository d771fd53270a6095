//! Tests that every store must pass, also a store of your own.
//!
//! Each clause of the contract on [`LeaseStore`] is a named case. [`conformance!`](crate::conformance!)
//! makes a `#[test]` of each case for one store:
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//! use async_trait::async_trait;
//! use tenure::{LeaseStore, MemoryStore, conformance::{Capabilities, Subject}};
//!
//! struct Memory(MemoryStore);
//!
//! #[async_trait]
//! impl Subject for Memory {
//!     fn capabilities(&self) -> Capabilities {
//!         Capabilities::new(Duration::from_millis(200))
//!     }
//!     async fn client(&self) -> Arc<dyn LeaseStore> {
//!         Arc::new(self.0.clone())
//!     }
//! }
//!
//! mod memory {
//!     tenure::conformance!(super::Memory(tenure::MemoryStore::new()));
//! }
//! # fn main() {}
//! ```
//!
//! Cases that need a [capability](Capabilities) that the store does not have pass without a check.
//! [`not_applicable`] lists them: compare it with the list that you expect in a test of your own.
//!
//! [`Subject::pass`] moves the clock that expiry is judged by. No case can move the wall clock, so those about first
//! tokens, [`touched`](crate::lease::LeaseRecord::touched) and purges wait 20 ms for it. Those about the
//! [stream of changes](LeaseStore::watch) wait up to 5 s for an event.
//!
//! Each run uses new resource names, so you need not clear the store. Attributes before the expression, as in
//! `conformance!(#[ignore = "needs a server"]; Subject)`, apply to each test.

#[cfg(test)]
mod broken;
mod cases;
mod operator;
mod trial;

pub use trial::{Capabilities, Subject};

use std::sync::Arc;

use crate::store::LeaseStore;
use cases::CASES;
use trial::Trial;

/// Calls a macro with the names of all cases. This is the only list of them.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_cases {
    ($emit:ident ! $arguments:tt) => {
        $crate::$emit! { $arguments
            a_free_lease_is_granted_with_a_token
            a_refusal_names_the_holder_and_changes_nothing
            an_unexpired_lease_is_refused_to_other_clients
            a_token_grows_across_release
            a_token_grows_across_expiry
            a_token_grows_across_eviction
            the_same_attempt_gets_its_token_back_and_a_fresh_expiry
            an_expired_attempt_gets_a_new_token
            a_released_attempt_is_never_granted_again
            the_same_candidate_with_another_attempt_is_refused
            a_renewal_gives_a_whole_ttl_again
            a_renewal_with_a_shorter_ttl_shortens_the_lease
            an_expired_lease_is_not_renewed
            a_lease_of_another_token_or_holder_is_not_renewed
            a_lease_that_was_taken_over_is_not_renewed
            only_the_holder_releases_a_lease
            an_unconfirmed_grant_is_released_by_its_attempt
            a_released_record_keeps_its_token_and_metadata
            a_reentrant_bid_takes_the_lease_of_its_candidate_with_a_new_token
            a_reentrant_bid_does_not_take_the_lease_of_another_candidate
            a_reentrant_bid_gives_a_whole_ttl_again
            a_reentrant_bid_is_refused_while_the_lease_is_closing
            a_bid_takes_the_lease_whose_token_it_replaces
            a_bid_replaces_no_other_token
            a_bid_replaces_no_token_of_another_candidate
            a_bid_replaces_no_token_that_is_closing_or_paused
            a_bid_that_replaces_a_token_gives_a_whole_ttl_again
            a_lease_that_was_only_listed_is_taken_over_when_it_has_expired
            a_release_by_owner_needs_no_token
            a_release_by_another_owner_changes_nothing
            one_release_by_owner_ends_all_reentrant_bids_of_the_owner
            a_token_grows_across_a_release_by_owner
            an_attempt_released_by_owner_is_never_granted_again
            a_release_by_owner_clears_an_expired_lease
            a_release_by_owner_creates_no_record
            an_evicted_lease_is_not_renewed
            an_evicted_lease_is_not_acquired_before_it_expires
            a_forced_eviction_frees_the_lease_at_once
            an_eviction_of_another_token_changes_nothing
            other_candidates_wait_for_the_ttl_of_the_holder
            a_resource_that_was_never_acquired_has_no_record
            a_list_holds_the_records_directly_in_its_scope
            names_with_any_allowed_character_stay_distinct
            metadata_of_4096_bytes_is_kept
            the_history_holds_the_last_eight_acquisitions
            renew_many_renews_each_lease
            a_lost_reply_does_not_lose_the_lease
            a_late_retry_of_an_acquire_does_not_undo_its_release
            unknown_fields_are_kept
            a_record_of_a_newer_format_is_not_written
            a_renewed_lease_is_never_taken_over
            an_observation_counts_from_the_reply
            a_write_that_gets_no_answer_fails_within_its_limit
            one_of_32_simultaneous_bids_wins
            one_of_32_simultaneous_bids_wins_a_resource_without_a_record
            the_first_token_is_the_time_of_day
            each_later_token_is_one_more
            a_token_grows_across_a_purge
            a_token_grows_across_a_purge_and_a_pause
            the_history_has_the_reason_of_a_release
            a_release_without_a_reason_notes_none
            the_history_names_an_eviction
            the_ends_of_older_acquisitions_are_kept
            every_write_but_a_renewal_touches_the_record
            a_paused_lease_that_is_free_is_not_acquired
            a_paused_lease_that_has_expired_is_not_taken_over
            a_paused_lease_is_refused_to_the_attempt_that_holds_it
            a_paused_lease_is_refused_to_a_reentrant_bid_of_its_holder
            a_pause_does_not_refuse_an_internal_bid
            a_paused_lease_is_renewed_and_its_holder_is_told
            a_refusal_and_a_read_show_the_pause
            a_pause_holds_for_a_client_that_comes_later
            a_pause_creates_an_absent_record
            a_resumed_lease_is_acquired
            a_pause_stands_until_it_is_resumed
            each_pause_and_resume_raises_the_edition_by_one
            a_late_pause_changes_nothing
            a_late_resume_changes_nothing
            a_resume_of_an_absent_record_makes_no_record
            one_of_many_simultaneous_pauses_applies
            an_edition_grows_across_a_purge
            an_edition_grows_across_a_purge_and_a_pause
            a_renewal_tells_a_hand_over
            the_last_hand_over_stands
            a_hand_over_of_another_token_is_refused
            a_hand_over_of_a_free_lease_is_refused
            a_hand_over_of_an_expired_lease_is_refused
            the_candidate_of_a_hand_over_bids_first
            the_candidate_of_a_hand_over_bids_first_after_expiry
            a_bid_that_has_waited_is_granted_after_a_hand_over
            an_acquisition_clears_the_hand_over
            a_hand_over_leaves_the_lease_to_its_holder
            a_hand_over_and_a_pause_do_not_erase_each_other
            a_pause_wins_over_a_hand_over
            instructions_do_not_prolong_a_lease
            an_internal_record_takes_no_instruction
            a_confirmed_pause_stops_bids_that_are_on_their_way
            a_purge_deletes_released_records_and_counts_them
            a_purge_spares_records_that_are_held_paused_or_internal
            a_purge_spares_records_that_were_touched_lately
            a_purge_spares_other_scopes
            a_purge_deletes_an_expired_record_unless_the_store_observes
            a_purge_that_races_with_bids_deletes_no_held_record
            renew_many_gives_each_lease_a_whole_ttl_again
            renew_many_tells_each_instruction
            renew_many_answers_for_each_copy_of_a_lease
            renew_many_of_no_lease_has_no_result
            a_watch_is_never_silent
            a_watch_tells_an_acquisition
            a_watch_tells_a_release_that_is_visible_by_then
            a_watch_tells_an_eviction
            a_watch_tells_instructions
            a_watch_tells_a_renewal_with_a_shorter_ttl
            a_register_that_was_never_written_is_absent
            the_version_of_a_register_begins_at_1_and_grows_by_1
            a_put_on_another_version_changes_nothing_and_shows_the_register
            a_repeated_put_conflicts_with_its_own_value
            one_of_32_simultaneous_puts_wins
            get_many_has_the_registers_directly_in_the_scope
            a_register_and_a_lease_may_have_one_name
            a_register_keeps_any_text_of_65536_bytes
            names_of_registers_stay_distinct
            a_put_that_gets_no_answer_fails_within_its_limit
            a_watch_tells_a_put_that_is_visible_by_then
        }
    };
}

/// Makes a `#[test]` of each case for one [`Subject`], in the current module.
#[macro_export]
macro_rules! conformance {
    ($(#[$attribute:meta])+; $subject:expr) => {
        $crate::__conformance_cases! { __conformance_tests!(($(#[$attribute])+) ($subject)) }
    };
    ($subject:expr) => {
        $crate::__conformance_cases! { __conformance_tests!(() ($subject)) }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_tests {
    (($attributes:tt $subject:tt) $($case:ident)*) => {
        $($crate::__conformance_test! { $attributes $subject $case })*
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_test {
    (($($attributes:tt)*) ($subject:expr) $case:ident) => {
        #[test]
        $($attributes)*
        fn $case() {
            $crate::conformance::run(stringify!($case), $subject);
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_table {
    (() $($case:ident)*) => {
        /// Each case and its name.
        pub(super) const CASES: &[(&str, Case)] = &[
            $((stringify!($case), |trial| Box::pin($case(trial))),)*
        ];
    };
}

type IsMet = fn(&Capabilities) -> bool;

/// The cases that need a capability, and the capability.
const NEEDS: &[(&str, IsMet)] = &[
    ("unknown_fields_are_kept", |has| has.can_edit_records),
    ("a_record_of_a_newer_format_is_not_written", |has| {
        has.can_edit_records
    }),
    (
        "a_write_that_gets_no_answer_fails_within_its_limit",
        |has| has.can_stall,
    ),
    ("a_hand_over_of_an_expired_lease_is_refused", |has| {
        !has.observed
    }),
    ("a_watch_is_never_silent", |has| has.can_watch),
    ("a_watch_tells_an_acquisition", |has| {
        has.can_watch && has.watch_tells_acquisitions
    }),
    ("a_watch_tells_a_release_that_is_visible_by_then", |has| {
        has.can_watch
    }),
    ("a_watch_tells_an_eviction", |has| has.can_watch),
    ("a_watch_tells_instructions", |has| has.can_watch),
    ("a_watch_tells_a_renewal_with_a_shorter_ttl", |has| {
        has.can_watch
    }),
    ("a_register_that_was_never_written_is_absent", |has| {
        has.registers
    }),
    (
        "the_version_of_a_register_begins_at_1_and_grows_by_1",
        |has| has.registers,
    ),
    (
        "a_put_on_another_version_changes_nothing_and_shows_the_register",
        |has| has.registers,
    ),
    ("a_repeated_put_conflicts_with_its_own_value", |has| {
        has.registers
    }),
    ("one_of_32_simultaneous_puts_wins", |has| has.registers),
    ("get_many_has_the_registers_directly_in_the_scope", |has| {
        has.registers
    }),
    ("a_register_and_a_lease_may_have_one_name", |has| {
        has.registers
    }),
    ("a_register_keeps_any_text_of_65536_bytes", |has| {
        has.registers
    }),
    ("names_of_registers_stay_distinct", |has| has.registers),
    ("a_put_that_gets_no_answer_fails_within_its_limit", |has| {
        has.registers && has.can_stall
    }),
    ("a_watch_tells_a_put_that_is_visible_by_then", |has| {
        has.registers && has.can_watch
    }),
];

/// The cases that check nothing for a store with these capabilities.
#[must_use]
pub fn not_applicable(capabilities: &Capabilities) -> Vec<&'static str> {
    let unmet = NEEDS.iter().filter(|(_, is_met)| !is_met(capabilities));
    unmet.map(|(case, _)| *case).collect()
}

/// Runs one case by its name, on a new tokio runtime. If the case is [not applicable](not_applicable), prints that
/// and returns.
///
/// # Panics
/// If the store violates the case, or there is no case of this name.
#[allow(clippy::print_stdout, reason = "the test harness shows it")]
pub fn run(case: &str, subject: impl Subject) {
    if not_applicable(&subject.capabilities()).contains(&case) {
        println!("{case}: not applicable, because the subject lacks a capability");
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .expect("threads for a runtime");
    let (name, run) = CASES
        .iter()
        .find(|(name, _)| *name == case)
        .expect("a case of this name");
    runtime.block_on(async {
        let trial = Trial::new(name, Arc::new(subject)).await;
        run(&trial).await;
    });
}

#[cfg(test)]
mod tests;
