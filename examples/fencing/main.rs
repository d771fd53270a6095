//! Shows a late write refused: a leader is frozen, another takes over, the first goes on and writes.
//!
//! Two processes lead an account in an SQLite file in turn, and pay into it. No lock can stop what the
//! frozen one sends when it wakes: it had found that it leads, and time stood still for it. The database can,
//! in both forms that [`tenure::fencing`] has. The exit status is 0 only if it did.
//!
//! ```text
//! cargo run --example fencing
//! cargo run --example fencing -- --ttl 1s
//! ```
//!
//! The program starts itself again for each process: [`writer`] is what those do, [`story`] is what is
//! done to them.

#[cfg(unix)]
#[path = "../common/children.rs"]
#[allow(dead_code, reason = "nobody is killed here")]
mod children;
#[cfg(unix)]
#[path = "../common/failure.rs"]
mod failure;
#[cfg(unix)]
mod protocol;
#[cfg(unix)]
#[path = "../common/signals.rs"]
mod signals;
#[cfg(unix)]
mod story;
#[cfg(unix)]
mod writer;

#[cfg(unix)]
mod args {
    use std::{path::PathBuf, time::Duration};

    use clap::Parser;

    /// Freezes a leader, lets another take over, continues the first, and shows its late writes refused.
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
        let (number, unit) = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
            (Some(number), _) => (number, 0.001),
            (None, Some(number)) => (number, 1.0),
            (None, None) => (text, f64::NAN),
        };
        let seconds = number.parse::<f64>().ok().map(|number| number * unit);
        let ttl = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let allowed = Duration::from_millis(500)..=Duration::from_secs(10);
        let ttl = ttl.filter(|ttl| allowed.contains(ttl));
        ttl.ok_or_else(|| "give seconds or milliseconds, from 500ms to 10s".to_owned())
    }
}

#[cfg(unix)]
#[allow(
    clippy::print_stderr,
    reason = "stderr is where an end before its time is explained"
)]
fn main() -> std::process::ExitCode {
    use clap::Parser as _;

    let args = args::Args::parse();
    let ended = match &args.part {
        None => story::tell(args.ttl).map_err(Into::into),
        Some(args::Part::Writer { name, file }) => writer::run(name, file, args.ttl),
    };
    match ended {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fencing: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

#[cfg(not(unix))]
#[allow(clippy::print_stderr, reason = "it says why it does not run")]
fn main() -> std::process::ExitCode {
    eprintln!("fencing freezes processes by POSIX signals: it runs on Unix only");
    std::process::ExitCode::FAILURE
}
