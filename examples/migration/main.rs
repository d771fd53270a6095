//! Migrates the schema of an SQLite file from five processes that are started at once.
//!
//! One of them runs the migration, in a transaction of its own connection. The others wait, and continue when
//! it is done. Then all five are started again, and none runs it. The last line is `ok`, or what failed; the
//! exit status agrees.
//!
//! ```text
//! cargo run --example migration
//! cargo run --example migration -- --crash
//! ```
//!
//! With `--crash` the first process kills itself in the middle of the migration, and another one runs it.
//!
//! The program starts itself again for each process: [`node`] is what they do, [`schema`] is the migration,
//! [`story`] is what is started and checked.

#[cfg(unix)]
mod args;
#[cfg(unix)]
#[path = "../common/mod.rs"]
mod common;
#[cfg(unix)]
mod node;
#[cfg(unix)]
mod process_group;
#[cfg(unix)]
mod protocol;
#[cfg(unix)]
mod schema;
#[cfg(unix)]
mod story;

#[cfg(unix)]
use common::{children, command_line, failure, signals};

#[cfg(unix)]
fn main() -> std::process::ExitCode {
    use clap::Parser as _;

    let args = args::Args::parse();
    match args.node() {
        Some(node) => {
            command_line::exit_code(&node.name, node::run(node).map_err(|error| error as _))
        }
        None => command_line::exit_code(
            "migration",
            story::play(args.crash).map_err(|error| error as _),
        ),
    }
}

#[cfg(not(unix))]
#[allow(clippy::print_stderr, reason = "it says why it does not run")]
fn main() -> std::process::ExitCode {
    eprintln!("migration kills processes by POSIX signals: it runs on Unix only");
    std::process::ExitCode::FAILURE
}
