use std::fmt;

#[cfg(test)]
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};

use crate::lease::AttemptId;

/// Where an election draws its attempts from.
///
/// It is not the generator of the jitter: a `fork` or a snapshot copies the state of a generator, two
/// processes draw the same attempt from it, and a store grants both of them one token.
pub(crate) trait AttemptSource: fmt::Debug + Send {
    /// An attempt that no other process draws; `None` if there is none now, and the bid has to wait.
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
