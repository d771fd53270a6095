//! Shows that a late write is rejected: a leader freezes, another takes over, the first continues and writes.
//!
//! Two processes pay into an account in an SQLite file while they lead. No lock can stop the write of the frozen
//! process: it had checked that it leads, and then time stood still for it. The database can stop the write, in
//! both forms of [`tenure::fencing`]. The exit status is 0 only if it did.
//!
//! ```text
//! cargo run --example fencing
//! cargo run --example fencing -- --ttl 1s
//! ```
//!
//! The program starts itself again for each process: [`writer`] is what they do, [`story`] is what is done to
//! them.

#[cfg(unix)]
#[path = "../common/mod.rs"]
mod common;
#[cfg(unix)]
mod protocol;
#[cfg(unix)]
mod story;
#[cfg(unix)]
mod writer;

#[cfg(unix)]
use common::{children, command_line, failure, signals};

#[cfg(unix)]
mod args {
    use std::{path::PathBuf, time::Duration};

    use clap::Parser;

    use crate::command_line::duration;

    /// Freezes a leader, lets another take over, continues the first, and shows that its late writes are rejected.
    #[derive(Debug, Parser)]
    #[command(name = "fencing")]
    pub(crate) struct Args {
        /// How long a lease lives without renewal: 500ms to 10s
        #[arg(long, default_value = "2s", value_parser = ttl, allow_hyphen_values = true)]
        pub(crate) ttl: Duration,

        #[command(subcommand)]
        pub(crate) part: Option<Part>,
    }

    #[derive(Debug, clap::Subcommand)]
    pub(crate) enum Part {
        /// One of the processes; started by the example itself.
        #[command(hide = true)]
        Writer { name: String, file: PathBuf },
    }

    fn ttl(text: &str) -> Result<Duration, String> {
        duration(text, Duration::from_millis(500)..=Duration::from_secs(10))
    }
}

#[cfg(unix)]
fn main() -> std::process::ExitCode {
    use clap::Parser as _;

    let args = args::Args::parse();
    match &args.part {
        None => command_line::exit_code("fencing", story::play(args.ttl).map_err(Into::into)),
        Some(args::Part::Writer { name, file }) => {
            command_line::exit_code(name, writer::run(name, file, args.ttl))
        }
    }
}

#[cfg(not(unix))]
#[allow(clippy::print_stderr, reason = "it says why it does not run")]
fn main() -> std::process::ExitCode {
    eprintln!("fencing freezes processes by POSIX signals: it runs on Unix only");
    std::process::ExitCode::FAILURE
}
