//! Leaders freeze while others take over, and then resume: none of their stale writes may be applied.
//!
//! Real processes contend for a lease and write to rows under a guard. Each keeps writing until a write is
//! refused, whatever its clock says. Signals stop and resume them, and in the end the rows show in which order
//! the database has applied the writes. Each run takes some hundred writes, or the number in
//! `TENURE_FENCED_WRITES`.
#![allow(clippy::print_stdout, reason = "it prints the counts")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[cfg(unix)]
mod contest;
#[cfg(unix)]
mod ledger;
#[cfg(unix)]
mod verdict;
#[cfg(unix)]
mod writer;

#[cfg(unix)]
fn main() -> std::process::ExitCode {
    use libtest_mimic::{Arguments, Trial};

    use crate::{contest::Contest, ledger::Guard, verdict::Verdict};

    if let Some(orders) = writer::Orders::given() {
        writer::run(&orders);
        return std::process::ExitCode::SUCCESS;
    }
    let mut trials = verdict::trials();
    for kind in ledger::kinds() {
        let mut add = |what: &str, guard: Guard, expect: fn(&Verdict) -> bool| {
            let run = move || {
                // A late write meets one of a newer leader only sometimes.
                let tries = if guard == Guard::None { 10 } else { 1 };
                let mut seen = String::new();
                for _ in 0..tries {
                    let (report, verdict) = Contest::run(kind, guard)?;
                    seen = format!("{kind} {guard:?}: {report}; {verdict}");
                    println!("{seen}");
                    if expect(&verdict) {
                        return Ok(());
                    }
                }
                Err(seen.into())
            };
            // The others need a server.
            let ignored = kind != "sqlite";
            trials.push(Trial::test(format!("{kind}_{what}"), run).with_ignored_flag(ignored));
        };
        let no_stale: fn(&Verdict) -> bool = |verdict| verdict.stale == 0;
        add(
            "a_token_guard_applies_no_stale_write",
            Guard::Token,
            no_stale,
        );
        add(
            "a_leader_transaction_applies_no_stale_write",
            Guard::Leader,
            no_stale,
        );
        add(
            "without_a_guard_stale_writes_are_applied",
            Guard::None,
            |verdict| verdict.stale > 0,
        );
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

#[cfg(not(unix))]
fn main() {}
