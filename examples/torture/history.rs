//! Who led what and when, from what the nodes reported.

use std::{collections::HashMap, time::Duration};

use tenure::clock::Moment;

use crate::{
    capture::Logged,
    intervals::Interval,
    node_id::NodeId,
    protocol::{Event, Outcome},
};

/// One acquisition. A token given to two processes makes two of them.
#[derive(Clone, Debug)]
pub(crate) struct Term {
    pub(crate) resource: String,
    pub(crate) ttl: Duration,
    pub(crate) node: NodeId,
    pub(crate) token: u64,
    /// When its actor was told that it leads.
    pub(crate) told: Option<Moment>,
    /// When the first grant or renewal was logged.
    pub(crate) granted: Option<Moment>,
    /// The latest deadline of them.
    pub(crate) deadline: Option<Moment>,
    /// When it ended, by its own log.
    pub(crate) ended: Option<Moment>,
    /// The last moment at which its process was seen to believe in it.
    pub(crate) believed: Option<Moment>,
    /// Why its actor was told that it ended.
    pub(crate) reason: Option<String>,
    /// When its process was dead.
    pub(crate) dead: Option<Moment>,
}

impl Term {
    /// The time during which its process believed in it.
    pub(crate) fn interval(&self) -> Interval {
        Interval::of_belief(
            [self.told, self.granted],
            self.ended.or(self.deadline),
            self.believed,
            self.dead,
        )
    }
}

/// Everything that the nodes reported.
#[derive(Debug, Default)]
pub(crate) struct History {
    terms: Vec<Term>,
    index: HashMap<(String, NodeId, u64), usize>,
    ttls: HashMap<String, Duration>,
    pub(crate) held_up: Vec<(NodeId, Interval)>,
    pub(crate) refused: usize,
}

impl History {
    pub(crate) fn new(ttls: impl IntoIterator<Item = (String, Duration)>) -> Self {
        Self {
            ttls: ttls.into_iter().collect(),
            ..Self::default()
        }
    }

    pub(crate) fn record(&mut self, id: NodeId, event: Event) {
        let moment = Moment::from_nanos;
        match event {
            Event::Leads {
                resource,
                token,
                at,
            } => self.term(id, resource, token).told = Some(moment(at)),
            Event::Follows {
                resource,
                token: Some(token),
                reason,
                ..
            } => self.term(id, resource, token).reason = Some(reason),
            Event::Follows { .. } => {}
            Event::Logged(Logged::Extended {
                resource,
                token,
                at,
                deadline,
            }) => {
                let term = self.term(id, resource, token);
                term.granted = term.granted.or(Some(moment(at)));
                term.deadline = term.deadline.max(Some(moment(deadline)));
            }
            Event::Logged(Logged::Ended {
                resource,
                token,
                at,
            }) => self.term(id, resource, token).ended = Some(moment(at)),
            Event::Believed {
                resource,
                token,
                at,
            } => {
                let term = self.term(id, resource, token);
                term.believed = term.believed.max(Some(moment(at)));
            }
            Event::Wrote {
                resource,
                token,
                believed,
                outcome,
            } => {
                self.refused += usize::from(outcome == Outcome::Refused);
                let term = self.term(id, resource, token);
                term.believed = term.believed.max(believed.map(moment));
            }
            Event::HeldUp { from, until } => {
                let (start, end) = (moment(from), moment(until));
                self.held_up.push((id, Interval { start, end }));
            }
            Event::Logged(Logged::LostLeadership { .. } | Logged::Warned { .. }) => {}
        }
    }

    /// A process is dead: everything that it led has ended.
    pub(crate) fn died(&mut self, id: NodeId, at: Moment) {
        for term in self.terms.iter_mut().filter(|term| term.node == id) {
            term.dead = Some(at);
        }
    }

    pub(crate) fn terms(&self) -> &[Term] {
        &self.terms
    }

    /// The leader with the newest token, unless its end was reported or its deadline has passed.
    pub(crate) fn leader(&self, resource: &str, now: Moment) -> Option<&Term> {
        let terms = self.terms.iter().filter(|term| term.resource == resource);
        terms.max_by_key(|term| term.token).filter(|term| {
            let over = term.reason.is_some() || term.ended.is_some() || term.dead.is_some();
            term.told.is_some() && !over && term.deadline.is_some_and(|deadline| now < deadline)
        })
    }

    fn term(&mut self, node: NodeId, resource: String, token: u64) -> &mut Term {
        let ttl = self.ttls.get(&resource).copied().unwrap_or_default();
        let key = (resource, node, token);
        let terms = &mut self.terms;
        let index = *self.index.entry(key).or_insert_with_key(|key| {
            terms.push(Term {
                resource: key.0.clone(),
                ttl,
                node,
                token,
                told: None,
                granted: None,
                deadline: None,
                ended: None,
                believed: None,
                reason: None,
                dead: None,
            });
            terms.len() - 1
        });
        &mut self.terms[index]
    }
}
