use std::{ops::RangeInclusive, time::Duration};

use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};

use super::{network::Network, timings};
use crate::{election::HoldOptions, timing::Timing};

/// Everything that is decided before a run. Random choices during the run follow from the seed.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) store: StoreKind,
    /// The clocks of the members that can become primary; one, unless the store fails over.
    pub(super) members: Vec<ClockDrift>,
    pub(super) nodes: Vec<NodePlan>,
    pub(super) network: Network,
    /// In order of time.
    pub(super) faults: Vec<Fault>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StoreKind {
    /// Judges expiry by a clock of its own.
    Clocked,
    /// The same, on members that take over from each other. A write is confirmed when a majority has
    /// it. A failover may lose writes that are not yet confirmed.
    Replicated,
    /// Has no clock, so its clients observe. It may show the record when it refuses a write.
    Observed { returns_record: bool },
}

/// How a clock runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClockDrift {
    pub(super) rate: f64,
    pub(super) ahead: Duration,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct NodePlan {
    pub(super) timing: Timing,
    /// The options of its guards.
    pub(super) options: HoldOptions,
    pub(super) clock: ClockDrift,
    pub(super) starts: Duration,
    /// It has the same candidate id as the first node, by mistake.
    pub(super) duplicate_id: bool,
    /// The state of its random generator, if it shares that with others as forks of one process do.
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
    /// The watch of the store says something to a node, true or not.
    Watch {
        node: usize,
        says: WatchSays,
    },
    /// Another member becomes primary; if `lost`, the writes that no majority has are lost.
    Failover {
        to: usize,
        lost: bool,
        time: Duration,
    },
    /// The store's clock jumps ahead by this time.
    ClockStep {
        ahead: Duration,
    },
    /// An operator asks the leader to hand over to a candidate, or to one that never comes.
    HandOver {
        to: Option<usize>,
    },
    OperatorPauses,
    OperatorResumes,
    Purge,
    /// A newer version of the library writes the record in a format that older ones must not write.
    NewerLibrary,
}

/// What a watch says, at random: it may be false, and true events are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WatchSays {
    /// It works, so there is no need to poll.
    Works,
    Ended,
    /// Somebody has acquired the lease.
    Acquired,
    EventsLost,
}

/// Whether the clocks keep the assumptions of the guarantee.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clocks {
    WithinMargin,
    /// They differ by several margins over one ttl.
    Wild,
}

impl Plan {
    /// Faults stop after this time.
    pub(super) const FAULTS_STOP_AT: Duration = Duration::from_secs(100);

    pub(super) fn new(seed: u64, clocks: Clocks) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let store = match rng.random_range(0..6) {
            0 | 1 => StoreKind::Clocked,
            2 | 3 => StoreKind::Replicated,
            other => StoreKind::Observed {
                returns_record: other == 4,
            },
        };
        let duplicate_id = rng.random_bool(0.2);
        let generator = rng.random_bool(0.3).then(|| rng.random());
        let nodes = (0..rng.random_range(2..=7)).map(|index| {
            let timing = timings::random(&mut rng);
            NodePlan {
                timing,
                options: guard_options(&timing, &mut rng),
                clock: ClockDrift {
                    rate: holder_rate(&timing, store, clocks, &mut rng),
                    ahead: Duration::from_secs(rng.random_range(3_600..1_000_000)),
                },
                starts: rng.random_range(Duration::ZERO..Duration::from_secs(5)),
                duplicate_id: duplicate_id && index == 1,
                generator: generator.filter(|_| index < 2),
            }
        });
        let nodes: Vec<_> = nodes.collect();
        let ahead = most_ahead(&nodes, store, clocks);
        let members = match store {
            StoreKind::Replicated => rng.random_range(2..=3),
            _ => 1,
        };
        // One rate for all members, whose clocks are synchronized to within `ahead`.
        let rate = match clocks {
            Clocks::WithinMargin => rng.random_range(0.95..=FASTEST),
            Clocks::Wild => rng.random_range(WILD),
        };
        let members = (0..members).map(|_| ClockDrift {
            ahead: rng.random_range(Duration::ZERO..=ahead),
            rate,
        });
        let members: Vec<_> = members.collect();
        let network = Network::new(&mut rng);
        let mut plan = Self {
            seed,
            store,
            members,
            nodes,
            network,
            faults: Vec::new(),
        };
        plan.plan_faults(ahead, &mut rng);
        plan
    }

    /// The longest of this time among the candidates.
    pub(super) fn longest(&self, time: impl Fn(&NodePlan) -> Duration) -> Duration {
        let times = self.nodes.iter().map(time);
        times.max().expect("a plan has candidates")
    }

    pub(super) fn shortest(&self, time: impl Fn(&Timing) -> Duration) -> Duration {
        let times = self.nodes.iter().map(|node| time(&node.timing));
        times.min().expect("a plan has candidates")
    }

    /// The longest that this time can take by any clock of the candidates or the store.
    pub(super) fn on_the_slowest_clock(&self, time: Duration) -> Duration {
        let clocks = self.nodes.iter().map(|node| node.clock);
        let rates = clocks.chain(self.members.iter().copied());
        let slowest = rates.map(|clock| clock.rate).fold(FASTEST, f64::min);
        time.mul_f64(1.0 / slowest)
    }

    fn plan_faults(&mut self, ahead: Duration, rng: &mut SmallRng) {
        let seconds =
            |most: f64, rng: &mut SmallRng| Duration::from_secs_f64(rng.random_range(0.0..most));
        let newer_library = rng.random_bool(0.02);
        let mut at = Duration::ZERO;
        loop {
            at += seconds(6.0, rng);
            if at >= Self::FAULTS_STOP_AT {
                break;
            }
            let node = rng.random_range(0..self.nodes.len());
            let kind = match rng.random_range(0..24) {
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
                14 | 15 => FaultKind::Watch {
                    node,
                    says: match rng.random_range(0..8) {
                        0..4 => WatchSays::Works,
                        4 => WatchSays::Ended,
                        5 | 6 => WatchSays::Acquired,
                        _ => WatchSays::EventsLost,
                    },
                },
                16 => FaultKind::HandOver {
                    to: rng.random_bool(0.8).then_some(node),
                },
                17 => FaultKind::OperatorPauses,
                18 | 19 => FaultKind::OperatorResumes,
                20..=23 => FaultKind::Purge,
                _ => continue,
            };
            self.faults.push(Fault { at, kind });
        }
        if newer_library {
            let at = Self::FAULTS_STOP_AT - seconds(50.0, rng);
            let kind = FaultKind::NewerLibrary;
            self.faults.push(Fault { at, kind });
            self.faults.sort_by_key(|fault| fault.at);
        }
    }
}

