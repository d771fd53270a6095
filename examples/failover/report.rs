//! The table at the end, or one JSON document.

use std::{
    io::{self, Write as _},
    process::ExitCode,
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    args::Args,
    checks::{Blow, Findings},
    store_choice::Prepared,
};

/// If the supervisor does not run for longer than this, its nodes are probably late, too.
const LONG: Duration = Duration::from_millis(100);

/// Prints what was found. The exit status says whether every check passed.
pub(crate) fn write(args: &Args, store: &Prepared, findings: Findings) -> ExitCode {
    let verdict = if findings.is_ok() {
        "ok".to_owned()
    } else {
        format!("failed: {}", findings.failures.join("; "))
    };
    // stdout must stay one document, so the verdict for people goes to stderr.
    let written = if args.json {
        writeln!(io::stdout(), "{:#}", document(args, store, &findings))
            .and_then(|()| writeln!(io::stderr(), "{verdict}"))
    } else {
        writeln!(io::stdout(), "{}\n{verdict}", table(&findings))
    };
    if written.is_ok() && findings.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn table(findings: &Findings) -> String {
    let mut rows = vec![
        [
            "event",
            "next leader",
            "after",
            "at most",
            "token",
            "overlap",
        ]
        .map(String::from),
    ];
    rows.extend(findings.blows.iter().map(|blow| {
        [
            format!("{} of {}", blow.event, blow.node.name()),
            blow.next.name(),
            format!("{:.3} s", blow.next_after.as_secs_f64()),
            format!("{:.3} s", blow.limit.as_secs_f64()),
            format!("{} -> {}", blow.before, blow.after),
            format!("{} ns", blow.overlap.as_nanos()),
        ]
    }));
    let mut text = String::new();
    for row in rows {
        let [event, next, after, limit, token, overlap] = row;
        text +=
            &format!("\n{event:<20}  {next:<11}  {after:>9}  {limit:>9}  {token:>9}  {overlap:>9}");
    }
    text += "\n";
    if let Some(frozen) = &findings.frozen {
        let says = if frozen.answered_false() {
            "false for every call"
        } else {
            "true for a call"
        };
        let node = frozen.node.name();
        text += &format!("\nis_current() of {node}: {says} that started after SIGCONT");
    }
    if LONG < findings.held_up {
        let held_up = findings.held_up;
        text += &format!(
            "\nthe machine did not run the supervisor for {held_up:.2?}, so the nodes may be late, too"
        );
    }
    text + &format!(
        "\noverlap of any two of the {} leaderships: {} ns; {:.1} s in all",
        findings.leaderships,
        findings.overlap.as_nanos(),
        findings.took.as_secs_f64(),
    )
}

fn document(args: &Args, store: &Prepared, findings: &Findings) -> Value {
    let timing = args.timing();
    let blow = |blow: &Blow| {
        json!({
            "event": blow.event,
            "node": blow.node.name(),
            "next_leader": blow.next.name(),
            "millis_until_next_leader": millis(blow.next_after),
            "limit_millis": millis(blow.limit),
            "token_before": blow.before,
            "token_after": blow.after,
            "overlap_nanos": nanos(blow.overlap),
            "ok": blow.in_time() && blow.overlap.is_zero() && blow.before < blow.after
                && blow.wrong.is_none(),
        })
    };
    let frozen = findings.frozen.map(|frozen| {
        json!({
            "node": frozen.node.name(),
            "sigcont_nanos": frozen.thawed.as_nanos(),
            "last_true_call_nanos": frozen.lapse.last_true.map(tenure::clock::Moment::as_nanos),
            "first_false_call_nanos": frozen.lapse.first_false.as_nanos(),
            "ok": frozen.answered_false(),
        })
    });
    json!({
        "settings": {
            "store": store.kind,
            "processes": args.processes,
            "ttl_millis": millis(timing.ttl()),
            "renew_every_millis": millis(timing.renew_every()),
            "poll_every_millis": millis(timing.poll_every()),
            "margin_millis": millis(timing.margin()),
            "call_timeout_millis": millis(timing.call_timeout()),
        },
        "rows": findings.blows.iter().map(blow).collect::<Vec<_>>(),
        "is_current_after_sigcont": frozen,
        "leaderships": findings.leaderships,
        "overlap_nanos": nanos(findings.overlap),
        "took_millis": millis(findings.took),
        "supervisor_held_up_millis": millis(findings.held_up),
        "warnings": findings.warnings,
        "ok": findings.is_ok(),
        "failures": findings.failures,
    })
}

fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
