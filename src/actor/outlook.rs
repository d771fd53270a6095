use std::time::{Duration, SystemTime};

use actix::{Recipient, WeakRecipient};

use super::LeaderChanged;
use crate::{
    election::{Config, Reply},
    lease::{CandidateId, FencingToken, LeaseRecord},
};

/// Who leads, as far as a lock has seen, and those who want to know.
#[derive(Debug, Default)]
pub(super) struct Outlook {
    record: Option<LeaseRecord>,
    observers: Vec<WeakRecipient<LeaderChanged>>,
}

impl Outlook {
    pub(super) fn record(&self) -> Option<&LeaseRecord> {
        self.record.as_ref()
    }

    pub(super) fn is_observed(&self) -> bool {
        !self.observers.is_empty()
    }

    /// Takes an observer in and shows it what there is to see.
    pub(super) fn observe(&mut self, observer: WeakRecipient<LeaderChanged>) {
        let Some(recipient) = observer.upgrade() else {
            return;
        };
        if let Some(record) = self.record.clone() {
            recipient.do_send(LeaderChanged { record });
        }
        let is_new =
            |known: &WeakRecipient<LeaderChanged>| known.upgrade().as_ref() != Some(&recipient);
        if self.observers.iter().all(is_new) {
            self.observers.push(observer);
        }
    }

    /// Who leads, other than by the token that has just ended.
    pub(super) fn leader(&self, ended: Option<FencingToken>) -> Option<CandidateId> {
        let record = self.record.as_ref()?;
        let other = record.is_held() && Some(record.token) != ended;
        record.holder.clone().filter(|_| other)
    }

    /// Learns from an answer of the store.
    pub(super) fn saw(&mut self, reply: &Reply, record: Option<LeaseRecord>) {
        match (reply, record, &self.record) {
            (_, Some(record), _) => self.show(record),
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

    /// Our own grant, whose record the store does not send along.
    pub(super) fn acquired(&mut self, config: &Config, token: FencingToken) {
        let mut record = LeaseRecord::new(config.resource.clone(), token);
        record.holder = Some(config.candidate.clone());
        record.ttl = config.timing.ttl();
        record.remaining = record.ttl;
        record.since = SystemTime::now();
        record.metadata.clone_from(&config.metadata);
        self.show(record);
    }

    fn show(&mut self, record: LeaseRecord) {
        let key = |record: &LeaseRecord| {
            let holder = record.holder.clone().filter(|_| record.is_held());
            (record.token, holder)
        };
        let changed = self.record.as_ref().map(key) != Some(key(&record));
        self.observers.retain(|observer| {
            let observer = observer.upgrade().filter(Recipient::connected);
            if let Some(observer) = observer.as_ref().filter(|_| changed) {
                let record = record.clone();
                observer.do_send(LeaderChanged { record });
            }
            observer.is_some()
        });
        self.record = Some(record);
    }
}
