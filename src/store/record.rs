//! The rules of the contract for one record, as functions without I/O. A store that reads and writes a record
//! in one atomic step (under a mutex, in a transaction) applies them. So does the simulation.

use std::time::{Duration, SystemTime};

use super::{AcquireOutcome, EvictionMode, ReleaseOutcome, RenewOutcome};
use crate::{
    clock::Moment,
    lease::{
        AttemptId, Bid, CandidateId, FencingToken, HistoryEntry, Lease, LeaseRecord, Metadata,
        ReleaseTarget, ResourceName,
    },
};

/// The highest `min_reader` that this library understands.
#[cfg(any(test, feature = "dynamodb", feature = "mongodb", feature = "sqlite"))]
pub(crate) const READER: u32 = 1;

/// A record as a store keeps it. Every change increases `version`: if a step leaves it as it was, there is
/// nothing to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredRecord {
    pub(crate) token: FencingToken,
    pub(crate) version: u64,
    pub(crate) holder: Option<CandidateId>,
    pub(crate) attempt: Option<AttemptId>,
    pub(crate) ttl: Duration,
    pub(crate) expires_at: Moment,
    pub(crate) since: SystemTime,
    pub(crate) closing: bool,
    pub(crate) metadata: Option<Metadata>,
    pub(crate) history: Vec<HistoryEntry>,
}

impl Default for StoredRecord {
    /// The record of a resource that was never acquired.
    fn default() -> Self {
        Self {
            token: FencingToken::new(0),
            version: 0,
            holder: None,
            attempt: None,
            ttl: Duration::ZERO,
            expires_at: Moment::default(),
            since: SystemTime::UNIX_EPOCH,
            closing: false,
            metadata: None,
            history: Vec::new(),
        }
    }
}

impl StoredRecord {
    pub(crate) fn acquire(&mut self, bid: &Bid, now: Moment, wall: SystemTime) -> AcquireOutcome {
        let own_attempt = self.attempt == Some(bid.attempt);
        let held = self.is_held(now);
        let mine = self.holder.as_ref() == Some(&bid.candidate) && !self.closing;
        // The attempt was released, so this is a delayed copy of its bid.
        let spent = own_attempt && self.holder.is_none();
        if held && mine && own_attempt {
            self.extend(bid.ttl, now);
        } else if spent || (held && !(mine && bid.reentrant)) {
            return AcquireOutcome::Refused(self.view(&bid.resource, now));
        } else {
            self.take(bid, now, wall);
        }
        AcquireOutcome::Granted { token: self.token }
    }

    pub(super) fn take(&mut self, bid: &Bid, now: Moment, wall: SystemTime) {
        self.token = FencingToken::new(self.token.get() + 1);
        self.holder = Some(bid.candidate.clone());
        self.attempt = Some(bid.attempt);
        self.since = wall;
        self.closing = false;
        self.metadata.clone_from(&bid.metadata);
        if self.history.len() >= LeaseRecord::HISTORY {
            self.history.remove(0);
        }
        self.history.push(HistoryEntry {
            token: self.token,
            holder: bid.candidate.clone(),
            since: wall,
        });
        self.extend(bid.ttl, now);
    }

    fn extend(&mut self, ttl: Duration, now: Moment) {
        self.ttl = ttl;
        self.expires_at = now + ttl;
        self.version += 1;
    }

    pub(crate) fn renew(&mut self, lease: &Lease, ttl: Duration, now: Moment) -> RenewOutcome {
        if self.is_held(now) && self.is_of(&lease.holder, lease.token) && !self.closing {
            self.extend(ttl, now);
            RenewOutcome::Renewed
        } else {
            RenewOutcome::Lost(self.seen(&lease.resource, now))
        }
    }

    pub(crate) fn release(&mut self, claim: &ReleaseTarget, now: Moment) -> ReleaseOutcome {
        let matches = match claim {
            ReleaseTarget::Lease(lease) => self.is_of(&lease.holder, lease.token),
            ReleaseTarget::Attempt { attempt, .. } => {
                self.holder.is_some() && self.attempt == Some(*attempt)
            }
            ReleaseTarget::Holder { holder, .. } => self.holder.as_ref() == Some(holder),
        };
        if !matches {
            return ReleaseOutcome::NotHeld(self.seen(claim.resource(), now));
        }
        self.holder = None;
        self.closing = false;
        self.version += 1;
        ReleaseOutcome::Released
    }

    pub(crate) fn evict(
        &mut self,
        resource: &ResourceName,
        token: FencingToken,
        eviction: EvictionMode,
        now: Moment,
    ) -> ReleaseOutcome {
        if !self.is_held(now) || self.token != token {
            return ReleaseOutcome::NotHeld(self.seen(resource, now));
        }
        if eviction == EvictionMode::Force {
            self.holder = None;
        }
        // A forced eviction sets it, too, so that the former holder can tell the eviction from an expiry.
        self.closing = true;
        self.version += 1;
        ReleaseOutcome::Released
    }

    /// The record as callers see it, or `None` if the lease was never acquired.
    pub(crate) fn seen(&self, resource: &ResourceName, now: Moment) -> Option<LeaseRecord> {
        (self.version > 0).then(|| self.view(resource, now))
    }

    fn view(&self, resource: &ResourceName, now: Moment) -> LeaseRecord {
        let mut record = LeaseRecord::new(resource.clone(), self.token);
        record.holder.clone_from(&self.holder);
        record.ttl = self.ttl;
        if self.holder.is_some() {
            record.remaining = now.until(self.expires_at);
        }
        record.since = self.since;
        record.closing = self.closing;
        record.metadata.clone_from(&self.metadata);
        record.history.clone_from(&self.history);
        record
    }

    fn is_held(&self, now: Moment) -> bool {
        self.holder.is_some() && now < self.expires_at
    }

    fn is_of(&self, holder: &CandidateId, token: FencingToken) -> bool {
        self.holder.as_ref() == Some(holder) && self.token == token
    }
}

#[cfg(test)]
mod tests;
