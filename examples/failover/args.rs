//! The command line.

use std::{path::PathBuf, time::Duration};

use clap::{Parser, value_parser};
use tenure::Timing;

use crate::command_line::duration;

const SHORTEST: Duration = Duration::from_millis(300);
/// The whole run takes about four ttls, and must end within a minute.
const LONGEST: Duration = Duration::from_secs(10);

/// Starts processes that contend for one resource of a store. Lets the leader step down, kills it and
/// freezes it, and checks who leads when.
#[derive(Debug, Parser)]
#[command(name = "failover")]
pub(crate) struct Args {
    /// How long a lease lives without renewal: 300ms to 10s
    #[arg(long, default_value = "3s", value_parser = ttl, allow_hyphen_values = true)]
    pub(crate) ttl: Duration,

    /// How many processes contend: 2 to 9
    #[arg(long, default_value_t = 3, value_parser = value_parser!(u8).range(2..=9))]
    #[arg(allow_hyphen_values = true)]
    pub(crate) processes: u8,

    /// The store: sqlite:PATH, mongodb://… or dynamodb://TABLE, if this build has it. Default: a new
    /// SQLite file for this run
    #[arg(long, value_name = "URL", allow_hyphen_values = true)]
    pub(crate) store: Option<String>,

    /// Print one JSON document instead of the timeline and the table
    #[arg(long)]
    pub(crate) json: bool,

    #[command(subcommand)]
    node: Option<Part>,
}

#[derive(Debug, clap::Subcommand)]
enum Part {
    /// One of the processes; started by the example itself.
    #[command(hide = true)]
    Node(Node),
}

/// Who a process is, and where it contends.
#[derive(Debug, clap::Args)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) resource: String,
    /// The SQLite file. Without it, the URL of the store is in the environment.
    pub(crate) file: Option<PathBuf>,
}

impl Args {
    pub(crate) fn node(&self) -> Option<&Node> {
        self.node.as_ref().map(|Part::Node(node)| node)
    }

    /// The times that follow from the ttl.
    pub(crate) fn timing(&self) -> Timing {
        let timing = Timing::builder().ttl(self.ttl).build();
        timing.expect("the other times are parts of the ttl")
    }
}

fn ttl(text: &str) -> Result<Duration, String> {
    duration(text, SHORTEST..=LONGEST)
}
