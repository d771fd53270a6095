//! What must hold, and whether it did.

use std::time::Duration;

use tenure::clock::Moment;

use crate::{
    history::{History, Lapse, Term},
    intervals::longest_overlap,
    node_id::NodeId,
};

/// What was done to a leader, and who led next.
#[derive(Clone, Debug)]
pub(crate) struct Blow {
    pub(crate) event: &'static str,
    pub(crate) node: NodeId,
    pub(crate) next: NodeId,
    /// The time until the next leader got its message, and the limit for it.
    pub(crate) next_after: Duration,
    pub(crate) limit: Duration,
    pub(crate) before: u64,
    pub(crate) after: u64,
    /// The overlap of the two leaderships, known at the end of the run.
    pub(crate) overlap: Duration,
    pub(crate) wrong: Option<String>,
}

impl Blow {
    pub(crate) fn new(
        event: &'static str,
        at: Moment,
        leader: &Term,
        next: &Term,
        limit: Duration,
    ) -> Self {
        Self {
            event,
            node: leader.node,
            next: next.node,
            next_after: next.told.map_or(Duration::ZERO, |told| at.until(told)),
            limit,
            before: leader.token,
            after: next.token,
            overlap: Duration::ZERO,
            wrong: None,
        }
    }

    pub(crate) fn in_time(&self) -> bool {
        self.next_after <= self.limit
    }
}

/// What the probe of the frozen leader found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frozen {
    pub(crate) node: NodeId,
    /// When it was continued.
    pub(crate) thawed: Moment,
    pub(crate) lapse: Lapse,
}

impl Frozen {
    /// Whether every call that started after the process was continued returned false. There must have been
    /// such calls, and earlier ones that returned true.
    pub(crate) fn answered_false(&self) -> bool {
        let Lapse {
            last_true,
            first_false,
        } = self.lapse;
        last_true.is_some_and(|last| last <= self.thawed) && self.thawed <= first_false
    }
}

/// The result of a run.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) blows: Vec<Blow>,
    pub(crate) frozen: Option<Frozen>,
    /// The longest overlap of any two leaderships.
    pub(crate) overlap: Duration,
    pub(crate) leaderships: usize,
    pub(crate) took: Duration,
    /// The longest time for which the machine did not run the supervisor: a reason why others may be late.
    pub(crate) held_up: Duration,
    pub(crate) warnings: Vec<String>,
    pub(crate) failures: Vec<String>,
}

impl Findings {
    pub(crate) fn fail(&mut self, what: String) {
        self.failures.push(what);
    }

    pub(crate) fn is_ok(&self) -> bool {
        self.failures.is_empty()
    }

    /// Checks all promises against what the nodes reported.
    pub(crate) fn judge(&mut self, history: &History) {
        for blow in &mut self.blows {
            let of = |token| move |term: &&Term| term.token == token;
            let terms = history.terms();
            let (before, after) = (
                terms.iter().find(of(blow.before)),
                terms.iter().find(of(blow.after)),
            );
            if let (Some(before), Some(after)) = (before, after) {
                blow.overlap = before.interval().overlap(after.interval());
            }
            let (event, took, limit) = (blow.event, blow.next_after, blow.limit);
            if !blow.in_time() {
                let text = format!("{event}: the next leader took {took:.2?}, over {limit:.2?}");
                self.failures.push(text);
            }
            if let Some(wrong) = &blow.wrong {
                self.failures.push(format!("{event}: {wrong}"));
            }
        }
        if let Some(frozen) = self.frozen.filter(|frozen| !frozen.answered_false()) {
            let node = frozen.node.name();
            self.fail(format!(
                "is_current() of {node} returned true after SIGCONT"
            ));
        }
        let intervals: Vec<_> = history.terms().iter().map(Term::interval).collect();
        self.leaderships = intervals.len();
        self.overlap = longest_overlap(&intervals);
        if !self.overlap.is_zero() {
            let overlap = self.overlap;
            self.fail(format!("two leaderships overlap by {overlap:?}"));
        }
        self.check_tokens(history);
        self.warnings = history.warnings().to_vec();
    }

    fn check_tokens(&mut self, history: &History) {
        let mut terms: Vec<_> = history.terms().iter().collect();
        terms.sort_by_key(|term| term.interval().start);
        for pair in terms.windows(2) {
            let (first, second) = (pair[0].token, pair[1].token);
            if second <= first {
                self.fail(format!("token {second} came after token {first}"));
            }
        }
    }
}
