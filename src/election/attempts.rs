use std::fmt;

#[cfg(test)]
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};

use crate::lease::AttemptId;

/// The source of an election's attempts.
///
/// It is not the generator of the jitter, because a `fork` or a snapshot copies the state of a generator. Two
/// processes would draw the same attempt, and a store would grant both the same token.
pub(crate) trait AttemptSource: fmt::Debug + Send {
    /// An attempt that no other process draws; `None` if there is none now, so that the bid must wait.
    fn draw(&mut self) -> Option<AttemptId>;
}

/// Attempts that follow from a seed, so that a run can be repeated.
#[cfg(test)]
#[derive(Debug)]
pub(crate) struct SeededAttempts(SmallRng);

#[cfg(test)]
impl SeededAttempts {
    pub(crate) fn new(seed: u64) -> Box<Self> {
        Box::new(Self(SmallRng::seed_from_u64(seed)))
    }
}

#[cfg(test)]
impl AttemptSource for SeededAttempts {
    fn draw(&mut self) -> Option<AttemptId> {
        Some(AttemptId::new(self.0.random()))
    }
}
