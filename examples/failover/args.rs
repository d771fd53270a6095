//! The command line.

use std::{path::PathBuf, time::Duration};

use clap::{Parser, value_parser};
use tenure::Timing;

const SHORTEST: Duration = Duration::from_millis(300);
/// The whole run takes about four of them, and is to be over within a minute.
const LONGEST: Duration = Duration::from_secs(10);

/// Lets processes contend for one resource of a store, and their leaders step down, be killed and be
/// frozen; checks who leads when.
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

    /// The store: sqlite:PATH, mongodb://… or dynamodb://TABLE, where this build has them. Default: a
    /// new SQLite file for this run
    #[arg(long, value_name = "URL", allow_hyphen_values = true)]
    pub(crate) store: Option<String>,

    /// One JSON document on stdout instead of the timeline and the table
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
    /// None where the store is in the environment.
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
    let parse = |number: &str, scale: f64| {
        let plain = number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        let number = number.parse::<f64>().ok().filter(|_| plain)?;
        Duration::try_from_secs_f64(number * scale).ok()
    };
    let ttl = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(number), _) => parse(number, 0.001),
        (None, Some(number)) => parse(number, 1.0),
        (None, None) => None,
    };
    let ttl = ttl.ok_or("give seconds or milliseconds, like 3s, 1.5s or 500ms")?;
    if (SHORTEST..=LONGEST).contains(&ttl) {
        Ok(ttl)
    } else {
        Err(format!("{SHORTEST:?} to {LONGEST:?} are allowed"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ttl_is_a_number_of_seconds_or_milliseconds() {
        assert_eq!(ttl("3s"), Ok(Duration::from_secs(3)));
        assert_eq!(ttl("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(ttl("500ms"), Ok(Duration::from_millis(500)));
        for text in [
            "", "3", "s", "ms", "-3s", "infs", "nans", "1e0s", "3 s", "1..5s",
        ] {
            assert!(ttl(text).unwrap_err().starts_with("give"), "{text:?}");
        }
        for text in ["0s", "0ms", "299ms", "10.1s", "99999999999999999999s"] {
            assert!(ttl(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_node_is_given_the_same_ttl() {
        for given in ["3s", "1.5s", "333.333ms"] {
            let given = ttl(given).unwrap();
            assert_eq!(ttl(&format!("{given:?}")), Ok(given));
        }
    }
}
