//! Whether a resource was without a leader for longer than anything explains.

use std::{collections::BTreeSet, time::Duration};

use super::Contenders;
use crate::{
    disturbances::{Disturbance, Scope, slack},
    history::Term,
    intervals::Interval,
};

/// The reasons after which the lease is released.
const PLANNED: [&str; 5] = [STEPPED_DOWN, HANDED_OVER, "paused", "evicted", "shut down"];
const STEPPED_DOWN: &str = "stepped down";
/// Followed by the candidate.
const HANDED_OVER: &str = "handed over to ";

/// The time between two acquisitions of a resource, in which it had no leader.
#[derive(Debug)]
pub(super) struct Gap<'a> {
    older: &'a Term,
    younger: &'a Term,
    /// All acquisitions before the younger one.
    before: &'a [&'a Term],
    /// How many tokens in between no node is known to have led with.
    skipped: u32,
    during: Interval,
    contenders: Contenders,
}

impl<'a> Gap<'a> {
    /// `before` are all acquisitions before `younger`; `None` if there are none.
    pub(super) fn before(
        younger: &'a Term,
        before: &'a [&'a Term],
        contenders: Contenders,
    ) -> Option<Self> {
        // The previous acquisition is not always the one that ended last.
        let older = before.iter().max_by_key(|term| term.interval().end)?;
        let between = older.token.saturating_add(1)..younger.token;
        let known = before.iter().map(|term| term.token);
        let known = known.filter(|token| between.contains(token));
        let known = known.collect::<BTreeSet<_>>().len() as u64;
        let skipped = between.end.saturating_sub(between.start) - known;
        Some(Self {
            older,
            younger,
            before,
            skipped: u32::try_from(skipped).unwrap_or(u32::MAX),
            during: Interval {
                start: older.interval().end,
                end: younger.interval().start,
            },
            contenders,
        })
    }

    pub(super) fn length(&self) -> Duration {
        self.during.start.until(self.during.end)
    }

    /// A message, if it lasted longer than anything explains.
    ///
    /// A free lease is taken within [an answer](Self::answer), counted anew from the end of whatever
    /// kept all nodes from taking it. A skipped token is a grant whose reply was lost: its process asks again
    /// for up to a ttl, and the lease lives for another ttl. Before and after that the lease may be free.
    pub(super) fn unexplained(&self, disturbances: &[Disturbance]) -> Option<String> {
        let answer = self.answer(disturbances);
        let free = self.free(disturbances);
        let beyond = free.iter().map(|time| time.saturating_sub(answer));
        let per_token = self.older.ttl * 2 + self.sight() + answer;
        let for_tokens = per_token.saturating_mul(self.skipped);
        if beyond.sum::<Duration>() <= for_tokens {
            return None;
        }
        let (older, younger) = (self.older, self.younger);
        let start = Duration::from_nanos(self.during.start.as_nanos());
        Some(format!(
            "{}: no leader for {:.3?} from {:.3} s, between token {} of {} and token {} of {}; \
             unexplained of it: {free:.3?}, allowed: {answer:.3?} each, and {for_tokens:.3?} for {} \
             skipped tokens",
            older.resource,
            self.length(),
            start.as_secs_f64(),
            older.token,
            older.node,
            younger.token,
            younger.node,
            self.skipped,
        ))
    }

    /// The times in which nothing explains that there was no leader.
    fn free(&self, disturbances: &[Disturbance]) -> Vec<Duration> {
        let mut covers = self.held(disturbances);
        covers.extend(self.out_of_reach(disturbances));
        covers.sort_by_key(|cover| cover.start);
        let (mut free, mut seen) = (Vec::new(), self.during.start);
        for cover in covers {
            free.push(seen.until(cover.start.min(self.during.end)));
            seen = seen.max(cover.end);
        }
        free.push(seen.until(self.during.end));
        free.retain(|time| !time.is_zero());
        free
    }

    /// When the lease may be held in the store, though no node leads with it.
    fn held(&self, disturbances: &[Disturbance]) -> Vec<Interval> {
        let (older, from, sight) = (self.older, self.during.start, self.sight());
        let mut held = Vec::new();
        if !self.given_back() {
            let deadline = older.deadline.unwrap_or(from);
            let end = deadline + slack(older.ttl) + self.call() + sight;
            held.push(Interval { start: from, end });
        }
        for one in disturbances.iter().filter(|one| one.concerns(older)) {
            let holds = match one.scope {
                // A delayed renewal or release arrives when the disturbance is over.
                Scope::Everybody | Scope::Process(_) | Scope::Proxies(_) => {
                    one.during.start <= from + self.call() + sight
                }
                // An eviction is a write to be observed.
                Scope::Resource(_) => self.contenders.observe && !self.given_back(),
                Scope::HandOver(_) | Scope::Pause(_) | Scope::Lease(..) | Scope::Absence(_) => {
                    false
                }
            };
            if holds {
                let Interval { start, end } = self.felt(one);
                let end = end + older.ttl + sight;
                held.push(Interval { start, end });
            }
        }
        // It may have been granted to the next leader, whose reply was delayed.
        let younger = disturbances.iter().filter(|one| {
            matches!(one.scope, Scope::Process(_) | Scope::Proxies(_)) && one.concerns(self.younger)
        });
        held.extend(younger.map(|one| self.felt(one)));
        held
    }

    /// When no node could take the lease.
    fn out_of_reach(&self, disturbances: &[Disturbance]) -> Vec<Interval> {
        let everybody = disturbances.iter().filter(|one| match &one.scope {
            Scope::Everybody => true,
            Scope::Pause(resource) => *resource == self.older.resource,
            _ => false,
        });
        let everybody = everybody.map(|one| self.felt(one));
        let mut nobody_able = vec![self.during];
        for number in 1..=self.contenders.nodes {
            let unable = self.unable(number, disturbances);
            let common = nobody_able
                .iter()
                .flat_map(|all| unable.iter().filter_map(|one| all.common(*one)));
            nobody_able = common.collect();
        }
        everybody.chain(nobody_able).collect()
    }

    /// When a node could not take the lease.
    ///
    /// If challengers observe, a node that comes back observes anew: its process may be a new one, or may not
    /// have seen the last write before. Trouble of the store in that time makes it longer.
    fn unable(&self, number: usize, disturbances: &[Disturbance]) -> Vec<Interval> {
        let mut times: Vec<(Interval, bool)> = disturbances
            .iter()
            .filter_map(|one| match &one.scope {
                Scope::Everybody => Some((self.felt(one), true)),
                scope => (scope.node()? == number).then(|| (self.felt(one), false)),
            })
            .collect();
        // A node that has stepped down does not contend for a ttl.
        let held_off = self.older.ttl + self.poll() + self.call();
        let ended = self.before.iter().filter(|term| term.node.number == number);
        let ends = ended
            .filter(|term| term.reason.as_deref() == Some(STEPPED_DOWN))
            .map(|term| term.interval().end);
        times.extend(ends.map(|start| {
            let end = start + held_off;
            (Interval { start, end }, false)
        }));
        times.sort_by_key(|(time, _)| time.start);
        let again = if self.contenders.observe {
            self.older.ttl + self.sight()
        } else {
            Duration::ZERO
        };
        let mut unable: Vec<Interval> = Vec::new();
        for (time, everybody) in times {
            let (start, end) = (time.start, time.end + again);
            match unable.last_mut().filter(|last| start <= last.end) {
                Some(last) => last.end = last.end.max(end),
                None if everybody => {}
                None => unable.push(Interval { start, end }),
            }
        }
        unable
    }

    /// A disturbance with its effect: a request that was sent during it may arrive, or fail, only after it.
    ///
    /// A challenger without any reply for a whole ttl gives its attempt back, and lets every other candidate bid
    /// once before it bids again. That takes as long as [an answer](Self::answer), and after trouble of the store
    /// it may apply to all of them.
    fn felt(&self, disturbance: &Disturbance) -> Interval {
        let Interval { start, end } = disturbance.during;
        let end = end + self.call();
        Interval { start, end }
    }

    /// Whether the lease was released. A process may die before it does that.
    fn given_back(&self) -> bool {
        let died = self.older.dead;
        let reason = self.older.reason.as_deref();
        let planned =
            reason.is_some_and(|reason| PLANNED.iter().any(|planned| reason.starts_with(planned)));
        planned && died.is_none_or(|dead| self.during.start + self.call() < dead)
    }

    /// The longest time in which a free lease is taken, without a disturbance.
    ///
    /// After a hand-over, candidates that were not named are refused until they have waited for a poll.
    fn answer(&self, disturbances: &[Disturbance]) -> Duration {
        let one = self.poll() + self.call();
        let after_hand_over = disturbances.iter().any(|one| {
            let during = one.during;
            matches!(one.scope, Scope::HandOver(_))
                && one.concerns(self.older)
                && self.older.interval().start <= during.end
                && during.start <= self.during.end
        });
        let polls = if after_hand_over { one * 2 } else { one };
        polls + slack(self.older.ttl)
    }

    /// The longest time until a challenger has seen a write that it must observe.
    fn sight(&self) -> Duration {
        if self.contenders.observe {
            self.poll() + self.call()
        } else {
            Duration::ZERO
        }
    }

    /// The default time between two bids, with its jitter.
    fn poll(&self) -> Duration {
        (self.older.ttl / 5).mul_f64(1.0 + tenure::timing::POLL_JITTER)
    }

    /// The default time limit of a request.
    fn call(&self) -> Duration {
        self.older.ttl / 5
    }
}
