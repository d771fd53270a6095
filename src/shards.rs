//! Sharded ownership: many resources over many processes.

mod config;
mod format;
mod hash;
mod map;
mod plan;
mod roster;
mod view;

use std::fmt;

use serde::{Deserialize, Serialize};

/// A shard of a group: a number below the group's number of shards.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Shard(u16);

impl Shard {
    /// The shard with this number.
    #[must_use]
    pub(crate) const fn new(index: u16) -> Self {
        Self(index)
    }

    /// Its number, which begins at 0.
    #[must_use]
    pub(crate) const fn index(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
