use std::{collections::BTreeSet, panic};

use super::{
    CASES,
    broken::{Broken, Fault},
    run,
};

/// Each way to be broken, and the case that must say so.
const CAUGHT_BY: &[(Fault, &str)] = &[
    (
        Fault::NoCompareAndSet,
        "one_of_32_bidders_wins_in_every_round",
    ),
    (
        Fault::NoCompareAndSetOnFreeKeys,
        "one_of_many_bidders_wins_each_of_60_free_keys",
    ),
    (Fault::TokenResetOnRelease, "a_token_grows_across_release"),
    (Fault::TokenKeptOnExpiry, "a_token_grows_across_expiry"),
    (
        Fault::ReleaseWithoutOwnerCheck,
        "a_lease_is_released_by_its_holder_only",
    ),
    (
        Fault::ReleaseByAnyAttempt,
        "a_grant_never_confirmed_is_released_by_its_attempt",
    ),
    (
        Fault::ExpiryByTheCallersClock,
        "an_unexpired_lease_is_refused_to_other_clients",
    ),
    (
        Fault::SameAttemptWithoutWrite,
        "the_same_attempt_gets_its_token_back_and_a_fresh_expiry",
    ),
    (
        Fault::ExpiredAttemptGetsItsTokenBack,
        "an_expired_attempt_gets_a_new_token",
    ),
    (Fault::SpentAttemptGranted, "a_released_attempt_is_spent"),
    (
        Fault::SpentAttemptGranted,
        "a_release_racing_the_retry_of_its_own_acquire_wins",
    ),
    (
        Fault::OwnerEntersAgain,
        "the_same_candidate_with_another_attempt_is_refused",
    ),
    (
        Fault::ReentrantBidRefused,
        "a_reentrant_bid_takes_its_own_lease_with_a_new_token",
    ),
    (
        Fault::TokenKeptOnExpiry,
        "a_reentrant_bid_takes_its_own_lease_with_a_new_token",
    ),
    (
        Fault::ReentrantBidTakesFromAnybody,
        "a_reentrant_bid_takes_the_lease_of_nobody_else",
    ),
    (
        Fault::ReentrantBidKeepsTheExpiry,
        "a_reentrant_bid_gives_a_whole_ttl_again",
    ),
    (
        Fault::ReentrantBidTakesWhatIsClosing,
        "a_reentrant_bid_is_refused_while_the_lease_is_closing",
    ),
    (
        Fault::ReleaseByOwnerRefused,
        "an_owner_releases_what_another_of_its_locks_has_taken",
    ),
    (
        Fault::ReleaseByAnyOwner,
        "a_release_by_another_owner_changes_nothing",
    ),
    (
        Fault::ReleaseByOwnerUndoesOneBid,
        "one_release_by_the_owner_undoes_all_its_reentrant_bids",
    ),
    (
        Fault::TokenResetOnReleaseByOwner,
        "a_token_grows_across_releases_by_the_owner",
    ),
    (
        Fault::ReleaseByOwnerForgetsTheAttempt,
        "an_attempt_that_its_owner_has_released_is_spent",
    ),
    (
        Fault::ReleaseByOwnerChecksTheExpiry,
        "an_owner_releases_what_has_run_out",
    ),
    (
        Fault::ReleaseByOwnerMakesARecord,
        "a_release_by_the_owner_of_what_was_never_led_makes_no_record",
    ),
    (Fault::LapsedLeaseRenewed, "a_lapsed_lease_is_not_renewed"),
    (
        Fault::RenewalWithoutTokenCheck,
        "a_lease_of_another_token_or_holder_is_not_renewed",
    ),
    (
        Fault::RenewalDoesNotExtend,
        "a_renewal_gives_a_whole_ttl_again",
    ),
    (
        Fault::RenewalNeverShortens,
        "a_renewal_with_a_shorter_ttl_shortens_the_lease",
    ),
    (
        Fault::RenewalKeepsTheTtl,
        "a_renewal_with_a_shorter_ttl_shortens_the_lease",
    ),
    (
        Fault::EvictionFreesAtOnce,
        "an_evicted_lease_is_not_acquired_before_its_expiry",
    ),
    (
        Fault::EvictedLeaseRenewed,
        "an_evicted_lease_is_not_renewed",
    ),
    (
        Fault::EvictionWithoutTokenCheck,
        "an_eviction_of_another_token_changes_nothing",
    ),
    (
        Fault::JudgedByTheChallengersTtl,
        "challengers_judge_by_the_ttl_of_the_holder",
    ),
    (
        Fault::RefusalWrites,
        "a_refusal_names_the_holder_and_changes_nothing",
    ),
    (
        Fault::NamesFolded,
        "names_of_every_allowed_character_are_kept_apart",
    ),
    (
        Fault::ListsWhatLiesDeeper,
        "a_list_holds_what_lies_directly_in_its_scope",
    ),
    (Fault::MetadataCut, "metadata_of_4_kib_is_kept"),
    (
        Fault::HistoryForgotten,
        "the_history_holds_the_last_acquisitions",
    ),
    (
        Fault::ObservationFromTheRequest,
        "an_observation_counts_from_the_arrival_of_the_reply",
    ),
    (
        Fault::LimitIgnored,
        "a_write_that_cannot_be_answered_is_an_error_within_its_limit",
    ),
    (
        Fault::VersionOfTheClient,
        "a_lease_that_is_renewed_is_never_taken_over",
    ),
];

fn passes(case: &str, fault: Option<Fault>) -> bool {
    panic::catch_unwind(|| run(case, Broken::new(fault))).is_ok()
}

#[test]
fn each_broken_store_is_caught_by_the_case_that_names_its_fault() {
    let escaped: Vec<_> = CAUGHT_BY
        .iter()
        .filter(|(fault, case)| passes(case, Some(*fault)))
        .collect();
    assert!(escaped.is_empty(), "not caught: {escaped:?}");
}

#[test]
fn the_same_store_without_a_fault_passes_every_case() {
    for (case, _) in CASES {
        assert!(passes(case, None), "{case}");
    }
}

#[test]
fn every_case_has_a_name_of_its_own() {
    let names: BTreeSet<_> = CASES.iter().map(|(name, _)| *name).collect();
    assert_eq!(names.len(), CASES.len());
}
