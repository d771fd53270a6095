//! What a member knows of the slots: who lives, who is dead for good, and since when.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use super::{
    config::{MemberInfo, Names},
    format::Session,
};
use crate::{
    clock::Moment,
    lease::{FencingToken, LeaseRecord},
};

/// A slot as it was seen last.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    pub(crate) token: FencingToken,
    pub(crate) held: bool,
    /// By when it has expired, if it is not renewed.
    expires_at: Moment,
    /// Whether the record said so itself.
    pub(crate) expired: bool,
    /// `None` if it is no member, for instance a fence.
    pub(crate) info: Option<MemberInfo>,
}

#[derive(Debug, Default)]
pub(crate) struct Roster {
    slots: BTreeMap<u32, Slot>,
    /// When each session was first seen alive.
    since: HashMap<Session, Moment>,
    /// The moments at which members in a slot died, for those that flap.
    deaths: HashMap<u32, Vec<Moment>>,
}

impl Roster {
    /// Takes a whole list.
    ///
    /// A slot that is not in it counts as expired, not as dead: the list may be older than the slot. An
    /// attempt to fence it shows which.
    pub(crate) fn listed(&mut self, records: &[LeaseRecord], now: Moment) {
        let mut found = BTreeSet::new();
        for record in records {
            if let Some(slot) = Names::number(&record.resource) {
                self.saw(slot, record, now);
                found.insert(slot);
            }
        }
        let missing = (self.slots.iter_mut()).filter(|(slot, _)| !found.contains(slot));
        for (_, slot) in missing.filter(|(_, slot)| slot.held) {
            slot.expired = true;
        }
    }

    /// Takes one record. Facts are never taken back: an older view of a slot changes nothing.
    pub(crate) fn saw(&mut self, slot: u32, record: &LeaseRecord, now: Moment) {
        let before = self.slots.get(&slot);
        let held = record.holder.is_some();
        let is_older =
            before.is_some_and(|before| (record.token, !held) < (before.token, !before.held));
        if is_older {
            return;
        }
        let info = record.metadata.as_ref().and_then(MemberInfo::parse);
        let info = info.filter(|info| held && !info.fence);
        let session = Session {
            slot,
            token: record.token,
        };
        if info.is_some() {
            self.since.entry(session).or_insert(now);
        }
        let seen = Slot {
            token: record.token,
            held,
            expires_at: now + record.remaining,
            expired: held && record.remaining.is_zero(),
            info,
        };
        self.slots.insert(slot, seen);
    }

    /// Whether a session was fenced or released. It never becomes untrue.
    pub(crate) fn is_dead(&self, session: Session) -> bool {
        self.slots.get(&session.slot).is_some_and(|slot| {
            slot.token > session.token || (slot.token == session.token && !slot.held)
        })
    }

    pub(crate) fn slot(&self, slot: u32) -> Option<&Slot> {
        self.slots.get(&slot)
    }

    pub(crate) fn slots(&self) -> &BTreeMap<u32, Slot> {
        &self.slots
    }

    /// The members that live as far as one can see.
    pub(crate) fn live(&self) -> impl Iterator<Item = (Session, &MemberInfo)> {
        let live = self
            .slots
            .iter()
            .filter(|(_, slot)| slot.held && !slot.expired);
        live.filter_map(|(slot, seen)| {
            let token = seen.token;
            let session = Session { slot: *slot, token };
            Some((session, seen.info.as_ref()?))
        })
    }

    /// The slots whose lease has expired, and may be taken.
    pub(crate) fn expired(&self) -> impl Iterator<Item = u32> {
        let expired = self.slots.iter().filter(|(_, slot)| slot.expired);
        expired.map(|(slot, _)| *slot)
    }

    /// When the next lease expires, if nobody renews it.
    pub(crate) fn next_expiry(&self) -> Option<Moment> {
        let held = self
            .slots
            .values()
            .filter(|slot| slot.held && !slot.expired);
        held.map(|slot| slot.expires_at).min()
    }

    /// How long a member has been seen.
    pub(crate) fn seen_for(&self, session: Session, now: Moment) -> Duration {
        let since = self.since.get(&session);
        since.map_or(Duration::ZERO, |since| since.until(now))
    }

    /// Whether a member has lived long enough for shards to be moved to it. One whose slot has died several times within
    /// five minutes must live longer.
    pub(crate) fn is_settled(&self, session: Session, settle: Duration, now: Moment) -> bool {
        let recent = self.deaths.get(&session.slot).map_or(0, |deaths| {
            let is_recent = |died: &&Moment| died.until(now) < FLAPPING_WITHIN;
            deaths.iter().filter(is_recent).count() as u32
        });
        let damping = if recent < 2 { 1 } else { 1 << recent.min(10) };
        self.seen_for(session, now) >= (settle * damping).min(FLAPPING_WITHIN)
    }

    /// Notes the members that have died since, and forgets what is no longer needed. Returns how many died.
    pub(crate) fn bury(&mut self, now: Moment) -> usize {
        let died: Vec<Session> = (self.since.keys().copied())
            .filter(|session| self.is_dead(*session))
            .collect();
        for session in &died {
            self.since.remove(session);
            self.deaths.entry(session.slot).or_default().push(now);
        }
        self.deaths.retain(|_, deaths| {
            deaths.retain(|died| died.until(now) < FLAPPING_WITHIN);
            !deaths.is_empty()
        });
        died.len()
    }
}

/// How long a death counts against a slot.
const FLAPPING_WITHIN: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests;
