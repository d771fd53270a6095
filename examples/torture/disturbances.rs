//! What was done, to which part and when. This may explain that a leader lost its lease.

use std::{fmt, time::Duration};

use tenure::clock::Moment;

use crate::{history::Term, intervals::Interval, node_id::NodeId};

/// What a disturbance may cost a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// One process.
    Process(NodeId),
    /// The connections of a node, in all of its runs.
    Proxies(usize),
    /// One resource, by an operator who evicts its holder.
    Resource(String),
    /// One resource, by an operator who asks its leader to hand over.
    HandOver(String),
    /// One resource, while it is paused.
    Pause(String),
    /// One resource, if this process leads it.
    Lease(NodeId, String),
    /// All nodes and resources.
    Everybody,
    /// No lease. No process of this node runs, so it cannot take one.
    Absence(usize),
}

impl Scope {
    /// The node that it keeps from contending, if any.
    pub(crate) fn node(&self) -> Option<usize> {
        match self {
            Self::Process(node) => Some(node.number),
            Self::Proxies(number) | Self::Absence(number) => Some(*number),
            Self::Resource(_)
            | Self::HandOver(_)
            | Self::Pause(_)
            | Self::Lease(..)
            | Self::Everybody => None,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Disturbance {
    pub(crate) what: String,
    pub(crate) scope: Scope,
    pub(crate) during: Interval,
}

impl Disturbance {
    pub(crate) fn new(what: &str, scope: Scope, start: Moment, end: Moment) -> Self {
        Self {
            what: what.to_owned(),
            scope,
            during: Interval { start, end },
        }
    }

    pub(crate) fn concerns(&self, term: &Term) -> bool {
        match &self.scope {
            Scope::Process(node) => *node == term.node,
            Scope::Proxies(number) => *number == term.node.number,
            Scope::Resource(resource) | Scope::HandOver(resource) | Scope::Pause(resource) => {
                *resource == term.resource
            }
            Scope::Lease(node, resource) => *node == term.node && *resource == term.resource,
            Scope::Everybody => true,
            Scope::Absence(_) => false,
        }
    }

    /// Whether it explains the end of a leadership: it concerns the leadership, and happened within the last
    /// ttl and margin before the end.
    ///
    /// If a leadership ends by its deadline, its last successful renewal was sent a ttl less a margin before.
    /// Each renewal since has failed, and something must have made it fail. A leadership that ends by a reply
    /// or a command ends at once. The additional margin covers an effect that lasts a little longer than its
    /// cause.
    pub(crate) fn explains(&self, term: &Term) -> bool {
        let end = term.interval().end;
        let window = Interval {
            start: end - term.ttl - slack(term.ttl),
            end: end + slack(term.ttl),
        };
        self.concerns(term) && self.during.start <= window.end && window.start <= self.during.end
    }
}

/// The default margin.
pub(crate) fn slack(ttl: Duration) -> Duration {
    ttl / 10
}

/// For how long all nodes were disturbed.
pub(crate) fn disturbing_all(disturbances: &[Disturbance]) -> Duration {
    let all = disturbances
        .iter()
        .filter(|one| one.scope == Scope::Everybody);
    let mut times: Vec<_> = all.map(|one| one.during).collect();
    times.sort_by_key(|time| time.start);
    let (mut sum, mut seen) = (Duration::ZERO, Moment::default());
    for time in times {
        sum += time.start.max(seen).until(time.end);
        seen = seen.max(time.end);
    }
    sum
}

impl fmt::Display for Disturbance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?})", self.what, self.scope)
    }
}
