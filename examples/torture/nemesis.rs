//! What is done, and when. All of it follows from the seed.

use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};

use crate::proxies::{Direction, ProxyFault};

#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    Kill {
        node: Victim,
        down: Duration,
    },
    Freeze {
        node: Victim,
        lasting: Duration,
    },
    Connection {
        node: Victim,
        fault: ProxyFault,
        lasting: Duration,
    },
    Store {
        /// Selects one of the faults of the store.
        choice: u8,
        lasting: Duration,
    },
    StepDown {
        resource: usize,
    },
    Evict {
        resource: usize,
    },
    HandOver {
        resource: usize,
        /// The number of the node that is to lead.
        to: usize,
    },
    Pause {
        resource: usize,
        lasting: Duration,
    },
}

/// A node, or the leader of a resource.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Victim {
    Node(usize),
    LeaderOf(usize),
}

/// The nodes and the resources of a run.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) nodes: usize,
    pub(crate) ttls: Vec<Duration>,
}

impl Setup {
    /// From 5 to 9 nodes, from 4 to 6 resources with these ttls: each of them once, and some again.
    pub(crate) fn draw(rng: &mut SmallRng, ttls: &[Duration]) -> Self {
        let resources = rng.random_range(4..=6);
        let mut again = || ttls[rng.random_range(0..ttls.len())];
        let ttls = (0..resources).map(|index| ttls.get(index).copied().unwrap_or_else(&mut again));
        Self {
            ttls: ttls.collect(),
            nodes: rng.random_range(5..=9),
        }
    }
}

pub(crate) struct Nemesis {
    rng: SmallRng,
    setup: Setup,
    has_proxies: bool,
}

impl Nemesis {
    /// Each run with this seed draws the same, in the same order.
    pub(crate) fn new(seed: u64, setup: Setup, has_proxies: bool) -> Self {
        Self {
            // Another seed than that of the setup, which would draw the same numbers.
            rng: SmallRng::seed_from_u64(seed ^ 0x7075_6e69_7368),
            setup,
            has_proxies,
        }
    }

    /// The time until the next act. One time in ten it is two ttls, so that leaders have no reason to lose
    /// their leases.
    pub(crate) fn pause(&mut self) -> Duration {
        if self.rng.random_bool(0.1) {
            self.shortest_ttl() * 2
        } else {
            Duration::from_secs_f64(self.rng.random_range(0.05..1.2))
        }
    }

    pub(crate) fn act(&mut self) -> Act {
        let resource = self.rng.random_range(0..self.setup.ttls.len());
        let node = if self.rng.random_bool(0.6) {
            Victim::LeaderOf(resource)
        } else {
            Victim::Node(self.rng.random_range(1..=self.setup.nodes))
        };
        let ttl = self.setup.ttls[resource];
        let kinds = if self.has_proxies { 14 } else { 11 };
        match self.rng.random_range(0..kinds) {
            0..2 => Act::Kill {
                node,
                down: self.part_of(ttl, 0.0, 1.5),
            },
            2..5 => Act::Freeze {
                node,
                lasting: self.part_of(ttl, 0.2, 2.0),
            },
            5 => Act::StepDown { resource },
            6 => Act::Evict { resource },
            7 => Act::HandOver {
                resource,
                to: self.rng.random_range(1..=self.setup.nodes),
            },
            8 => Act::Pause {
                resource,
                lasting: self.part_of(ttl, 0.2, 2.0),
            },
            9..11 => Act::Store {
                choice: self.rng.random(),
                lasting: self.part_of(self.shortest_ttl(), 0.2, 2.5),
            },
            _ => Act::Connection {
                node,
                fault: self.fault(ttl),
                lasting: self.part_of(ttl, 0.1, 2.0),
            },
        }
    }

    fn fault(&mut self, ttl: Duration) -> ProxyFault {
        match self.rng.random_range(0..5) {
            0 => ProxyFault::Cut,
            1 => ProxyFault::Mute,
            2 => ProxyFault::Slow(self.part_of(ttl, 0.01, 0.3)),
            3 => ProxyFault::HalfClosed(Direction::ToStore),
            _ => ProxyFault::HalfClosed(Direction::ToNode),
        }
    }

    fn part_of(&mut self, ttl: Duration, least: f64, most: f64) -> Duration {
        ttl.mul_f64(self.rng.random_range(least..most))
    }

    fn shortest_ttl(&self) -> Duration {
        self.setup.ttls.iter().min().copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_follows_from_the_seed() {
        let plan = |seed| {
            let mut rng = SmallRng::seed_from_u64(seed);
            let setup = Setup::draw(&mut rng, &[2, 3].map(Duration::from_secs));
            let mut nemesis = Nemesis::new(seed, setup.clone(), true);
            let acts: Vec<_> = (0..100).map(|_| (nemesis.pause(), nemesis.act())).collect();
            format!("{setup:?} {acts:?}")
        };
        assert_eq!(plan(1), plan(1));
        assert_ne!(plan(1), plan(2));
    }
}