impl NodePlan {
    /// The longest time by which timers fire late.
    pub(super) fn timer_lateness(&self, faults_stopped: bool) -> Duration {
        let part = if faults_stopped { 0.05 } else { 0.15 };
        let most = self.timing.call_timeout().mul_f64(part);
        most.min(Self::LATEST_TIMER)
    }

    const LATEST_TIMER: Duration = Duration::from_millis(300);
}

/// The rate of the fastest clock, unless the clocks are [`Wild`](Clocks::Wild).
const FASTEST: f64 = 1.0;
const WILD: RangeInclusive<f64> = 0.7..=1.3;

/// The rate of a candidate's clock. Over one ttl it falls behind any other clock by less than its own margin,
/// including jumps of the store's clock and differences between its members.
fn holder_rate(timing: &Timing, store: StoreKind, clocks: Clocks, rng: &mut SmallRng) -> f64 {
    if clocks == Clocks::Wild {
        return rng.random_range(WILD);
    }
    let margin = timing.margin().div_duration_f64(timing.ttl());
    let part = match store {
        StoreKind::Observed { .. } => 0.95,
        _ => 0.5,
    };
    rng.random_range(FASTEST - margin * part..=FASTEST)
}

/// How far the clocks of a store may differ or jump.
fn most_ahead(nodes: &[NodePlan], store: StoreKind, clocks: Clocks) -> Duration {
    let timings = nodes.iter().map(|node| node.timing);
    match (clocks, store) {
        (Clocks::Wild, _) => {
            let longest = timings.map(|timing| timing.ttl()).max();
            longest.unwrap_or_default().mul_f64(0.5)
        }
        (_, StoreKind::Observed { .. }) => Duration::ZERO,
        _ => {
            let least = timings.map(|timing| timing.margin()).min();
            least.unwrap_or_default().mul_f64(0.45)
        }
    }
}

fn guard_options(timing: &Timing, rng: &mut SmallRng) -> HoldOptions {
    let ttl = timing.ttl();
    let mut options = HoldOptions::default();
    if rng.random_bool(0.15) {
        options.min_hold = rng.random_range(Duration::ZERO..ttl * 2);
    }
    if rng.random_bool(0.15) {
        options.max_hold = Some(rng.random_range(ttl..ttl * 4));
    }
    options
}

impl FaultKind {
    /// The node that the fault concerns, if it is only one.
    pub(super) fn node(&self) -> Option<usize> {
        match *self {
            Self::Pause { node, .. }
            | Self::Crash { node, .. }
            | Self::StepDown { node, .. }
            | Self::PauseLock { node }
            | Self::ResumeLock { node }
            | Self::Hint { node }
            | Self::Watch { node, .. } => Some(node),
            _ => None,
        }
    }
}
