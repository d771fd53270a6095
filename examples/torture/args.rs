//! The command line.

use std::time::Duration;

use clap::{Parser, ValueEnum};

/// Starts processes that contend for resources of a store, injects faults into the processes, their
/// connections and the store, and checks what the library promises.
#[derive(Debug, Parser)]
#[command(name = "torture")]
pub(crate) struct Args {
    /// The store, whose servers are started for this run
    pub(crate) store: Kind,

    /// For how many minutes faults are injected: 0.1 to 1440
    #[arg(long, default_value = "1", value_parser = minutes, allow_hyphen_values = true)]
    pub(crate) minutes: Duration,

    /// The seed of the faults. Default: a random one, which is printed
    #[arg(long)]
    pub(crate) seed: Option<u64>,

    /// Keep the logs even if nothing is found
    #[arg(long)]
    pub(crate) keep_logs: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    #[cfg(feature = "sqlite")]
    Sqlite,
    #[cfg(feature = "mongodb")]
    Mongodb,
    #[cfg(feature = "dynamodb")]
    Dynamodb,
}

fn minutes(text: &str) -> Result<Duration, String> {
    let minutes = text.parse::<f64>().ok();
    let duration = minutes.and_then(|minutes| Duration::try_from_secs_f64(minutes * 60.0).ok());
    let allowed = Duration::from_secs(6)..=Duration::from_secs(24 * 60 * 60);
    let duration = duration.filter(|duration| allowed.contains(duration));
    duration.ok_or_else(|| "give a number of minutes from 0.1 to 1440".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_may_have_parts() {
        assert_eq!(minutes("1"), Ok(Duration::from_secs(60)));
        assert_eq!(minutes("0.5"), Ok(Duration::from_secs(30)));
        for text in ["", "0", "-1", "nan", "inf", "1e300", "1441", "1m"] {
            assert!(minutes(text).is_err(), "{text:?}");
        }
    }
}
