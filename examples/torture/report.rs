//! The table at the end.

use std::{fmt::Write as _, fs, io, path::Path, time::Duration};

use crate::{
    checker::Verdict,
    disturbances::Disturbance,
    history::History,
    torture::{Tally, Torture},
};

/// A column for each thing that is counted.
pub(crate) fn table(verdict: &Verdict, history: &History, tally: &Tally) -> String {
    let seconds = |time: Option<Duration>| match time {
        Some(time) => format!("{:.2} s", time.as_secs_f64()),
        None => "-".to_owned(),
    };
    let count = |count: usize| count.to_string();
    let columns = [
        ("handovers", count(verdict.handovers)),
        ("kills", count(tally.kills)),
        ("freezes", count(tally.freezes)),
        ("proxies", count(tally.proxies)),
        ("store", count(tally.store)),
        ("step-downs", count(tally.step_downs)),
        ("evictions", count(tally.evictions)),
        ("hand-overs", count(tally.hand_overs)),
        ("done", count(verdict.hand_overs_done)),
        ("pauses", count(tally.pauses)),
        ("confirmed", count(verdict.pauses_confirmed)),
        ("overlaps", count(verdict.overlaps.len())),
        ("bad tokens", count(verdict.tokens.len())),
        ("led paused", count(verdict.led_while_paused.len())),
        ("stale refused", count(history.refused)),
        ("stale applied", count(verdict.stale_applied.len())),
        ("unexplained", count(verdict.unexplained.len())),
        ("gaps", count(verdict.gaps.len())),
        ("troubled", seconds(Some(verdict.troubled))),
        ("leaderless", seconds(verdict.median_leaderless())),
        ("worst", seconds(verdict.leaderless.last().copied())),
    ];
    let (mut heads, mut values) = (String::new(), String::new());
    for (head, value) in columns {
        let width = head.len().max(value.len());
        // Writing to a string does not fail.
        let _ = write!(heads, "{head:>width$}  ");
        let _ = write!(values, "{value:>width$}  ");
    }
    format!("{}\n{}", heads.trim_end(), values.trim_end())
}

/// Everything that must not happen, a line each.
pub(crate) fn faults(verdict: &Verdict) -> Vec<String> {
    let kinds = [
        ("overlap", &verdict.overlaps),
        ("token", &verdict.tokens),
        ("led while paused", &verdict.led_while_paused),
        ("stale write applied", &verdict.stale_applied),
        ("unexplained", &verdict.unexplained),
        ("gap", &verdict.gaps),
    ];
    let lines = kinds
        .into_iter()
        .flat_map(|(kind, faults)| faults.iter().map(move |fault| format!("{kind}: {fault}")));
    lines.collect()
}

/// Writes what the supervisor knows, for finding the cause of a failure.
pub(crate) fn write_logs(
    folder: &Path,
    torture: &Torture,
    disturbances: &[Disturbance],
) -> io::Result<()> {
    let mut diary = String::new();
    for (at, what) in &torture.diary {
        let _ = writeln!(diary, "{:.6} {what}", seconds(at.as_nanos()));
    }
    fs::write(folder.join("nemesis.log"), diary)?;
    let mut text = String::new();
    for disturbance in disturbances {
        let during = disturbance.during;
        let (start, end) = (
            seconds(during.start.as_nanos()),
            seconds(during.end.as_nanos()),
        );
        let _ = writeln!(text, "{start:.6} {end:.6} {disturbance}");
    }
    fs::write(folder.join("disturbances.log"), text)?;
    let mut terms: Vec<_> = torture.group.history.terms().iter().collect();
    terms.sort_by_key(|term| term.interval().start);
    let mut text = String::new();
    for term in terms {
        let _ = writeln!(text, "{term:?}");
    }
    fs::write(folder.join("terms.log"), text)
}

fn seconds(nanos: u64) -> f64 {
    Duration::from_nanos(nanos).as_secs_f64()
}
