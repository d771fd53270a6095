//! Shows what happens when a leader steps down, is killed and is frozen, with real processes.
//!
//! It starts some processes that contend for one resource in an SQLite file, writes down who leads,
//! and checks what the library promises: how soon the next leader is there, that tokens grow, and
//! that no two leaderships overlap on the clock of the machine. The last line is `ok`, or what
//! failed, and so is the exit status.
//!
//! ```text
//! cargo run --example failover
//! cargo run --example failover -- --ttl 1s --processes 5
//! cargo run --example failover -- --json
//! ```
//!
//! The program starts itself again for each process: [`node`] is what those do, [`scenario`] is what
//! is done to them.

#[cfg(unix)]
mod args;
#[cfg(unix)]
mod capture;
#[cfg(unix)]
mod checks;
#[cfg(unix)]
mod failure;
#[cfg(unix)]
mod history;
#[cfg(unix)]
mod intervals;
#[cfg(unix)]
mod node;
#[cfg(unix)]
mod probe;
#[cfg(unix)]
mod processes;
#[cfg(unix)]
mod report;
#[cfg(unix)]
mod scenario;
#[cfg(unix)]
mod signals;
#[cfg(unix)]
mod stage;
#[cfg(unix)]
mod timeline;
#[cfg(unix)]
mod wire;

#[cfg(unix)]
#[allow(
    clippy::print_stderr,
    reason = "a node's stderr is where its end is explained"
)]
fn main() -> std::process::ExitCode {
    use clap::Parser as _;

    let args = args::Args::parse();
    let Some(node) = args.node() else {
        return report::write(&args, scenario::run(&args));
    };
    match node::run(node, args.timing()) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", node.name);
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
