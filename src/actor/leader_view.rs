mod observers;

use std::time::{Duration, SystemTime};

use actix::{Recipient, WeakRecipient};

use super::{KnownLeader, LeaderChanged, status::SeenRecord};
use crate::{
    clock::Moment,
    election::{Config, Reply},
    lease::{CandidateId, FencingToken, LeaseRecord},
};
use observers::Observers;

/// The record as a lock has last read it, and the observers that are told of changes.
#[derive(Debug, Default)]
pub(super) struct LeaderView {
    /// The record that was read last, and when. Boxed, because a leader has none.
    seen: Option<Box<(LeaseRecord, Moment)>>,
    /// What observers were sent last. That may be the lock's own grant, for which the store returns no record.
    shown: Option<LeaseRecord>,
    observers: Observers,
}

impl LeaderView {
    /// The record that was read last, with the remaining time counted down.
    pub(super) fn last_seen(&self, now: Moment) -> Option<SeenRecord> {
        let (record, seen_at) = self.seen.as_deref()?;
        let age = seen_at.until(now);
        let mut record = record.clone();
        record.remaining = record.remaining.saturating_sub(age);
        Some(SeenRecord { record, age })
    }

    pub(super) fn is_observed(&self) -> bool {
        !self.observers.is_empty()
    }

    /// Adds an observer, and sends it the present record.
    pub(super) fn observe(&mut self, observer: &WeakRecipient<LeaderChanged>) {
        let Some(recipient) = observer.upgrade() else {
            return;
        };
        if let Some(record) = self.shown.clone() {
            recipient.do_send(LeaderChanged { record });
        }
        self.observers.add(&recipient);
    }

    /// The leader by the last read, unless it led by the token that has just ended.
    pub(super) fn leader(&self, ended: Option<FencingToken>, now: Moment) -> Option<CandidateId> {
        self.holder(ended, now).map(|(leader, _)| leader.holder)
    }

    /// The same with token and metadata, and when the record expires.
    pub(super) fn holder(
        &self,
        ended: Option<FencingToken>,
        now: Moment,
    ) -> Option<(KnownLeader, Moment)> {
        let (record, seen_at) = self.seen.as_deref()?;
        let until = *seen_at + record.remaining;
        if until <= now || Some(record.token) == ended {
            return None;
        }
        let leader = KnownLeader {
            holder: record.holder.clone()?,
            token: record.token,
            metadata: record.metadata.clone(),
        };
        Some((leader, until))
    }

    /// Takes note of a reply of the store and of the record in it.
    pub(super) fn handle_reply(&mut self, reply: &Reply, record: Option<LeaseRecord>, now: Moment) {
        match (reply, record, &self.shown) {
            (_, Some(record), _) => {
                self.seen = Some(Box::new((record.clone(), now)));
                self.show(record);
            }
            // Our own lease was released.
            (Reply::Released { was_held: true }, None, Some(last)) => {
                let mut record = last.clone();
                record.holder = None;
                record.remaining = Duration::ZERO;
                self.show(record);
            }
            _ => {}
        }
    }

    /// Takes note of our own grant. It came without a record, and the record that was read before is out of
    /// date.
    pub(super) fn acquired(&mut self, config: &Config, token: FencingToken) {
        self.seen = None;
        let mut record = LeaseRecord::new(config.resource.clone(), token);
        record.holder = Some(config.candidate.clone());
        record.ttl = config.timing.ttl();
        record.remaining = record.ttl;
        record.since = SystemTime::now();
        record.metadata.clone_from(&config.metadata);
        if mutant!(OwnGrantNotObserved) {
            return;
        }
        self.show(record);
    }

    /// Checks some of the observers, and removes those that have died.
    pub(super) fn prune(&mut self) {
        self.observers.remove_dead();
    }

    fn show(&mut self, record: LeaseRecord) {
        let key = |record: &LeaseRecord| {
            let holder = record.holder.clone().filter(|_| record.is_held());
            (record.token, holder)
        };
        let mut changed = self.shown.as_ref().map(key) != Some(key(&record));
        if mutant!(ReadReportedAsChange) {
            changed = true;
        }
        if changed {
            for observer in self.observers.each() {
                report(observer, record.clone());
            }
        }
        self.shown = Some(record);
    }
}

fn report(observer: Recipient<LeaderChanged>, record: LeaseRecord) {
    if mutant!(EndReportedLate) {
        let delay = Duration::from_secs(u64::from(!record.is_held()));
        actix::spawn(async move {
            actix::clock::sleep(delay).await;
            observer.do_send(LeaderChanged { record });
        });
        return;
    }
    observer.do_send(LeaderChanged { record });
}
