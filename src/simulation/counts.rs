use std::collections::BTreeMap;

/// How often each kind of event happened in a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts(BTreeMap<&'static str, u64>);

impl Counts {
    pub(super) fn count(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (what, count) in &other.0 {
            *self.0.entry(what).or_default() += count;
        }
    }

    /// Asserts that each of these happened at least once in twenty seeds.
    pub(super) fn assert_happened(&self, expected: &[&str], seeds: u64) {
        for what in expected {
            let count = self.0.get(what).copied().unwrap_or(0);
            assert!(
                count * 20 >= seeds,
                "{what} only {count} times in {seeds} seeds"
            );
        }
    }
}
