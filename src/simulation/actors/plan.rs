use std::time::Duration;

use actix::Message;
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};

use crate::simulation::plan::{self, Clocks, FaultKind};

/// A plan of the first layer, and what happens to the actors.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// Its faults are replaced by those below.
    pub(super) base: plan::Plan,
    /// The subscribers of each lock at its start; none if it does not contend.
    pub(super) subscribers: Vec<Vec<SubscriberPlan>>,
    /// The observers of each lock at its start, and whether each restarts.
    pub(super) observers: Vec<Vec<bool>>,
    /// The number of subscribers that a lock tells in one step.
    pub(super) batch_size: usize,
    /// The chance that a store call panics.
    pub(super) panics: f64,
    /// Whether the store reports changes through `watch`.
    pub(super) hints: bool,
    /// In order of time.
    pub(super) troubles: Vec<(Duration, ActorFault)>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct SubscriberPlan {
    pub(super) style: Style,
    /// Whether it restarts and subscribes again when it stops.
    pub(super) supervised: bool,
    /// The chance that it stops while it handles a message.
    pub(super) fragile: f64,
}

/// How a subscriber handles its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// At once.
    Prompt,
    /// Slowly, one after the other.
    Slow,
    /// Slowly and several at a time: an earlier handler may outlive a later one. Handlers end with the actor.
    Overlapping,
    /// The same, but a handler may outlive the actor.
    Detached,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum ActorFault {
    /// As in the first layer.
    Common(FaultKind),
    /// A subscriber stops.
    Stop {
        node: usize,
        subscriber: usize,
    },
    /// A subscriber panics.
    Panic {
        node: usize,
        subscriber: usize,
    },
    Unsubscribe {
        node: usize,
        subscriber: usize,
    },
    /// A subscriber subscribes, again or for the second time.
    Subscribe {
        node: usize,
        subscriber: usize,
    },
    /// A new subscriber subscribes.
    Join {
        node: usize,
        plan: SubscriberPlan,
    },
    /// A new observer observes.
    Watch {
        node: usize,
    },
    /// An observer stops, or observes again.
    ObserverStimulus {
        node: usize,
        observer: usize,
        stimulus: ObserverStimulus,
    },
    /// The lock is shut down, by a command or by dropping its last handle, and another starts.
    Shutdown {
        node: usize,
        by_drop: bool,
        time: Duration,
        new_id: bool,
    },
}

/// What the simulation does to an observer.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(super) enum ObserverStimulus {
    Stop,
    Observe,
}

impl SubscriberPlan {
    pub(super) const PROMPT: Self = Self {
        style: Style::Prompt,
        supervised: true,
        fragile: 0.0,
    };

    fn new(rng: &mut SmallRng) -> Self {
        let style = match rng.random_range(0..6) {
            0 => Style::Slow,
            1 => Style::Overlapping,
            2 => Style::Detached,
            _ => Style::Prompt,
        };
        Self {
            style,
            supervised: rng.random_bool(0.5),
            fragile: if rng.random_bool(0.2) {
                rng.random_range(0.0..0.3)
            } else {
                0.0
            },
        }
    }
}

impl Plan {
    pub(super) fn new(seed: u64) -> Self {
        let mut base = plan::Plan::new(seed, Clocks::WithinMargin);
        base.nodes.truncate(5);
        let mut rng = SmallRng::seed_from_u64(seed ^ 0x5eed);
        let nodes = base.nodes.len();
        let subscribers: Vec<Vec<_>> = (0..nodes)
            .map(|node| {
                let contends = node == 0 || rng.random_bool(0.85);
                let count = if contends { rng.random_range(1..=3) } else { 0 };
                (0..count).map(|_| SubscriberPlan::new(&mut rng)).collect()
            })
            .collect();
        let observers = subscribers
            .iter()
            .map(|subscribers| {
                let count = rng.random_range(0..=1) + usize::from(subscribers.is_empty());
                (0..count).map(|_| rng.random_bool(0.5)).collect()
            })
            .collect();
        let mut troubles = Vec::new();
        for fault in std::mem::take(&mut base.faults) {
            let trouble = match fault.kind {
                // In this layer, store changes come from the store.
                FaultKind::Hint { .. } | FaultKind::Watch { .. } => Self::trouble(nodes, &mut rng),
                kind if kind.node().is_some_and(|node| node >= nodes) => continue,
                kind => ActorFault::Common(kind),
            };
            troubles.push((fault.at, trouble));
            if let FaultKind::Pause { time, .. } = fault.kind {
                // Other faults may happen meanwhile.
                let at = fault.at + time.mul_f64(rng.random_range(0.0..1.5));
                troubles.push((at, Self::trouble(nodes, &mut rng)));
            }
        }
        if rng.random_bool(0.04) {
            let at = plan::Plan::FAULTS_STOP_AT.mul_f64(rng.random_range(0.5..1.0));
            troubles.push((at, ActorFault::Common(FaultKind::NewerLibrary)));
        }
        troubles.retain(|(at, _)| *at < plan::Plan::FAULTS_STOP_AT);
        troubles.sort_by_key(|(at, _)| *at);
        Self {
            base,
            subscribers,
            observers,
            batch_size: 1 + seed as usize % 3,
            panics: if rng.random_bool(0.3) {
                rng.random_range(0.0..0.1)
            } else {
                0.0
            },
            hints: rng.random_bool(0.3),
            troubles,
        }
    }

    fn trouble(nodes: usize, rng: &mut SmallRng) -> ActorFault {
        let (node, subscriber) = (rng.random_range(0..nodes), rng.random_range(0..4));
        match rng.random_range(0..12) {
            0 | 1 => ActorFault::Stop { node, subscriber },
            2 => ActorFault::Panic { node, subscriber },
            3 | 4 => ActorFault::Unsubscribe { node, subscriber },
            5 | 6 => ActorFault::Subscribe { node, subscriber },
            7 => ActorFault::Join {
                node,
                plan: SubscriberPlan::new(rng),
            },
            8 => ActorFault::Watch { node },
            9 => ActorFault::ObserverStimulus {
                node,
                observer: subscriber,
                stimulus: if rng.random_bool(0.5) {
                    ObserverStimulus::Stop
                } else {
                    ObserverStimulus::Observe
                },
            },
            _ => ActorFault::Shutdown {
                node,
                by_drop: rng.random_bool(0.5),
                time: Duration::from_secs_f64(rng.random_range(0.0..15.0)),
                new_id: rng.random_bool(0.5),
            },
        }
    }
}
