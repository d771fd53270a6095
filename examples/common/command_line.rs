//! What the command lines have in common: how a ttl is written, and how a program ends.

use std::{error::Error, io::Write as _, ops::RangeInclusive, process::ExitCode, time::Duration};

/// Reads seconds or milliseconds, like `1.5s` or `500ms`, within a range.
pub(crate) fn duration(text: &str, allowed: RangeInclusive<Duration>) -> Result<Duration, String> {
    let parse = |number: &str, scale: f64| {
        let plain = number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        let number = number.parse::<f64>().ok().filter(|_| plain)?;
        Duration::try_from_secs_f64(number * scale).ok()
    };
    let duration = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(number), _) => parse(number, 0.001),
        (None, Some(number)) => parse(number, 1.0),
        (None, None) => None,
    };
    let duration = duration.ok_or("give seconds or milliseconds, like 3s, 1.5s or 500ms")?;
    if allowed.contains(&duration) {
        Ok(duration)
    } else {
        let (least, most) = allowed.into_inner();
        Err(format!("give a time from {least:?} to {most:?}"))
    }
}

/// The exit status; an error goes to stderr, after the name of what failed.
pub(crate) fn exit_code(name: &str, ended: Result<(), Box<dyn Error>>) -> ExitCode {
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // If stderr is closed, the exit status is what is left.
            let _ = writeln!(std::io::stderr(), "{name}: {}", with_causes(&*error));
            ExitCode::FAILURE
        }
    }
}

/// An error and what led to it, in one line.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Duration, String> {
        duration(text, Duration::from_millis(300)..=Duration::from_secs(10))
    }

    #[test]
    fn a_time_is_a_number_of_seconds_or_milliseconds() {
        assert_eq!(parse("3s"), Ok(Duration::from_secs(3)));
        assert_eq!(parse("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse("500ms"), Ok(Duration::from_millis(500)));
        for text in [
            "", "3", "s", "ms", "-3s", "infs", "nans", "1e0s", "3 s", "1..5s",
        ] {
            assert!(parse(text).unwrap_err().contains("like 3s"), "{text:?}");
        }
        for text in ["0s", "0ms", "299ms", "10.1s"] {
            assert!(parse(text).unwrap_err().contains("from 300ms"), "{text:?}");
        }
        assert!(parse("99999999999999999999s").is_err());
    }

    #[test]
    fn a_time_that_is_printed_is_read_as_the_same_time() {
        for given in ["3s", "1.5s", "333.333ms"] {
            let given = parse(given).unwrap();
            assert_eq!(parse(&format!("{given:?}")), Ok(given));
        }
    }
}
