//! Who is to own which shard. Pure: the assigner alone runs it, and writes what it returns.

mod quota;

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, HashSet},
};

use super::{
    Shard,
    format::{Entry, Session},
    map::Step,
};
use quota::quotas;

/// A member that lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) session: Session,
    /// Its part of the whole. 0: it is to have nothing, because it leaves or is drained.
    pub(crate) weight: u32,
    /// The most shards that it owns at once.
    pub(crate) max_shards: Option<u32>,
    /// Whether it has lived long enough for shards to be moved to it. Until then, it only gets shards that have no living
    /// owner.
    pub(crate) settled: bool,
}

/// What the assigner knows.
pub(crate) struct Situation<'a> {
    /// The entry of each shard.
    pub(crate) entries: &'a [&'a Entry],
    pub(crate) candidates: &'a [Candidate],
    /// Whether a session was fenced or released.
    pub(crate) is_dead: &'a dyn Fn(Session) -> bool,
    /// Whether a ttl has passed since it saw that the shard was detached.
    pub(crate) may_take: &'a dyn Fn(Shard) -> bool,
    /// The shards of the dead wait: many have died at once, and may come back.
    pub(crate) holds_orphans: bool,
    /// How many shards may be moving at once. Those without a living owner do not count.
    pub(crate) max_moving: usize,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) steps: Vec<(Shard, Step)>,
    /// How many shards nobody can own: every weight is 0, or each member has as many as it may.
    pub(crate) left_over: usize,
}

/// Plans the next steps. Applied to its own result, it plans nothing, unless a shard avoids a member or a cap is reached:
/// then it may take some rounds.
///
/// 1. A shard without a living owner goes to the member in whose slot it was last, if that is below its quota, or else to
///    the one that is furthest below.
/// 2. Members above their quota give to settled ones below, as many as may move at once.
/// 3. A move to a member that has died or is to have nothing is withdrawn.
///
/// A member whose actor has not acknowledged the loss of a shard is not given that shard.
pub(crate) fn plan(situation: &Situation<'_>) -> Plan {
    let mut candidates = situation.candidates.to_vec();
    candidates.sort_by_key(|candidate| candidate.session);
    let mut planner = Planner::new(situation, &candidates);
    planner.assign_orphans();
    planner.move_surplus();
    planner.withdraw();
    planner.plan
}

struct Planner<'a> {
    situation: &'a Situation<'a>,
    candidates: &'a [Candidate],
    by_session: HashMap<Session, usize>,
    by_slot: HashMap<u32, usize>,
    /// How many shards each is to have, once the moves are done.
    have: Vec<u32>,
    /// How many each may own at once, until the moves are done.
    at_most: Vec<u32>,
    /// How many shards without a living owner were in its slot last.
    had: Vec<u32>,
    quotas: Vec<u32>,
    /// Those below their quota, the furthest first. An item may be outdated.
    below: BinaryHeap<(u32, Reverse<usize>)>,
    orphans: Vec<Shard>,
    /// The shards whose move goes nowhere.
    stranded: Vec<Shard>,
    /// The shards that the plan moves.
    replaced: HashSet<Shard>,
    moving: usize,
    plan: Plan,
}

impl<'a> Planner<'a> {
    fn new(situation: &'a Situation<'a>, candidates: &'a [Candidate]) -> Self {
        let index = |(index, candidate): (usize, &Candidate)| (candidate.session, index);
        let by_session: HashMap<_, _> = candidates.iter().enumerate().map(index).collect();
        let by_slot = by_session
            .iter()
            .map(|(session, index)| (session.slot, *index));
        let mut planner = Self {
            situation,
            candidates,
            by_slot: by_slot.collect(),
            by_session,
            have: vec![0; candidates.len()],
            at_most: vec![0; candidates.len()],
            had: vec![0; candidates.len()],
            quotas: Vec::new(),
            below: BinaryHeap::new(),
            orphans: Vec::new(),
            stranded: Vec::new(),
            replaced: HashSet::new(),
            moving: 0,
            plan: Plan::default(),
        };
        planner.count();
        let shards = situation.entries.len() as u32;
        planner.quotas = quotas(candidates, &planner.have, &planner.had, shards);
        for index in 0..candidates.len() {
            planner.push_below(index);
        }
        planner
    }

    fn entries(&self) -> impl Iterator<Item = (Shard, &'a Entry)> + use<'a> {
        let entries = self.situation.entries.iter().enumerate();
        entries.map(|(index, entry)| (Shard::new(index as u16), *entry))
    }

    fn entry(&self, shard: Shard) -> &'a Entry {
        self.situation.entries[usize::from(shard.index())]
    }

    fn may_have(&self, index: usize) -> bool {
        self.candidates[index].weight > 0
    }

    /// The living member to which a shard is to move.
    fn living_next(&self, entry: &Entry) -> Option<usize> {
        let next = entry.next.filter(|next| !entry.avoid.contains(next))?;
        let index = self.by_session.get(&next).copied();
        index.filter(|index| self.may_have(*index))
    }

