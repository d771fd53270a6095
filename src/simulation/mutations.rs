//! Checks that the simulation can fail: each fault that is switched on must violate one of its properties, on
//! a seed that passes without it.

use std::{
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    thread,
};

use super::{
    plan::{Clocks, Plan},
    properties::Property::{self, *},
    run,
};
use crate::mutants::{
    Mutant::{self, *},
    with,
};

/// Each fault, the properties that must find it, and the rule of the design that it breaks; ◆ marks rules
/// that a model search has found.
const MUTANTS: &[(Mutant, &[Property], &str)] = &[
    (DeadlineFromReply, &[Exclusion], "1"),
    (
        NoMargin,
        &[Exclusion],
        "the margin covers what clocks differ by",
    ),
    (DeadlineWaitsForRenewal, &[EndToldOnTime], "2 ◆"),
    (
        AttemptBidAgain,
        &[Tokens, Exclusion],
        "3 ◆: an attempt is never bid again",
    ),
    (
        AttemptFromGenerator,
        &[Tokens, Exclusion],
        "14 ◆: attempts from the operating system",
    ),
    (
        LateGrantTaken,
        &[Tokens, Exclusion],
        "3 ◆: a late grant is released",
    ),
    (
        LateGrantOfLedTokenReleased,
        &[Acknowledged],
        "3 ◆: a late grant of what was led changes nothing",
    ),
    (GrantWithinMarginTaken, &[EnoughTimeLeft], "4"),
    (TokenNotRaised, &[Tokens], "5"),
    (UnknownTakenForGrant, &[Exclusion, Tokens], "6"),
    (ReleasedBeforeAcknowledgement, &[Acknowledged], "7"),
    (LeaderToldBeforeAcknowledgement, &[Acknowledged], "8 ◆"),
    (EarlyAcknowledgementCounts, &[Acknowledged], "8"),
    (ReleasedThoughSubscriberDied, &[Acknowledged], "8"),
    (MaxHoldIgnored, &[Deadline], "a longest hold ends"),
    (MinHoldIgnored, &[MinHold], "min_hold is kept"),
    (
        GrantTakenWhilePaused,
        &[NotWhilePaused],
        "§4: Idle does not contend",
    ),
    (
        AttemptKeptWhilePaused,
        &[ReleasedWhenUnneeded],
        "11: what may have been granted is released",
    ),
    (FailedRenewalEndsTerm, &[SurvivesOutages], "10"),
    (
        NoRoomForSlowRenewals,
        &[SurvivesOutages],
        "§4: renew_every + margin + call_timeout ≤ ttl",
    ),
    (
        SecondSlowRenewalIgnored,
        &[SurvivesOutages],
        "§4: margin + 2 · call_timeout ≤ ttl",
    ),
    (
        ExpiredDeadlineExtended,
        &[Final, Exclusion],
        "§5 ◆: it never comes back to life",
    ),
    (
        ReleasedWhileCurrent,
        &[Exclusion],
        "§5 ◆: killed before a release is sent",
    ),
    (
        ObservationFromRequest,
        &[Exclusion],
        "§5 ◆: from the arrival of the reply",
    ),
    (
        ObservationByOwnTtl,
        &[Exclusion],
        "§7: challengers judge by the holder's own ttl",
    ),
    (
        VersionKeptByRenewal,
        &[Exclusion],
        "§5 ◆: increased with every write",
    ),
    (
        TakeoverUnconditional,
        &[Exclusion],
        "§5: conditional on both being unchanged",
    ),
    (
        ExpiredAttemptKeepsToken,
        &[Tokens, Exclusion],
        "§7 ◆: an expired attempt gets no token back",
    ),
    (
        OwnAttemptNotWritten,
        &[Exclusion],
        "§7 ◆: one's own attempt is a cue to write",
    ),
    (
        EvictionFreesAtOnce,
        &[Exclusion],
        "§7 ◆: no candidate acquires before the expiry",
    ),
    (NewerRecordWritten, &[NewerRecords], "§7 ◆: min_reader"),
    (HeldLeaseGranted, &[Exclusion], "§7"),
    (ReleaseWithoutOwnerCheck, &[Exclusion], "§7"),
    (ReleaseResetsToken, &[Tokens, Exclusion], "§7"),
    (
        InstructionObeyedBeforeAcknowledgement,
        &[Acknowledged],
        "15: subscribers stop and acknowledge first",
    ),
    (
        PauseIgnoredByAcquire,
        &[PauseHolds],
        "§7 ◆: every write that takes a lease asks for not paused",
    ),
    (
        TakeoverSkipsPause,
        &[PauseHolds],
        "§7 ◆: takeovers of observed leases, too",
    ),
    (
        EditionIgnored,
        &[PauseHolds, Liveness],
        "§7 ◆: a late copy changes nothing",
    ),
    (
        HandOverErasesPause,
        &[PauseHolds],
        "§7 ◆: a hand-over never erases a pause",
    ),
    (
        FirstTokenOne,
        &[Tokens, Exclusion],
        "§7 ◆: a deleted record comes back with a greater token",
    ),
    (
        PauseBeginsAtZero,
        &[Tokens, Exclusion],
        "§7 ◆: the first write of a record, a pause too",
    ),
    (
        AcquiredEventTrustedTooLong,
        &[Liveness],
        "§7: a lost event costs no more than a crash of the leader",
    ),
    (StoreLostCalledExpired, &[Reasons], "the reasons"),
    (EvictedCalledDeposed, &[Reasons], "the reasons"),
    (NoBackoff, &[Rate], "the rate"),
    (NoBackoffOfRenewals, &[Rate], "the rate"),
    (StaleTokenWritten, &[StaleWrites], "the token guard"),
];

/// The first seed whose first violation is of one of these properties. In other seeds the fault may violate
/// others first.
fn catch(mutant: Mutant, properties: &[Property]) -> Option<(u64, Property)> {
    const SEEDS: u64 = 20_000;
    (0..SEEDS).find_map(|seed| {
        let plan = || Plan::new(seed, Clocks::WithinMargin);
        // Some faults change how plans are made.
        let violation = with(Some(mutant), || run(&plan(), Clocks::WithinMargin).err())?;
        if !properties.contains(&violation.property) {
            return None;
        }
        let sound = run(&plan(), Clocks::WithinMargin).err();
        assert_eq!(sound, None, "{mutant:?} is not what fails seed {seed}");
        Some((seed, violation.property))
    })
}

/// Checks that all mutants are caught, and prints the number of seeds that each took.
pub(super) fn catch_all(
    mutants: &[(Mutant, &[Property], &str)],
    catch: impl Fn(Mutant, &[Property]) -> Option<(u64, Property)> + Sync,
) {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut missed = Vec::new();
        while let Some((mutant, properties, rule)) = mutants.get(next.fetch_add(1, SeqCst)) {
            match catch(*mutant, properties) {
                Some((seed, property)) => {
                    eprintln!("{:6} seeds  {mutant:?}: {property:?} ({rule})", seed + 1);
                }
                None => missed.push(*mutant),
            }
        }
        missed
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let missed: Vec<_> = thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let missed = running.into_iter().map(std::thread::ScopedJoinHandle::join);
        missed
            .flat_map(|missed| missed.expect("no panic"))
            .collect()
    });
    assert!(missed.is_empty(), "not caught: {missed:?}");
}

#[test]
#[cfg_attr(
    debug_assertions,
    ignore = "takes a minute in a debug build: cargo test --release"
)]
fn every_mutant_violates_one_of_its_properties() {
    catch_all(MUTANTS, catch);
}
