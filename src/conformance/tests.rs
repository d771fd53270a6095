mod instructions;
mod registers;
mod replaced;

use std::{collections::BTreeSet, panic, time::Duration};

use super::{
    CASES, Capabilities, NEEDS, Subject as _,
    broken::{Broken, Fault},
    not_applicable, run,
};

/// Each fault, and the case that must fail for it.
const CAUGHT_BY: &[(Fault, &str)] = &[
    (Fault::NoCompareAndSet, "one_of_32_simultaneous_bids_wins"),
    (
        Fault::NoCompareAndSetOnFreeKeys,
        "one_of_32_simultaneous_bids_wins_a_resource_without_a_record",
    ),
    (Fault::TokenResetOnRelease, "a_token_grows_across_release"),
    (Fault::TokenKeptOnExpiry, "a_token_grows_across_expiry"),
    (
        Fault::ReleaseWithoutOwnerCheck,
        "only_the_holder_releases_a_lease",
    ),
    (
        Fault::ReleaseByAnyAttempt,
        "an_unconfirmed_grant_is_released_by_its_attempt",
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
    (
        Fault::ReleasedAttemptGranted,
        "a_released_attempt_is_never_granted_again",
    ),
    (
        Fault::ReleasedAttemptGranted,
        "a_late_retry_of_an_acquire_does_not_undo_its_release",
    ),
    (
        Fault::EveryBidIsReentrant,
        "the_same_candidate_with_another_attempt_is_refused",
    ),
    (
        Fault::ReentrantBidRefused,
        "a_reentrant_bid_takes_the_lease_of_its_candidate_with_a_new_token",
    ),
    (
        Fault::TokenKeptOnExpiry,
        "a_reentrant_bid_takes_the_lease_of_its_candidate_with_a_new_token",
    ),
    (
        Fault::ReentrantBidTakesFromAnybody,
        "a_reentrant_bid_does_not_take_the_lease_of_another_candidate",
    ),
    (
        Fault::ReentrantBidKeepsTheExpiry,
        "a_reentrant_bid_gives_a_whole_ttl_again",
    ),
    (
        Fault::ReentrantBidTakesAClosingLease,
        "a_reentrant_bid_is_refused_while_the_lease_is_closing",
    ),
    (
        Fault::ReleaseByOwnerRefused,
        "a_release_by_owner_needs_no_token",
    ),
    (
        Fault::ReleaseByAnyOwner,
        "a_release_by_another_owner_changes_nothing",
    ),
    (
        Fault::ReleaseByOwnerUndoesOneBid,
        "one_release_by_owner_ends_all_reentrant_bids_of_the_owner",
    ),
    (
        Fault::TokenResetOnReleaseByOwner,
        "a_token_grows_across_a_release_by_owner",
    ),
    (
        Fault::ReleaseByOwnerForgetsTheAttempt,
        "an_attempt_released_by_owner_is_never_granted_again",
    ),
    (
        Fault::ReleaseByOwnerChecksTheExpiry,
        "a_release_by_owner_clears_an_expired_lease",
    ),
    (
        Fault::ReleaseByOwnerMakesARecord,
        "a_release_by_owner_creates_no_record",
    ),
    (
        Fault::ExpiredLeaseRenewed,
        "an_expired_lease_is_not_renewed",
    ),
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
        "an_evicted_lease_is_not_acquired_before_it_expires",
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
        Fault::ExpiryByTheBiddersTtl,
        "other_candidates_wait_for_the_ttl_of_the_holder",
    ),
    (
        Fault::RefusalWrites,
        "a_refusal_names_the_holder_and_changes_nothing",
    ),
    (
        Fault::NamesLowercased,
        "names_with_any_allowed_character_stay_distinct",
    ),
    (
        Fault::ListIncludesSubscopes,
        "a_list_holds_the_records_directly_in_its_scope",
    ),
    (Fault::MetadataTruncated, "metadata_of_4096_bytes_is_kept"),
    (
        Fault::HistoryForgotten,
        "the_history_holds_the_last_eight_acquisitions",
    ),
    (
        Fault::ObservationFromTheRequest,
        "an_observation_counts_from_the_reply",
    ),
    (
        Fault::LimitIgnored,
        "a_write_that_gets_no_answer_fails_within_its_limit",
    ),
    (
        Fault::VersionSetByTheClient,
        "a_renewed_lease_is_never_taken_over",
    ),
    (
        Fault::FirstTokenIsZero,
        "a_free_lease_is_granted_with_a_token",
    ),
    (
        Fault::TokenKeptAfterEviction,
        "a_token_grows_across_eviction",
    ),
    (
        Fault::RenewalByAnybody,
        "a_lease_that_was_taken_over_is_not_renewed",
    ),
    (
        Fault::ReleaseDropsTheMetadata,
        "a_released_record_keeps_its_token_and_metadata",
    ),
    (
        Fault::ForcedEvictionCloses,
        "a_forced_eviction_frees_the_lease_at_once",
    ),
    (
        Fault::RenewalMakesARecord,
        "a_resource_that_was_never_acquired_has_no_record",
    ),
    (Fault::RenewManyStopsAtALoss, "renew_many_renews_each_lease"),
    (
        Fault::RenewManyReversesItsAnswers,
        "renew_many_renews_each_lease",
    ),
    (
        Fault::RepeatedAttemptRefused,
        "a_lost_reply_does_not_lose_the_lease",
    ),
    (Fault::UnknownFieldsDropped, "unknown_fields_are_kept"),
    (
        Fault::NewerFormatWritten,
        "a_record_of_a_newer_format_is_not_written",
    ),
    (
        Fault::BidLimitIgnored,
        "a_write_that_gets_no_answer_fails_within_its_limit",
    ),
    (
        Fault::UnansweredWriteIsDenied,
        "a_write_that_gets_no_answer_fails_within_its_limit",
    ),
    (
        Fault::UnansweredBidApplied,
        "a_write_that_gets_no_answer_fails_within_its_limit",
    ),
    (Fault::FirstTokenIsOne, "the_first_token_is_the_time_of_day"),
    (
        Fault::EveryTokenIsTheTimeOfDay,
        "each_later_token_is_one_more",
    ),
    (Fault::FirstTokenIsOne, "a_token_grows_across_a_purge"),
    (Fault::FirstEditionIsOne, "an_edition_grows_across_a_purge"),
    (
        Fault::FirstEditionOfAPauseIsOne,
        "an_edition_grows_across_a_purge_and_a_pause",
    ),
    (
        Fault::FirstTokenOfAPauseIsOne,
        "a_token_grows_across_a_purge_and_a_pause",
    ),
    (
        Fault::ReleaseNotesNoReason,
        "the_history_has_the_reason_of_a_release",
    ),
    (
        Fault::ReasonOnlyOfALease,
        "the_history_has_the_reason_of_a_release",
    ),
    (
        Fault::EveryReleaseNotesAReason,
        "a_release_without_a_reason_notes_none",
    ),
    (Fault::EvictionNotNoted, "the_history_names_an_eviction"),
    (
        Fault::EndsOfOlderAcquisitionsForgotten,
        "the_ends_of_older_acquisitions_are_kept",
    ),
    (
        Fault::AcquisitionDoesNotTouch,
        "every_write_but_a_renewal_touches_the_record",
    ),
    (
        Fault::ReleaseDoesNotTouch,
        "every_write_but_a_renewal_touches_the_record",
    ),
    (
        Fault::EvictionDoesNotTouch,
        "every_write_but_a_renewal_touches_the_record",
    ),
    (
        Fault::InstructionDoesNotTouch,
        "every_write_but_a_renewal_touches_the_record",
    ),
    (
        Fault::RenewalTouches,
        "every_write_but_a_renewal_touches_the_record",
    ),
    (
        Fault::RenewManyExtendsTheFirstOnly,
        "renew_many_gives_each_lease_a_whole_ttl_again",
    ),
    (
        Fault::RenewManyDropsInstructions,
        "renew_many_tells_each_instruction",
    ),
    (
        Fault::RenewManyRefusesDuplicates,
        "renew_many_answers_for_each_copy_of_a_lease",
    ),
    (
        Fault::RenewManyJudgesByTheName,
        "renew_many_answers_for_each_copy_of_a_lease",
    ),
    (
        Fault::RenewManyAnswersAnEmptyBatch,
        "renew_many_of_no_lease_has_no_result",
    ),
    (Fault::WatchIsSilent, "a_watch_is_never_silent"),
    (
        Fault::WatchMissesAcquisitions,
        "a_watch_tells_an_acquisition",
    ),
    (
        Fault::WatchMissesReleases,
        "a_watch_tells_a_release_that_is_visible_by_then",
    ),
    (
        Fault::WatchTellsOwnChangesOnly,
        "a_watch_tells_a_release_that_is_visible_by_then",
    ),
    (
        Fault::WatchTellsTooEarly,
        "a_watch_tells_a_release_that_is_visible_by_then",
    ),
    (Fault::WatchMissesEvictions, "a_watch_tells_an_eviction"),
    (Fault::WatchMissesInstructions, "a_watch_tells_instructions"),
    (
        Fault::WatchMissesShorterRenewals,
        "a_watch_tells_a_renewal_with_a_shorter_ttl",
    ),
];

