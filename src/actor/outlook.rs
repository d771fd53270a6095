use std::time::{Duration, SystemTime};

use actix::{Recipient, WeakRecipient};

use super::LeaderChanged;
use crate::{
    clock::Moment,
    election::{Config, Reply},
    lease::{CandidateId, FencingToken, LeaseRecord},
};

/// Who leads, as far as a lock has seen, and those who want to know.
#[derive(Debug, Default)]
pub(super) struct Outlook {
    /// As last seen, and when.
    seen: Option<(LeaseRecord, Moment)>,
    observers: Vec<WeakRecipient<LeaderChanged>>,
}

impl Outlook {
    pub(super) fn record(&self) -> Option<&LeaseRecord> {
        self.seen.as_ref().map(|(record, _)| record)
    }

    pub(super) fn is_observed(&self) -> bool {
        !self.observers.is_empty()
    }

    /// Takes an observer in and shows it what there is to see.
    pub(super) fn observe(&mut self, observer: WeakRecipient<LeaderChanged>) {
        let Some(recipient) = observer.upgrade() else {
            return;
        };
        if let Some(record) = self.record().cloned() {
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
        let (record, seen_at) = self.seen.as_ref()?;
        let stands = now < *seen_at + record.remaining && Some(record.token) != ended;
        record.holder.clone().filter(|_| stands)
    }

    /// Learns from an answer of the store.
    pub(super) fn saw(&mut self, reply: &Reply, record: Option<LeaseRecord>, now: Moment) {
        match (reply, record, self.record()) {
            (_, Some(record), _) => self.show(record, now),
            // Our own lease, given back.
            (Reply::Released { was_held: true }, None, Some(last)) => {
                let mut record = last.clone();
                record.holder = None;
                record.remaining = Duration::ZERO;
                self.show(record, now);
            }
            _ => {}
        }
    }

    /// Our own grant, whose record the store does not send along.
    pub(super) fn acquired(&mut self, config: &Config, token: FencingToken, now: Moment) {
        let mut record = LeaseRecord::new(config.resource.clone(), token);
        record.holder = Some(config.candidate.clone());
        record.ttl = config.timing.ttl();
        record.remaining = record.ttl;
        record.since = SystemTime::now();
        record.metadata.clone_from(&config.metadata);
        if !mutant!(GrantNotShown) {
            self.show(record, now);
        }
    }

    /// Forgets observers that have died.
    pub(super) fn prune(&mut self) {
        self.observers.retain(|observer| alive(observer).is_some());
    }

    fn show(&mut self, record: LeaseRecord, now: Moment) {
        let key = |record: &LeaseRecord| {
            let holder = record.holder.clone().filter(|_| record.is_held());
            (record.token, holder)
        };
        if self.record().map(key) != Some(key(&record)) || mutant!(LookTakenForChange) {
            for observer in self.observers.iter().filter_map(alive) {
                let record = record.clone();
                if mutant!(EndShownLate) && !record.is_held() {
                    actix::spawn(async move {
                        actix::clock::sleep(Duration::from_secs(1)).await;
                        observer.do_send(LeaderChanged { record });
                    });
                    continue;
                }
                observer.do_send(LeaderChanged { record });
            }
        }
        self.seen = Some((record, now));
    }
}

fn alive(observer: &WeakRecipient<LeaderChanged>) -> Option<Recipient<LeaderChanged>> {
    observer.upgrade().filter(Recipient::connected)
}
