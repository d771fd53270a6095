//! The times during which a process believed in a lease, and the overlap of two of them.

use std::time::Duration;

use tenure::clock::Moment;

/// From `start` up to, not including, `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interval {
    pub(crate) start: Moment,
    pub(crate) end: Moment,
}

impl Interval {
    /// The time during which a process believed in a lease, by everything that it reported.
    ///
    /// It starts with the first of `starts`. It ends at the logged end, or else at the last deadline; but not
    /// before `last_true`, the last time that the process was seen to believe in the lease. A process that is
    /// dead believes in nothing.
    pub(crate) fn of_belief(
        starts: [Option<Moment>; 2],
        ended_or_deadline: Option<Moment>,
        last_true: Option<Moment>,
        dead: Option<Moment>,
    ) -> Self {
        let start = starts.into_iter().flatten().min().unwrap_or_default();
        let ends = [ended_or_deadline, last_true];
        let end = ends.into_iter().flatten().max().unwrap_or(start);
        let end = dead.map_or(end, |dead| dead.min(end));
        Self { start, end }
    }

    /// How long both last at once.
    pub(crate) fn overlap(self, other: Self) -> Duration {
        self.start.max(other.start).until(self.end.min(other.end))
    }

    /// The time during which both last.
    pub(crate) fn common(self, other: Self) -> Option<Self> {
        let (start, end) = (self.start.max(other.start), self.end.min(other.end));
        (start < end).then_some(Self { start, end })
    }
}

/// The longest time that any two of them last at once.
pub(crate) fn longest_overlap(intervals: &[Interval]) -> Duration {
    let pairs = intervals.iter().enumerate().flat_map(|(index, first)| {
        let others = &intervals[index + 1..];
        others.iter().map(move |second| first.overlap(*second))
    });
    pairs.max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(start: u64, end: u64) -> Interval {
        let (start, end) = (Moment::from_nanos(start), Moment::from_nanos(end));
        Interval { start, end }
    }

    #[test]
    fn intervals_that_follow_each_other_do_not_overlap() {
        assert_eq!(longest_overlap(&[]), Duration::ZERO);
        assert_eq!(longest_overlap(&[interval(1, 5)]), Duration::ZERO);
        let row = [interval(20, 30), interval(1, 10), interval(10, 20)];
        assert_eq!(longest_overlap(&row), Duration::ZERO);
    }

    #[test]
    fn a_common_nanosecond_is_an_overlap_whichever_comes_first() {
        let (first, second) = (interval(1, 11), interval(10, 20));
        assert_eq!(first.overlap(second), Duration::from_nanos(1));
        assert_eq!(second.overlap(first), Duration::from_nanos(1));
    }

    #[test]
    fn an_interval_within_another_overlaps_by_its_length() {
        let row = [interval(0, 100), interval(200, 300), interval(40, 70)];
        assert_eq!(longest_overlap(&row), Duration::from_nanos(30));
    }

    #[test]
    fn an_overlap_with_other_than_the_neighbour_is_found() {
        let row = [interval(0, 100), interval(10, 11), interval(90, 120)];
        assert_eq!(longest_overlap(&row), Duration::from_nanos(10));
    }

    #[test]
    fn an_interval_that_never_was_overlaps_nothing() {
        let row = [interval(0, 100), interval(50, 50)];
        assert_eq!(longest_overlap(&row), Duration::ZERO);
    }
}
