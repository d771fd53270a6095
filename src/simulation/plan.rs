use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};

use super::network::Network;
use crate::{election::Options, timing::Timing};

/// Everything that is decided before a run. What is drawn while it runs follows from the seed.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) timing: Timing,
    /// What guards ask for besides; the same for all.
    pub(super) options: Options,
    pub(super) store: StoreKind,
    /// The clocks of those who can become primary; one, unless the store fails over.
    pub(super) members: Vec<Rate>,
    pub(super) nodes: Vec<NodePlan>,
    pub(super) network: Network,
    /// In the order of time.
    pub(super) faults: Vec<Fault>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StoreKind {
    /// Judges expiry by a clock of its own.
    Clocked,
    /// The same, on members that take over from each other. A write is answered when a majority has
    /// it; one that is not yet there is lost in a failover, or is not.
    Replicated,
    /// Has no clock: its clients observe. Tells them the record when it refuses a write, or does not.
    Observed { returns_record: bool },
}

/// How a clock runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    pub(super) rate: f64,
    pub(super) ahead: Duration,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct NodePlan {
    pub(super) clock: Rate,
    pub(super) starts: Duration,
    /// It was given the id of the first node by mistake.
    pub(super) impostor: bool,
    /// The state of its generator, if it shares that with others: they are forks of one process.
    pub(super) generator: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Fault {
    pub(super) at: Duration,
    pub(super) kind: FaultKind,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum FaultKind {
    Pause {
        node: usize,
        time: Duration,
    },
    Crash {
        node: usize,
        time: Duration,
        new_id: bool,
    },
    StoreDown {
        time: Duration,
    },
    Evict,
    StepDown {
        node: usize,
        hold_off: Duration,
    },
    PauseLock {
        node: usize,
    },
    ResumeLock {
        node: usize,
    },
    Hint {
        node: usize,
    },
    /// Another member becomes primary; `lost` are the writes that no majority has.
    Failover {
        to: usize,
        lost: bool,
        time: Duration,
    },
    /// The store's clock is set to this much ahead of its own course.
    ClockStep {
        ahead: Duration,
    },
    /// Somebody writes the record with a newer library, for newer libraries only.
    NewerLibrary,
}

/// Whether the clocks keep to what the guarantee assumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clocks {
    WithinMargin,
    /// They differ by several margins over one ttl.
    Wild,
}

impl Plan {
    pub(super) const TTL: Duration = Duration::from_secs(10);
    /// Faults stop after this.
    pub(super) const PEACE: Duration = Duration::from_secs(100);

    pub(super) fn new(seed: u64, clocks: Clocks) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let timing = Timing::builder().ttl(Self::TTL).build();
        let timing = timing.expect("a ttl alone goes together");
        let store = match rng.random_range(0..6) {
            0 | 1 => StoreKind::Clocked,
            2 | 3 => StoreKind::Replicated,
            other => StoreKind::Observed {
                returns_record: other == 4,
            },
        };
        // Any two clocks differ over one ttl by less than the margin, a tenth: by their rates, and what
        // is left for steps and for members that disagree.
        let (drift, ahead) = match (clocks, store) {
            (Clocks::Wild, _) => (0.3, 0.5),
            (_, StoreKind::Observed { .. }) => (0.045, 0.0),
            _ => (0.025, 0.045),
        };
        let ahead = Self::TTL.mul_f64(ahead);
        let clock = |rng: &mut SmallRng, ahead: Duration| Rate {
            rate: 1.0 + rng.random_range(-drift..=drift),
            ahead,
        };
        let members = match store {
            StoreKind::Replicated => rng.random_range(2..=3),
            _ => 1,
        };
        // One rate for all: something keeps their clocks together, to within what they are ahead.
        let common = clock(&mut rng, Duration::ZERO);
        let members = (0..members).map(|_| Rate {
            ahead: rng.random_range(Duration::ZERO..=ahead),
            ..common
        });
        let members: Vec<_> = members.collect();
        let impostor = rng.random_bool(0.2);
        let generator = rng.random_bool(0.3).then(|| rng.random());
        let nodes = (0..rng.random_range(2..=7)).map(|index| NodePlan {
            clock: {
                let ahead = Duration::from_secs(rng.random_range(3_600..1_000_000));
                clock(&mut rng, ahead)
            },
            starts: rng.random_range(Duration::ZERO..Duration::from_secs(5)),
            impostor: impostor && index == 1,
            generator: generator.filter(|_| index < 2),
        });
        let nodes: Vec<_> = nodes.collect();
        let network = Network::new(timing.call_timeout(), &mut rng);
        let mut plan = Self {
            seed,
            timing,
            options: Options::default(),
            store,
            members,
            nodes,
            network,
            faults: Vec::new(),
        };
        plan.plan_faults(ahead, &mut rng);
        if rng.random_bool(0.15) {
            plan.options.at_least_for = rng.random_range(Duration::ZERO..Self::TTL * 2);
        }
        if rng.random_bool(0.15) {
            plan.options.max_hold = Some(rng.random_range(Self::TTL..Self::TTL * 4));
        }
        plan
    }

    fn plan_faults(&mut self, ahead: Duration, rng: &mut SmallRng) {
        let seconds =
            |most: f64, rng: &mut SmallRng| Duration::from_secs_f64(rng.random_range(0.0..most));
        let newer_library = rng.random_bool(0.02);
        let mut at = Duration::ZERO;
        loop {
            at += seconds(6.0, rng);
            if at >= Self::PEACE {
                break;
            }
            let node = rng.random_range(0..self.nodes.len());
            let kind = match rng.random_range(0..16) {
                0 | 1 => FaultKind::Pause {
                    node,
                    time: seconds(25.0, rng),
                },
                2 | 3 => FaultKind::Crash {
                    node,
                    time: seconds(15.0, rng),
                    new_id: rng.random_bool(0.5),
                },
                4 => FaultKind::StoreDown {
                    time: seconds(15.0, rng),
                },
                5 => FaultKind::Evict,
                6 => FaultKind::StepDown {
                    node,
                    hold_off: seconds(10.0, rng),
                },
                7 => FaultKind::PauseLock { node },
                8 | 9 => FaultKind::ResumeLock { node },
                10 | 11 => FaultKind::Hint { node },
                12 if self.store == StoreKind::Clocked => FaultKind::ClockStep {
                    ahead: rng.random_range(Duration::ZERO..=ahead),
                },
                12 | 13 if self.store == StoreKind::Replicated => FaultKind::Failover {
                    to: rng.random_range(0..self.members.len()),
                    lost: rng.random_bool(0.5),
                    time: seconds(5.0, rng),
                },
                _ => continue,
            };
            self.faults.push(Fault { at, kind });
        }
        if newer_library {
            let at = Self::PEACE - seconds(50.0, rng);
            let kind = FaultKind::NewerLibrary;
            self.faults.push(Fault { at, kind });
            self.faults.sort_by_key(|fault| fault.at);
        }
    }
}

impl FaultKind {
    /// Whom it strikes, if one only.
    pub(super) fn node(&self) -> Option<usize> {
        match *self {
            Self::Pause { node, .. }
            | Self::Crash { node, .. }
            | Self::StepDown { node, .. }
            | Self::PauseLock { node }
            | Self::ResumeLock { node }
            | Self::Hint { node } => Some(node),
            _ => None,
        }
    }
}
