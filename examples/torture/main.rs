//! Starts processes that contend for resources of a real store. Meanwhile a nemesis kills and freezes them,
//! disturbs their connections and the store. Checks what the library promises.
//!
//! ```text
//! scripts/torture sqlite
//! scripts/torture mongodb --minutes 10 --seed 7
//! ```
//!
//! The program starts itself again for each process: [`node`] is what they do, [`nemesis`] decides what is
//! done to them, [`torture`] does it, [`checker`] judges. `scripts/README.md` explains the columns of the table.

#![cfg_attr(
    not(all(feature = "dynamodb", feature = "mongodb")),
    allow(
        dead_code,
        unused_variables,
        reason = "SQLite has neither proxies nor servers"
    )
)]

#[cfg(unix)]
mod args;
#[cfg(unix)]
mod belief;
#[cfg(unix)]
mod checker;
#[cfg(unix)]
#[path = "../common/mod.rs"]
mod common;
#[cfg(unix)]
mod disturbances;
#[cfg(unix)]
mod history;
#[cfg(unix)]
#[path = "../../tests/mongodb_servers/mongod.rs"]
#[allow(
    dead_code,
    clippy::unwrap_used,
    reason = "shared with the tests; what it starts ends on a panic too"
)]
mod mongod;
#[cfg(unix)]
mod nemesis;
#[cfg(unix)]
mod node;
#[cfg(unix)]
mod operators;
#[cfg(unix)]
mod outside_holder;
#[cfg(unix)]
mod process_group;
#[cfg(unix)]
mod protocol;
#[cfg(unix)]
mod proxies;
#[cfg(unix)]
mod register;
#[cfg(unix)]
mod report;
#[cfg(unix)]
mod run;
#[cfg(unix)]
mod store_probe;
#[cfg(unix)]
mod store_under_test;
#[cfg(unix)]
mod torture;

#[cfg(unix)]
use common::{capture, children, command_line, failure, intervals, node_id, signals};

#[cfg(unix)]
fn main() -> std::process::ExitCode {
    use clap::Parser as _;

    let ran = match protocol::Orders::given() {
        None => return run::run(&args::Args::parse()),
        Some(Ok(orders)) => node::run(orders),
        Some(Err(error)) => Err(error.into()),
    };
    command_line::exit_code("torture node", ran)
}

#[cfg(not(unix))]
#[allow(clippy::print_stderr, reason = "it says why it does not run")]
fn main() -> std::process::ExitCode {
    eprintln!("torture kills and freezes processes by POSIX signals: it runs on Unix only");
    std::process::ExitCode::FAILURE
}
