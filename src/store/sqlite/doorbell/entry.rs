//! The lines of the doorbell. Their fields are separated by tabs, which no name contains, so a line that was cut off and
//! continued by another one is never taken for a valid one.

use std::{fmt, time::Duration};

use crate::{lease::ResourceName, store::StoreEvent};

/// A short form of a clock's identity (FNV-1a).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ClockMark(u64);

impl ClockMark {
    pub(super) fn of(identity: &str) -> Self {
        let hash = identity.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self(hash)
    }

    fn parse(text: &str) -> Option<Self> {
        let mark = Self(u64::from_str_radix(text, 16).ok()?);
        (mark.to_string() == text).then_some(mark)
    }
}

impl fmt::Display for ClockMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The line of an event, if it has one.
pub(super) fn format(event: &StoreEvent, clock: &ClockMark) -> Option<String> {
    match event {
        StoreEvent::Changed(resource) => Some(format!("C\t{resource}\n")),
        StoreEvent::Acquired { resource, ttl } => {
            let millis = ttl.as_nanos().div_ceil(1_000_000);
            let millis = u64::try_from(millis).unwrap_or(u64::MAX);
            Some(format!("A\t{millis}\t{clock}\t{resource}\n"))
        }
        StoreEvent::RegisterChanged(name) => Some(format!("R\t{name}\n")),
        StoreEvent::LookAtAll | StoreEvent::Alive => None,
    }
}

/// The event of a line, without its line break. An empty line is none; one that is not understood may have been any.
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
pub(super) fn parse(line: &[u8], clock: &ClockMark) -> Option<StoreEvent> {
    if line.is_empty() {
        return None;
    }
    let event = std::str::from_utf8(line).ok().and_then(|line| {
        let mut fields = line.split('\t');
        let event = match fields.next()? {
            "C" => StoreEvent::Changed(name(fields.next()?)?),
            "R" => StoreEvent::RegisterChanged(name(fields.next()?)?),
            "A" => {
                let ttl = Duration::from_millis(fields.next()?.parse().ok()?);
                let acquired_here = ClockMark::parse(fields.next()?)? == *clock;
                let resource = name(fields.next()?)?;
                if acquired_here {
                    StoreEvent::Acquired { resource, ttl }
                } else {
                    // A lease under another clock is observed from the first look, so look at once.
                    StoreEvent::Changed(resource)
                }
            }
            _ => return None,
        };
        fields.next().is_none().then_some(event)
    });
    Some(event.unwrap_or(StoreEvent::LookAtAll))
}

fn name(field: &str) -> Option<ResourceName> {
    ResourceName::new(field).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here() -> ClockMark {
        ClockMark::of("here")
    }

    fn resource() -> ResourceName {
        ResourceName::new("jobs/räuber und gendarm").unwrap()
    }

    fn acquired(ttl: Duration) -> StoreEvent {
        let resource = resource();
        StoreEvent::Acquired { resource, ttl }
    }

    #[test]
    fn an_event_is_one_line_and_comes_back_from_it() {
        for event in [
            StoreEvent::Changed(resource()),
            StoreEvent::RegisterChanged(resource()),
            acquired(Duration::from_millis(1500)),
        ] {
            let line = format(&event, &here()).unwrap();
            let line = line.strip_suffix('\n').unwrap();
            assert_eq!(parse(line.as_bytes(), &here()), Some(event));
        }
    }

    #[test]
    fn a_ttl_is_rounded_up() {
        for (ttl, millis) in [
            (Duration::from_nanos(1), 1),
            (Duration::from_nanos(1_000_001), 2),
            (Duration::MAX, u64::MAX),
        ] {
            let line = format(&acquired(ttl), &here()).unwrap();
            let read = parse(line.trim_end().as_bytes(), &here());
            assert_eq!(read, Some(acquired(Duration::from_millis(millis))));
        }
    }

    #[test]
    fn an_acquisition_under_another_clock_is_a_change() {
        let line = format(&acquired(Duration::from_secs(1)), &ClockMark::of("there")).unwrap();
        let read = parse(line.trim_end().as_bytes(), &here());
        assert_eq!(read, Some(StoreEvent::Changed(resource())));
    }

    #[test]
    fn an_empty_line_is_nothing_and_a_line_that_is_not_understood_may_be_anything() {
        assert_eq!(parse(b"", &here()), None);
        let long = "x".repeat(300);
        for line in [
            "X",
            "C",
            "C\t",
            "C\ta\tb",
            "A\t5\tb",
            "A\t-5\t0\tb",
            "A\t5\t0\tb\tc",
            "\u{0}",
            &long,
        ] {
            let read = parse(line.as_bytes(), &here());
            assert_eq!(read, Some(StoreEvent::LookAtAll), "{line:?}");
        }
        assert_eq!(parse(b"C\t\xff", &here()), Some(StoreEvent::LookAtAll));
    }

    #[test]
    fn a_line_that_was_cut_off_and_continued_by_another_is_never_a_valid_one() {
        let events = [
            StoreEvent::Changed(resource()),
            StoreEvent::RegisterChanged(resource()),
            acquired(Duration::from_millis(1500)),
        ];
        let lines = events.map(|event| format(&event, &here()).unwrap());
        for first in &lines {
            for second in &lines {
                for cut in 1..first.len() - 1 {
                    let mut torn = first.as_bytes()[..cut].to_vec();
                    torn.extend(second.trim_end().bytes());
                    let read = parse(&torn, &here());
                    assert_eq!(read, Some(StoreEvent::LookAtAll), "{torn:?}");
                }
            }
        }
    }
}
