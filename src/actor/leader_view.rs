use std::time::{Duration, SystemTime};

use actix::{Recipient, WeakRecipient};

use super::{KnownLeader, LeaderChanged, status::Seen};
use crate::{
    clock::Moment,
    election::{Config, Reply},
    lease::{CandidateId, FencingToken, LeaseRecord},
};

/// Who leads, as far as a lock has seen, and those who want to know.
#[derive(Debug, Default)]
pub(super) struct LeaderView {
    /// The record that the store showed last, and when.
    seen: Option<(LeaseRecord, Moment)>,
    /// What observers were shown: also the lock's own grant, whose record the store does not send along.
    shown: Option<LeaseRecord>,
    observers: Vec<WeakRecipient<LeaderChanged>>,
}

impl LeaderView {
    /// The record that the store showed last, counted down.
    pub(super) fn last_seen(&self, now: Moment) -> Option<Seen> {
        let (record, seen_at) = self.seen.as_ref()?;
        let age = seen_at.until(now);
        let mut record = record.clone();
        record.remaining = record.remaining.saturating_sub(age);
        Some(Seen { record, age })
    }

    pub(super) fn is_observed(&self) -> bool {
        !self.observers.is_empty()
    }

    /// Takes an observer in and shows it what there is to see.
    pub(super) fn observe(&mut self, observer: WeakRecipient<LeaderChanged>) {
        let Some(recipient) = observer.upgrade() else {
            return;
        };
        if let Some(record) = self.shown.clone() {
            recipient.do_send(LeaderChanged { record });
        }
        let is_new =
            |known: &WeakRecipient<LeaderChanged>| known.upgrade().as_ref() != Some(&recipient);
        if self.observers.iter().all(is_new) {
            self.observers.push(observer);
        }
    }

    /// Who leads, as far as the last look can tell, other than by the token that has just ended.
    pub(super) fn leader(&self, ended: Option<FencingToken>, now: Moment) -> Option<CandidateId> {
        self.holder(ended, now).map(|(leader, _)| leader.holder)
    }

    /// The same as a whole, and until when that record stands.
    pub(super) fn holder(
        &self,
        ended: Option<FencingToken>,
        now: Moment,
    ) -> Option<(KnownLeader, Moment)> {
        let (record, seen_at) = self.seen.as_ref()?;
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

    /// Learns from an answer of the store.
    pub(super) fn saw(&mut self, reply: &Reply, record: Option<LeaseRecord>, now: Moment) {
        match (reply, record, &self.shown) {
            (_, Some(record), _) => {
                self.seen = Some((record.clone(), now));
                self.show(record);
            }
            // Our own lease, given back.
            (Reply::Released { was_held: true }, None, Some(last)) => {
                let mut record = last.clone();
                record.holder = None;
                record.remaining = Duration::ZERO;
                self.show(record);
            }
            _ => {}
        }
    }

    /// Our own grant. It shows no record, and what the store showed before it is out of date.
    pub(super) fn acquired(&mut self, config: &Config, token: FencingToken) {
        self.seen = None;
        let mut record = LeaseRecord::new(config.resource.clone(), token);
        record.holder = Some(config.candidate.clone());
        record.ttl = config.timing.ttl();
        record.remaining = record.ttl;
        record.since = SystemTime::now();
        record.metadata.clone_from(&config.metadata);
        if !mutant!(OwnGrantNotObserved) {
            self.show(record);
        }
    }

    /// Forgets observers that have died.
    pub(super) fn prune(&mut self) {
        self.observers.retain(|observer| alive(observer).is_some());
    }

    fn show(&mut self, record: LeaseRecord) {
        let key = |record: &LeaseRecord| {
            let holder = record.holder.clone().filter(|_| record.is_held());
            (record.token, holder)
        };
        if self.shown.as_ref().map(key) != Some(key(&record)) || mutant!(ReadReportedAsChange) {
            for observer in self.observers.iter().filter_map(alive) {
                let record = record.clone();
                if mutant!(EndReportedLate) && !record.is_held() {
                    actix::spawn(async move {
                        actix::clock::sleep(Duration::from_secs(1)).await;
                        observer.do_send(LeaderChanged { record });
                    });
                    continue;
                }
                observer.do_send(LeaderChanged { record });
            }
        }
        self.shown = Some(record);
    }
}

fn alive(observer: &WeakRecipient<LeaderChanged>) -> Option<Recipient<LeaderChanged>> {
    observer.upgrade().filter(Recipient::connected)
}
