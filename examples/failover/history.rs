//! Who led when, from what the nodes reported.

use tenure::clock::Moment;

use crate::{capture::Logged, intervals::Interval, node_id::NodeId, protocol::Event};

/// One acquisition, from its grant to its end.
#[derive(Clone, Debug)]
pub(crate) struct Term {
    pub(crate) node: NodeId,
    pub(crate) token: u64,
    /// When the actor was told that it leads.
    pub(crate) told: Option<Moment>,
    /// When the actor was told that it follows, and had stopped.
    pub(crate) stopped: Option<Moment>,
    /// When the first and the last grant or renewal was logged.
    pub(crate) granted: Option<Moment>,
    pub(crate) extended: Option<Moment>,
    /// The latest deadline of them.
    pub(crate) deadline: Option<Moment>,
    /// When it ended, by its own log.
    pub(crate) ended: Option<Moment>,
    pub(crate) lapse: Option<Lapse>,
    /// When its process was dead.
    pub(crate) dead: Option<Moment>,
}

/// What the probe found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lapse {
    pub(crate) last_true: Option<Moment>,
    pub(crate) first_false: Moment,
}

impl Term {
    fn new(node: NodeId, token: u64) -> Self {
        Self {
            node,
            token,
            told: None,
            stopped: None,
            granted: None,
            extended: None,
            deadline: None,
            ended: None,
            lapse: None,
            dead: None,
        }
    }

    /// The time during which its process believed in it.
    pub(crate) fn interval(&self) -> Interval {
        Interval::of_belief(
            [self.told, self.granted],
            self.ended.or(self.deadline),
            self.lapse.and_then(|lapse| lapse.last_true),
            self.dead,
        )
    }
}

/// Every acquisition that a node reported, in the order of the first report.
#[derive(Debug, Default)]
pub(crate) struct History {
    terms: Vec<Term>,
    /// The nodes that contend: their actor has got its first message.
    ready: Vec<NodeId>,
    step_downs: Vec<(NodeId, String)>,
    warnings: Vec<String>,
}

impl History {
    pub(crate) fn record(&mut self, id: NodeId, event: &Event) {
        let moment = Moment::from_nanos;
        match *event {
            Event::Leads { token, at } => self.term(id, token).told = Some(moment(at)),
            Event::Follows { token, at, .. } => {
                if let Some(token) = token {
                    self.term(id, token).stopped = Some(moment(at));
                }
                if !self.is_ready(id) {
                    self.ready.push(id);
                }
            }
            Event::Logged(Logged::Extended {
                token,
                at,
                deadline,
                ..
            }) => {
                let term = self.term(id, token);
                term.granted = term.granted.or(Some(moment(at)));
                term.extended = Some(moment(at));
                term.deadline = term.deadline.max(Some(moment(deadline)));
            }
            Event::Logged(Logged::Ended { token, at, .. }) => {
                self.term(id, token).ended = Some(moment(at));
            }
            Event::Lapsed {
                token,
                last_true,
                first_false,
            } => {
                self.term(id, token).lapse = Some(Lapse {
                    last_true: last_true.map(moment),
                    first_false: moment(first_false),
                });
            }
            Event::SteppedDown { ref outcome } => self.step_downs.push((id, outcome.clone())),
            Event::Logged(Logged::LostLeadership { ref text } | Logged::Warned { ref text }) => {
                self.warnings.push(format!("{}: {text}", id.name()));
            }
        }
    }

    /// A process is dead: everything that it led has ended.
    pub(crate) fn died(&mut self, id: NodeId, at: Moment) {
        self.ready.retain(|ready| *ready != id);
        for term in self.terms.iter_mut().filter(|term| term.node == id) {
            term.dead = Some(at);
        }
    }

    pub(crate) fn terms(&self) -> &[Term] {
        &self.terms
    }

    pub(crate) fn warnings(&self) -> &[String] {
        &self.warnings
    }

    pub(crate) fn is_ready(&self, id: NodeId) -> bool {
        self.ready.contains(&id)
    }

    /// The leader with the newest token, unless its end was reported already.
    pub(crate) fn leader(&self) -> Option<&Term> {
        self.newest()
            .filter(|term| term.stopped.or(term.ended).or(term.dead).is_none())
    }

    /// The acquisition with the newest token of which an actor was told.
    pub(crate) fn newest(&self) -> Option<&Term> {
        let told = self.terms.iter().filter(|term| term.told.is_some());
        told.max_by_key(|term| term.token)
    }

    pub(crate) fn find(&self, node: NodeId, token: u64) -> Option<&Term> {
        let mut terms = self.terms.iter();
        terms.find(|term| term.node == node && term.token == token)
    }

    /// How the last step-down of a node went.
    pub(crate) fn step_down(&self, node: NodeId) -> Option<&str> {
        let mut step_downs = self.step_downs.iter().rev();
        step_downs
            .find(|(id, _)| *id == node)
            .map(|(_, outcome)| outcome.as_str())
    }

    fn term(&mut self, node: NodeId, token: u64) -> &mut Term {
        let known = (self.terms.iter()).position(|term| term.node == node && term.token == token);
        let index = known.unwrap_or_else(|| {
            self.terms.push(Term::new(node, token));
            self.terms.len() - 1
        });
        &mut self.terms[index]
    }
}
