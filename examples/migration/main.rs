//! Migrates the schema of an SQLite file from five processes that are started at once.
//!
//! One of them does it, in a transaction of its own connection; the others wait, and go on when it is
//! done. Then all five are started again, and none does it. The last line is `ok`, or what was not as
//! it should be, and so is the exit status.
//!
//! ```text
//! cargo run --example migration
//! cargo run --example migration -- --crash
//! ```
//!
//! With `--crash` the first process kills itself in the middle of the work, and the next one does it.
//!
//! The program starts itself again for each process: [`node`] is what those do, [`schema`] the
//! migration, [`story`] what is looked for.

#[cfg(unix)]
mod args;
#[cfg(unix)]
#[path = "../common/children.rs"]
#[allow(dead_code, reason = "nobody is frozen here")]
mod children;
#[cfg(unix)]
#[path = "../common/failure.rs"]
mod failure;
#[cfg(unix)]
mod node;
#[cfg(unix)]
mod process_group;
#[cfg(unix)]
mod protocol;
#[cfg(unix)]
mod schema;
#[cfg(unix)]
#[path = "../common/signals.rs"]
mod signals;
#[cfg(unix)]
mod story;

#[cfg(unix)]
#[allow(
    clippy::print_stderr,
    reason = "stderr is where an end before its time is explained"
)]
fn main() -> std::process::ExitCode {
    use clap::Parser as _;

    let args = args::Args::parse();
    let done = match args.node() {
        Some(node) => node::run(node).map_err(|error| format!("{}: {error}", node.name)),
        None => story::tell(args.crash).map_err(|error| format!("migration: {error}")),
    };
    match done {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            std::process::ExitCode::FAILURE
        }
    }
}

#[cfg(not(unix))]
#[allow(clippy::print_stderr, reason = "it says why it does not run")]
fn main() -> std::process::ExitCode {
    eprintln!("migration kills processes by POSIX signals: it runs on Unix only");
    std::process::ExitCode::FAILURE
}
