//! Shows what happens when a leader steps down, is killed and is frozen, with real processes.
//!
//! It starts processes that contend for one resource of a store, records who leads, and checks what the
//! library promises: how soon the next leader is there, that tokens grow, and that no two leaderships
//! overlap on the clock of the machine. The last line is `ok`, or what failed; the exit status agrees.
//!
//! ```text
//! cargo run --example failover
//! cargo run --example failover -- --ttl 1s --processes 5
//! cargo run --example failover -- --json
//! cargo run --example failover --features mongodb -- --store 'mongodb://a,b,c/?replicaSet=rs0'
//! ```
//!
//! The store is a new SQLite file, or the one that `--store` names. There, each run contends for a new
//! resource, whose record stays.
//!
//! The program starts itself again for each process: [`node`] is what those do, [`scenario`] is what
//! is done to them.

#[cfg(unix)]
mod args;
#[cfg(unix)]
mod checks;
#[cfg(unix)]
#[path = "../common/mod.rs"]
mod common;
#[cfg(unix)]
mod history;
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
mod store_choice;
#[cfg(unix)]
mod timeline;

#[cfg(unix)]
use common::{capture, children, command_line, failure, intervals, node_id, signals};

#[cfg(unix)]
fn main() -> std::process::ExitCode {
    use clap::Parser as _;

    let args = args::Args::parse();
    if let Some(node) = args.node() {
        return command_line::exit_code(&node.name, node::run(node, args.timing()));
    }
    match store_choice::StoreChoice::prepare(args.store.as_deref()) {
        Ok(store) => report::write(&args, &store, scenario::run(&args, &store)),
        Err(refusal) => command_line::exit_code("failover", Err(refusal.into())),
    }
}

#[cfg(not(unix))]
#[allow(clippy::print_stderr, reason = "it says why it does not run")]
fn main() -> std::process::ExitCode {
    eprintln!("failover kills and freezes processes by POSIX signals: it runs on Unix only");
    std::process::ExitCode::FAILURE
}