fn passes(case: &str, fault: Option<Fault>) -> bool {
    panic::catch_unwind(|| run(case, Broken::new(fault))).is_ok()
}

/// All tables.
fn caught_by() -> impl Iterator<Item = &'static (Fault, &'static str)> {
    let all = CAUGHT_BY.iter().chain(instructions::CAUGHT_BY);
    all.chain(registers::CAUGHT_BY).chain(replaced::CAUGHT_BY)
}

/// Without this, a wrong name would pass as a case that fails.
#[test]
fn every_case_and_every_fault_is_in_the_table_and_has_its_name() {
    let cases: BTreeSet<_> = CASES.iter().map(|(name, _)| *name).collect();
    let caught: BTreeSet<_> = caught_by().map(|(_, case)| *case).collect();
    assert_eq!(caught, cases);
    let in_table = |fault: &Fault| caught_by().any(|(listed, _)| listed == fault);
    let missing: Vec<_> = Fault::ALL.iter().filter(|fault| !in_table(fault)).collect();
    assert!(missing.is_empty(), "no case for {missing:?}");
    for (name, _) in NEEDS {
        assert!(cases.contains(name), "{name}");
    }
}

#[test]
fn cases_without_their_capability_are_not_applicable() {
    let mut capabilities = Capabilities::new(Duration::from_secs(1));
    let names = |met: &[&str]| -> Vec<_> {
        let names = NEEDS.iter().map(|(name, _)| *name);
        names.filter(|name| !met.contains(name)).collect()
    };
    let by_clock = "a_hand_over_of_an_expired_lease_is_refused";
    assert_eq!(not_applicable(&capabilities), names(&[by_clock]));
    capabilities.can_edit_records = true;
    let edits = [
        "unknown_fields_are_kept",
        "a_record_of_a_newer_format_is_not_written",
    ];
    assert_eq!(
        not_applicable(&capabilities),
        names(&[by_clock, edits[0], edits[1]])
    );
    capabilities.can_stall = true;
    capabilities.can_watch = true;
    let of_registers = registers::CAUGHT_BY.iter().map(|(_, case)| *case);
    let without: BTreeSet<_> = not_applicable(&capabilities).into_iter().collect();
    assert!(of_registers.collect::<BTreeSet<_>>().is_subset(&without));
    capabilities.registers = true;
    assert_eq!(
        not_applicable(&capabilities),
        ["a_watch_tells_an_acquisition"]
    );
    capabilities.watch_tells_acquisitions = true;
    assert_eq!(not_applicable(&capabilities), [""; 0]);
    capabilities.observed = true;
    assert_eq!(not_applicable(&capabilities), [by_clock]);
    let broken = Broken::new(None).capabilities();
    assert_eq!(not_applicable(&broken), [""; 0]);
}

#[test]
fn the_named_case_fails_for_each_broken_store() {
    let escaped: Vec<_> = caught_by()
        .filter(|(fault, case)| passes(case, Some(*fault)))
        .collect();
    assert!(escaped.is_empty(), "not caught: {escaped:?}");
}

#[test]
fn the_store_without_a_fault_passes_every_case() {
    for (case, _) in CASES {
        assert!(passes(case, None), "{case}");
    }
}

#[test]
fn the_names_of_the_cases_are_unique() {
    let names: BTreeSet<_> = CASES.iter().map(|(name, _)| *name).collect();
    assert_eq!(names.len(), CASES.len());
}
