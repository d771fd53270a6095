//! Durations as text for people, and as milliseconds for programs.

pub(crate) mod millis;

use std::{fmt, time::Duration};

/// Writes a duration for people: `366 days`, `2 h 5 min`, `1.5 s`, `20 ms`.
///
/// Below a minute it has at most three decimals; from a minute on, it has whole seconds. Further digits are cut
/// off, not rounded, so the text never says more than the duration.
pub(crate) const fn human(duration: Duration) -> Human {
    Human(duration)
}

/// What [`human`] writes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Human(Duration);

/// The units of durations of a minute and more, in seconds.
const LONG_UNITS: [(&str, u64); 4] = [("day", 86_400), ("h", 3600), ("min", 60), ("s", 1)];

impl fmt::Display for Human {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanos) = (self.0.as_secs(), self.0.subsec_nanos());
        match (seconds, nanos) {
            (0, 0) => f.write_str("0 s"),
            (0, 1..1_000) => write!(f, "{nanos} ns"),
            (0, 1_000..1_000_000) => decimal(f, u64::from(nanos), "µs"),
            (0, _) => decimal(f, u64::from(nanos / 1_000), "ms"),
            (1..60, _) => decimal(f, seconds * 1_000 + u64::from(nanos / 1_000_000), "s"),
            _ => long(f, seconds),
        }
    }
}

/// Writes thousandths of a unit.
fn decimal(f: &mut fmt::Formatter<'_>, thousandths: u64, unit: &str) -> fmt::Result {
    let (whole, rest) = (thousandths / 1_000, thousandths % 1_000);
    if rest == 0 {
        return write!(f, "{whole} {unit}");
    }
    let digits = format!("{rest:03}");
    write!(f, "{whole}.{} {unit}", digits.trim_end_matches('0'))
}

fn long(f: &mut fmt::Formatter<'_>, seconds: u64) -> fmt::Result {
    let (mut left, mut space) = (seconds, "");
    for (unit, size) in LONG_UNITS {
        let count = left / size;
        left %= size;
        if count > 0 {
            let plural = if unit == "day" && count > 1 { "s" } else { "" };
            write!(f, "{space}{count} {unit}{plural}")?;
            space = " ";
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_for_people() {
        let second = Duration::from_secs(1);
        for (duration, text) in [
            (Duration::ZERO, "0 s"),
            (Duration::from_nanos(7), "7 ns"),
            (Duration::from_micros(500), "500 µs"),
            (Duration::from_nanos(999_999), "999.999 µs"),
            (Duration::from_millis(20), "20 ms"),
            (Duration::from_micros(1_250), "1.25 ms"),
            (Duration::from_millis(1_500), "1.5 s"),
            (Duration::from_millis(1_005), "1.005 s"),
            (second * 59 + Duration::from_nanos(999_999_999), "59.999 s"),
            (second * 60, "1 min"),
            (second * 90, "1 min 30 s"),
            (second * 7_500, "2 h 5 min"),
            (second * 86_401, "1 day 1 s"),
            (second * 31_622_400, "366 days"),
            (Duration::MAX, "213503982334601 days 7 h 15 s"),
        ] {
            assert_eq!(human(duration).to_string(), text);
        }
    }
}