    fn count(&mut self) {
        for (shard, entry) in self.entries() {
            let next = self.living_next(entry);
            let has_living_owner = entry.owner.is_some_and(|owner| {
                let taken = entry.detached && (self.situation.may_take)(shard);
                !(self.situation.is_dead)(owner) && !taken
            });
            if !has_living_owner {
                self.orphans.push(shard);
                if let Some(last) = self.last_of(entry) {
                    self.had[last] += 1;
                }
                continue;
            }
            let owner = entry.owner.and_then(|owner| self.by_session.get(&owner));
            if let Some(owner) = owner {
                self.at_most[*owner] += 1;
            }
            match (next, owner) {
                (Some(next), _) => {
                    self.have[next] += 1;
                    self.at_most[next] += 1;
                    self.moving += 1;
                }
                (None, Some(owner)) => self.have[*owner] += 1,
                (None, None) => {}
            }
            if next.is_none() && entry.next.is_some() {
                self.stranded.push(shard);
            }
        }
    }

    /// The member in whose slot a shard without a living owner was last.
    fn last_of(&self, entry: &Entry) -> Option<usize> {
        let slot = entry.owner.map_or(entry.last, |owner| Some(owner.slot))?;
        self.by_slot.get(&slot).copied()
    }

    fn push_below(&mut self, index: usize) {
        let below = self.quotas[index].saturating_sub(self.have[index]);
        if below > 0 {
            self.below.push((below, Reverse(index)));
        }
    }

    fn is_below(&self, index: usize) -> bool {
        self.have[index] < self.quotas[index]
    }

    /// The member furthest below its quota that may get this shard.
    fn furthest_below(&mut self, entry: &Entry) -> Option<usize> {
        let mut others = Vec::new();
        let mut found = None;
        while let Some((below, Reverse(index))) = self.below.pop() {
            let present = self.quotas[index].saturating_sub(self.have[index]);
            // If it is outdated, its present item is in the heap as well. A full member stays full during this plan.
            if present != below || self.is_full(index) {
                continue;
            }
            others.push((below, Reverse(index)));
            if self.suits(entry, index) {
                found = Some(index);
                break;
            }
        }
        self.below.extend(others);
        found
    }

    fn is_full(&self, index: usize) -> bool {
        let most = self.candidates[index].max_shards;
        most.is_some_and(|most| self.at_most[index] >= most)
    }

    fn suits(&self, entry: &Entry, index: usize) -> bool {
        let session = self.candidates[index].session;
        let hung = entry.detached && entry.owner == Some(session);
        !hung && !entry.avoid.contains(&session)
    }

    fn give(&mut self, shard: Shard, index: usize, step: fn(Session) -> Step) {
        self.have[index] += 1;
        self.at_most[index] += 1;
        self.push_below(index);
        let session = self.candidates[index].session;
        self.plan.steps.push((shard, step(session)));
    }

    fn assign_orphans(&mut self) {
        let mut others = Vec::new();
        for shard in std::mem::take(&mut self.orphans) {
            let entry = self.entry(shard);
            if self.situation.holds_orphans && entry.owner.is_some() && !entry.detached {
                continue;
            }
            let kept = self.living_next(entry).or_else(|| self.last_of(entry));
            let kept = kept.filter(|index| self.is_below(*index) && !self.is_full(*index));
            match kept.filter(|index| self.suits(entry, *index)) {
                Some(index) => self.give(shard, index, Step::Assign),
                None => others.push(shard),
            }
        }
        for shard in others {
            let entry = self.entry(shard);
            let found = self.furthest_below(entry);
            match found.or_else(|| self.least_above(entry)) {
                Some(index) => self.give(shard, index, Step::Assign),
                None => self.plan.left_over += 1,
            }
        }
    }

    /// All that may get this shard have their quota. It goes to the one that is least above, within its cap.
    fn least_above(&self, entry: &Entry) -> Option<usize> {
        let fit = (0..self.candidates.len())
            .filter(|index| self.may_have(*index) && !self.is_full(*index))
            .filter(|index| self.suits(entry, *index));
        fit.min_by_key(|index| i64::from(self.have[*index]) - i64::from(self.quotas[*index]))
    }

    fn move_surplus(&mut self) {
        let candidates = self.candidates;
        (self.below).retain(|(_, Reverse(index))| candidates[*index].settled);
        for (shard, entry) in self.entries() {
            if self.moving >= self.situation.max_moving || self.below.is_empty() {
                break;
            }
            let owner = entry.owner.and_then(|owner| self.by_session.get(&owner));
            let Some(owner) = owner.copied() else {
                continue;
            };
            let stays = entry.detached || self.living_next(entry).is_some();
            if stays || self.have[owner] <= self.quotas[owner] {
                continue;
            }
            let Some(index) = self.furthest_below(entry) else {
                continue;
            };
            self.have[owner] -= 1;
            self.moving += 1;
            self.give(shard, index, Step::Move);
            self.replaced.insert(shard);
        }
    }

    fn withdraw(&mut self) {
        let stranded = self
            .stranded
            .iter()
            .filter(|shard| !self.replaced.contains(shard));
        let withdrawn = stranded.map(|shard| (*shard, Step::Withdraw));
        self.plan.steps.extend(withdrawn);
    }
}

#[cfg(test)]
mod tests;
