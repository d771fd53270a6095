//! Checks that this layer can fail: each fault of the driver must violate one of its properties, on a seed that
//! passes without it. The first layer covers most faults of elections and stores.

use super::{plan::Plan, run};
use crate::{
    mutants::{
        Mutant::{self, *},
        with,
    },
    simulation::{
        mutations::catch_all,
        properties::Property::{self, *},
    },
};

/// Each fault, the properties that must find it, and the rule of the design that it breaks.
const MUTANTS: &[(Mutant, &[Property], &str)] = &[
    (
        AnyAcknowledgementCounts,
        &[Acknowledged],
        "§6: acknowledged means the replies to both messages",
    ),
    (NewestAcknowledges, &[Acknowledged], "8: by everybody"),
    (
        AcknowledgedBeforeAllTold,
        &[Acknowledged],
        "13 ◆: nothing is left to deliver",
    ),
    (
        LeaderToldBeforeOwnAcknowledgement,
        &[Acknowledged],
        "8 ◆: its own last one",
    ),
    (RestartForgetsDeliveries, &[Messages], "§6: the facts stay"),
    (
        RestartForgetsUnacknowledged,
        &[Acknowledged],
        "§6: pending acknowledgements live outside the context",
    ),
    (
        RestartForgetsReplies,
        &[Liveness],
        "§6: pending answers live outside the context",
    ),
    (
        DeadSubscriberCountsAsAcknowledged,
        &[Acknowledged],
        "8: has not acknowledged",
    ),
    (
        RestartedSubscriberCountsAsAcknowledged,
        &[Acknowledged],
        "8: work that it spawned may run on",
    ),
    (
        UncleanTermNotReset,
        &[ReleasedWhenUnneeded],
        "7: released if all of its own term have acknowledged",
    ),
    (
        UnsubscribedNotAwaited,
        &[Acknowledged],
        "§6: acknowledged means the replies to both messages",
    ),
    (
        TimerNotRearmed,
        &[EndToldOnTime, Liveness],
        "2: a restart delays nothing",
    ),
    (SentTimeFromReply, &[Deadline, Exclusion], "1"),
    (ErrorTakenForRenewal, &[Deadline, Exclusion], "6, 10"),
    (PanicNotCaught, &[NoPanic], "§6: a panic is an error"),
    (ExpiredCalledStoreLost, &[Reasons], "the reasons: a freeze"),
    (
        LateReplyTakenForPrompt,
        &[EnoughTimeLeft, Deadline, Exclusion],
        "2: every input checks the deadline before anything else",
    ),
    (NewerRecordWritten, &[NewerRecords], "§7 ◆: min_reader"),
    (OwnGrantNotObserved, &[ObserversKnow], "§6: observers"),
    (ReadReportedAsChange, &[Order], "§6: LeaderChanged"),
    (EndReportedLate, &[Order], "§8: events out of order"),
];

/// The first seed whose first violation is of one of these properties. In other seeds the fault may violate
/// others first.
fn catch(mutant: Mutant, properties: &[Property]) -> Option<(u64, Property)> {
    const SEEDS: u64 = 1_000;
    (0..SEEDS).find_map(|seed| {
        let plan = Plan::new(seed);
        let violation = with(Some(mutant), || run(&plan, false).outcome.err())?;
        if !properties.contains(&violation.property) {
            return None;
        }
        let sound = run(&plan, false).outcome.err();
        assert_eq!(sound, None, "{mutant:?} is not what fails seed {seed}");
        Some((seed, violation.property))
    })
}

#[test]
fn every_driver_mutant_violates_one_of_its_properties() {
    catch_all(MUTANTS, catch);
}
