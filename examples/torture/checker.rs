//! What must hold, and whether it did.

mod gaps;
mod pauses;

use std::{collections::BTreeMap, time::Duration};

use crate::{
    disturbances::{Disturbance, disturbing_all},
    history::Term,
    operators::Commanded,
};
use gaps::Gap;

/// The nodes that contend for the resources.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Contenders {
    /// Their numbers are 1 to this.
    pub(crate) nodes: usize,
    /// Whether they judge the expiry of a lease by their own clocks, from when they first saw it.
    pub(crate) observe: bool,
}

/// The result of a run, from what the nodes reported and wrote.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// Changes from one acquisition to the next.
    pub(crate) handovers: usize,
    pub(crate) overlaps: Vec<String>,
    /// Tokens that do not grow, or were given twice.
    pub(crate) tokens: Vec<String>,
    /// Acquisitions that were believed in while operators knew that the resource was paused.
    pub(crate) led_while_paused: Vec<String>,
    /// Hand-overs that were answered: the candidate that was named leads.
    pub(crate) hand_overs_done: usize,
    /// Pauses that were answered: nobody holds the lease.
    pub(crate) pauses_confirmed: usize,
    pub(crate) stale_applied: Vec<String>,
    pub(crate) unexplained: Vec<String>,
    /// Times without a leader that last longer than anything explains.
    pub(crate) gaps: Vec<String>,
    /// For how long all nodes were disturbed, so that every end was explained.
    pub(crate) troubled: Duration,
    /// From the end of one leadership to the start of the next.
    pub(crate) leaderless: Vec<Duration>,
}

impl Verdict {
    /// Looks at all acquisitions, whatever their order.
    pub(crate) fn of(
        contenders: Contenders,
        terms: &[Term],
        disturbances: &[Disturbance],
        registers: &BTreeMap<String, Vec<u64>>,
    ) -> Self {
        let mut verdict = Self {
            troubled: disturbing_all(disturbances),
            ..Self::default()
        };
        let mut resources: BTreeMap<&str, Vec<&Term>> = BTreeMap::new();
        for term in terms {
            resources.entry(&term.resource).or_default().push(term);
        }
        for terms in resources.values_mut() {
            terms.sort_by_key(|term| term.interval().start);
            verdict.check_order(contenders, terms, disturbances);
        }
        for (resource, written) in registers {
            verdict.check_register(resource, written);
        }
        for term in terms {
            verdict.check_end(term, disturbances);
        }
        verdict.leaderless.sort();
        verdict
    }

    /// Looks at what operators were answered.
    pub(crate) fn check_commands(&mut self, terms: &[Term], commanded: &[Commanded]) {
        for one in commanded {
            match one {
                Commanded::HandedOver { done, .. } => self.hand_overs_done += usize::from(*done),
                Commanded::Paused(pause) => {
                    self.pauses_confirmed += usize::from(pause.confirmed.is_some());
                    self.led_while_paused
                        .extend(pauses::violations(pause, terms));
                }
                Commanded::Evicted { .. } => {}
            }
        }
    }

    pub(crate) fn median_leaderless(&self) -> Option<Duration> {
        self.leaderless.get(self.leaderless.len() / 2).copied()
    }

    /// The acquisitions of one resource, by their start.
    fn check_order(
        &mut self,
        contenders: Contenders,
        terms: &[&Term],
        disturbances: &[Disturbance],
    ) {
        for (index, younger) in terms.iter().enumerate() {
            let resource = &younger.resource;
            // Compared with all earlier ones: a long one may overlap several.
            for older in &terms[..index] {
                let overlap = older.interval().overlap(younger.interval());
                let (first, second) = (older.node, younger.node);
                if !overlap.is_zero() {
                    self.overlaps.push(format!(
                        "{resource}: token {} of {first} and token {} of {second} overlap by {overlap:?}",
                        older.token, younger.token
                    ));
                }
                if younger.token <= older.token {
                    self.tokens.push(format!(
                        "{resource}: token {} of {second} came after token {} of {first}",
                        younger.token, older.token
                    ));
                }
            }
            if let Some(gap) = Gap::before(younger, &terms[..index], contenders) {
                self.leaderless.push(gap.length());
                self.gaps.extend(gap.unexplained(disturbances));
                self.handovers += 1;
            }
        }
    }

    /// The tokens of the writes that the register took.
    fn check_register(&mut self, resource: &str, written: &[u64]) {
        let mut newest = 0;
        for (turn, token) in written.iter().copied().enumerate() {
            if token < newest {
                self.stale_applied.push(format!(
                    "{resource}: write {turn} has token {token} and came after token {newest}"
                ));
            }
            newest = newest.max(token);
        }
    }

    fn check_end(&mut self, term: &Term, disturbances: &[Disturbance]) {
        // The end of a process explains its ends; a leadership that has not ended needs no reason. A grant
        // that no actor was told of was no leadership.
        if term.dead.is_some() || term.told.is_none() {
            return;
        }
        let Some(reason) = &term.reason else { return };
        if !disturbances
            .iter()
            .any(|disturbance| disturbance.explains(term))
        {
            self.unexplained.push(format!(
                "{}: token {} of {} ended at {:.3} s ({reason})",
                term.resource,
                term.token,
                term.node,
                Duration::from_nanos(term.interval().end.as_nanos()).as_secs_f64(),
            ));
        }
    }
}

#[cfg(test)]
mod tests;
