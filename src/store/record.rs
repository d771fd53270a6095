//! The rules of the contract for one record, as functions without I/O. A store that reads and writes a record
//! in one atomic step (under a mutex, in a transaction) applies them. So does the simulation.

use std::time::{Duration, SystemTime};

use super::{
    AcquireOutcome, EvictionMode, InstructOutcome, ReleaseOutcome, RenewOutcome, StoreEvent,
};
use crate::{
    clock::Moment,
    lease::{
        AcquisitionEnd, AttemptId, Bid, CandidateId, EndReason, FencingToken, HistoryEntry,
        Instruction, Lease, LeaseRecord, Metadata, PauseRecord, ReleaseTarget, ResourceName,
        StandingInstruction,
    },
};

/// The highest `min_reader` that this library understands.
#[cfg(any(test, feature = "dynamodb", feature = "mongodb", feature = "sqlite"))]
pub(crate) const READER: u32 = 1;

/// A record as a store keeps it. Every change except an instruction increases `version`; an instruction may
/// increase `edition`. If a step returns that it was refused, there is nothing to write.
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
    pub(crate) pause: Option<PauseRecord>,
    /// Who is to lead after the present token.
    pub(crate) hand_over: Option<CandidateId>,
    /// 0 if there is no record.
    pub(crate) edition: u64,
    pub(crate) internal: bool,
    pub(crate) touched: SystemTime,
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
            pause: None,
            hand_over: None,
            edition: 0,
            internal: false,
            touched: SystemTime::UNIX_EPOCH,
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
        let refused = self.is_paused_for(bid)
            || spent
            || if held {
                let replaces = bid.replaces == Some(self.token);
                !(mine && (own_attempt || bid.reentrant || replaces))
            } else {
                self.lets_another_bid_first(bid)
            };
        if refused {
            return AcquireOutcome::Refused(self.view(&bid.resource, now));
        }
        if held && own_attempt {
            self.extend(bid.ttl, now);
        } else {
            self.take(bid, now, wall);
        }
        AcquireOutcome::Granted { token: self.token }
    }

    /// Whether a pause refuses this bid.
    pub(crate) fn is_paused_for(&self, bid: &Bid) -> bool {
        let mut paused = self.pause.is_some();
        if mutant!(PauseIgnoredByAcquire) {
            paused = false;
        }
        paused && !bid.internal
    }

    /// Whether a hand-over refuses this bid, so that the named candidate bids first.
    pub(crate) fn lets_another_bid_first(&self, bid: &Bid) -> bool {
        let to_another = (self.hand_over.as_ref()).is_some_and(|to| *to != bid.candidate);
        to_another && bid.waited != Some(self.token)
    }

    pub(super) fn take(&mut self, bid: &Bid, now: Moment, wall: SystemTime) {
        if self.version == 0 {
            self.begin(wall);
            if mutant!(FirstTokenOne) {
                self.token = FencingToken::new(1);
            }
        } else {
            self.token = FencingToken::new(self.token.get() + 1);
        }
        self.holder = Some(bid.candidate.clone());
        self.attempt = Some(bid.attempt);
        self.since = wall;
        self.closing = false;
        self.hand_over = None;
        self.internal = bid.internal;
        self.metadata.clone_from(&bid.metadata);
        if self.history.len() >= LeaseRecord::HISTORY {
            self.history.remove(0);
        }
        self.history.push(HistoryEntry {
            token: self.token,
            holder: bid.candidate.clone(),
            since: wall,
            ended: None,
        });
        self.touched = wall;
        self.extend(bid.ttl, now);
    }

    /// A new record continues neither the tokens nor the editions of one that was deleted, but both are greater: a late
    /// instruction for the deleted record does not apply to this one.
    fn begin(&mut self, wall: SystemTime) {
        self.token = FencingToken::first_at(wall);
        self.edition = self.token.get();
    }

    fn extend(&mut self, ttl: Duration, now: Moment) {
        self.ttl = ttl;
        self.expires_at = now + ttl;
        self.version += 1;
    }

    pub(crate) fn renew(&mut self, lease: &Lease, ttl: Duration, now: Moment) -> RenewOutcome {
        if self.is_held(now) && self.is_of(&lease.holder, lease.token) && !self.closing {
            self.extend(ttl, now);
            RenewOutcome::Renewed {
                instruction: self.instruction(),
            }
        } else {
            RenewOutcome::Lost(self.seen(&lease.resource, now))
        }
    }

    pub(crate) fn release(
        &mut self,
        claim: &ReleaseTarget,
        reason: Option<EndReason>,
        now: Moment,
        wall: SystemTime,
    ) -> ReleaseOutcome {
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
        self.touched = wall;
        self.ended(reason, wall);
        ReleaseOutcome::Released
    }

    /// Notes in the history how the last acquisition ended.
    pub(super) fn ended(&mut self, reason: Option<EndReason>, at: SystemTime) {
        if let (Some(reason), Some(last)) = (reason, self.history.last_mut()) {
            last.ended = Some(AcquisitionEnd { at, reason });
        }
    }

    pub(crate) fn evict(
        &mut self,
        resource: &ResourceName,
        token: FencingToken,
        eviction: EvictionMode,
        now: Moment,
        wall: SystemTime,
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
        self.touched = wall;
        self.ended(Some(EndReason::Evicted), wall);
        ReleaseOutcome::Released
    }

    /// Neither the expiry nor the version changes: otherwise repeated instructions would keep the lease of a dead
    /// holder for ever where it is observed.
    pub(crate) fn instruct(
        &mut self,
        resource: &ResourceName,
        instruction: &Instruction,
        now: Moment,
        wall: SystemTime,
    ) -> InstructOutcome {
        let applies = !self.internal
            && match instruction {
                Instruction::HandOver { token, .. } => self.is_held(now) && self.token == *token,
                Instruction::Pause { edition, .. } => *edition == self.edition,
                Instruction::Resume { edition } => self.version > 0 && *edition == self.edition,
            };
        if !applies {
            return InstructOutcome::Refused(self.seen(resource, now));
        }
        self.apply_instruction(instruction, wall);
        InstructOutcome::Instructed {
            edition: self.edition,
        }
    }

    pub(super) fn apply_instruction(&mut self, instruction: &Instruction, wall: SystemTime) {
        match instruction {
            Instruction::HandOver { to, .. } => {
                self.hand_over = Some(to.clone());
                if mutant!(HandOverErasesPause) {
                    self.pause = None;
                }
            }
            Instruction::Pause { note, .. } => {
                if self.version == 0 {
                    self.begin(wall);
                    self.version = 1;
                    if mutant!(PauseBeginsAtZero) {
                        self.token = FencingToken::new(0);
                    }
                } else {
                    self.edition += 1;
                }
                let note = note.clone();
                self.pause = Some(PauseRecord { note, since: wall });
            }
            Instruction::Resume { .. } => {
                self.pause = None;
                self.edition += 1;
            }
        }
        self.touched = wall;
    }

    /// Whether a purge of records that were not touched since this time of day deletes it.
    pub(crate) fn is_purged(&self, untouched_since: SystemTime, now: Moment) -> bool {
        let stands = self.is_held(now) || self.pause.is_some() || self.internal;
        !stands && self.touched <= untouched_since
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
        record.pause.clone_from(&self.pause);
        record.hand_over.clone_from(&self.hand_over);
        record.edition = self.edition;
        record.internal = self.internal;
        record.touched = self.touched;
        record.metadata.clone_from(&self.metadata);
        record.history.clone_from(&self.history);
        record
    }

    /// What the holder is asked to do.
    pub(crate) fn instruction(&self) -> Option<StandingInstruction> {
        StandingInstruction::of(self.pause.as_ref(), self.hand_over.as_ref())
    }

    /// What decides when the lease may be taken.
    pub(crate) fn availability(&self) -> Availability {
        Availability {
            token: self.token,
            held: self.holder.is_some(),
            closing: self.closing,
            handed_over: self.hand_over.is_some(),
            edition: self.edition,
            expires_at: self.expires_at,
        }
    }

    /// What those who wait for the lease are told of a change since `before`. A renewal that prolongs the lease tells
    /// them nothing.
    pub(crate) fn event_since(
        &self,
        before: &Availability,
        resource: &ResourceName,
    ) -> Option<StoreEvent> {
        let now = self.availability();
        let (resource, ttl) = (resource.clone(), self.ttl);
        if now.held && (now.token != before.token || !before.held) {
            return Some(StoreEvent::Acquired { resource, ttl });
        }
        let shortened = now.expires_at < before.expires_at;
        let same_expiry = Availability {
            expires_at: before.expires_at,
            ..now
        };
        (shortened || same_expiry != *before).then_some(StoreEvent::Changed(resource))
    }

    pub(crate) fn is_held(&self, now: Moment) -> bool {
        self.holder.is_some() && now < self.expires_at
    }

    fn is_of(&self, holder: &CandidateId, token: FencingToken) -> bool {
        self.holder.as_ref() == Some(holder) && self.token == token
    }
}

/// What decides when a lease may be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Availability {
    token: FencingToken,
    held: bool,
    closing: bool,
    handed_over: bool,
    edition: u64,
    expires_at: Moment,
}

#[cfg(test)]
mod tests;
