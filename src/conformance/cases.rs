//! The cases: one for each clause of the contract.

mod acquire;
mod evict;
mod lost_replies;
mod races;
mod records;
mod release;
mod renew;
mod shared_owner;

use futures::future::BoxFuture;

use super::trial::Trial;
use acquire::{
    a_free_lease_is_granted_with_a_token, a_refusal_names_the_holder_and_changes_nothing,
    a_released_attempt_is_never_granted_again, a_token_grows_across_eviction,
    a_token_grows_across_expiry, a_token_grows_across_release, an_expired_attempt_gets_a_new_token,
    an_unexpired_lease_is_refused_to_other_clients,
    other_candidates_wait_for_the_ttl_of_the_holder,
    the_same_attempt_gets_its_token_back_and_a_fresh_expiry,
    the_same_candidate_with_another_attempt_is_refused,
};
use evict::{
    a_forced_eviction_frees_the_lease_at_once, an_evicted_lease_is_not_acquired_before_it_expires,
    an_evicted_lease_is_not_renewed, an_eviction_of_another_token_changes_nothing,
};
use lost_replies::{
    a_late_retry_of_an_acquire_does_not_undo_its_release, a_lost_reply_does_not_lose_the_lease,
    a_write_that_gets_no_answer_fails_within_its_limit,
};
use races::{
    a_renewed_lease_is_never_taken_over, an_observation_counts_from_the_reply,
    one_of_32_simultaneous_bids_wins, one_of_32_simultaneous_bids_wins_a_resource_without_a_record,
};
use records::{
    a_list_holds_the_records_directly_in_its_scope, a_record_of_a_newer_format_is_not_written,
    a_resource_that_was_never_acquired_has_no_record, metadata_of_4096_bytes_is_kept,
    names_with_any_allowed_character_stay_distinct, the_history_holds_the_last_eight_acquisitions,
    unknown_fields_are_kept,
};
use release::{
    a_released_record_keeps_its_token_and_metadata,
    an_unconfirmed_grant_is_released_by_its_attempt, only_the_holder_releases_a_lease,
};
use renew::{
    a_lease_of_another_token_or_holder_is_not_renewed, a_lease_that_was_taken_over_is_not_renewed,
    a_renewal_gives_a_whole_ttl_again, a_renewal_with_a_shorter_ttl_shortens_the_lease,
    an_expired_lease_is_not_renewed, renew_many_renews_each_lease,
};
use shared_owner::{
    a_reentrant_bid_does_not_take_the_lease_of_another_candidate,
    a_reentrant_bid_gives_a_whole_ttl_again, a_reentrant_bid_is_refused_while_the_lease_is_closing,
    a_reentrant_bid_takes_the_lease_of_its_candidate_with_a_new_token,
    a_release_by_another_owner_changes_nothing, a_release_by_owner_clears_an_expired_lease,
    a_release_by_owner_creates_no_record, a_release_by_owner_needs_no_token,
    a_token_grows_across_a_release_by_owner, an_attempt_released_by_owner_is_never_granted_again,
    one_release_by_owner_ends_all_reentrant_bids_of_the_owner,
};

type Case = for<'a> fn(&'a Trial) -> BoxFuture<'a, ()>;

crate::__conformance_cases! { __conformance_table!() }
