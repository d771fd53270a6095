//! Shows what happens when a leader steps down, is killed and is frozen, with real processes.
//!
//! It starts some processes that contend for one resource of a store, writes down who leads, and
//! checks what the library promises: how soon the next leader is there, that tokens grow, and
//! that no two leaderships overlap on the clock of the machine. The last line is `ok`, or what
//! failed, and so is the exit status.
//!
//! ```text
//! cargo run --example failover
//! cargo run --example failover -- --ttl 1s --processes 5
//! cargo run --example failover -- --json
//! cargo run --example failover --features mongodb -- --store 'mongodb://a,b,c/?replicaSet=rs0'
//! ```
//!
//! The store is a new SQLite file, or the one that `--store` names; there, each run has a resource of
//! its own, whose record stays.
//!
//! The program starts itself again for each process: [`node`] is what those do, [`scenario`] is what
//! is done to them.

#[cfg(unix)]
mod args;
#[cfg(unix)]
#[path = "../common/capture.rs"]
mod capture;
#[cfg(unix)]
mod checks;
#[cfg(unix)]
#[path = "../common/children.rs"]
mod children;
#[cfg(unix)]
#[path = "../common/failure.rs"]
mod failure;
#[cfg(unix)]
mod history;
#[cfg(unix)]
#[path = "../common/intervals.rs"]
mod intervals;
#[cfg(unix)]
mod node;
#[cfg(unix)]
mod probe;
#[cfg(unix)]
mod process_group;
#[cfg(unix)]
mod processes;
#[cfg(unix)]
mod protocol;
#[cfg(unix)]
mod report;
#[cfg(unix)]
mod scenario;
#[cfg(unix)]
#[path = "../common/signals.rs"]
mod signals;
#[cfg(unix)]
mod store_choice;
#[cfg(unix)]
mod timeline;

#[cfg(unix)]
#[allow(
    clippy::print_stderr,
    reason = "stderr is where an end before its time is explained"
)]
fn main() -> std::process::ExitCode {
    use clap::Parser as _;

    let args = args::Args::parse();
    let Some(node) = args.node() else {
        return match store_choice::StoreChoice::prepare(args.store.as_deref()) {
            Ok(store) => report::write(&args, &store, scenario::run(&args, &store)),
            Err(refusal) => {
                eprintln!("failover: {refusal}");
                std::process::ExitCode::FAILURE
            }
        };
    };
    match node::run(node, args.timing()) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {}", node.name, store_choice::with_causes(&*error));
            std::process::ExitCode::FAILURE
        }
    }
}

#[cfg(not(unix))]
#[allow(clippy::print_stderr, reason = "it says why it does not run")]
fn main() -> std::process::ExitCode {
    eprintln!("failover kills and freezes processes by POSIX signals: it runs on Unix only");
    std::process::ExitCode::FAILURE
}
