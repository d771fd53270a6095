//! A model of a database, as far as the library relies on it.

use std::time::{Duration, SystemTime};

use super::plan::{ClockDrift, Plan, StoreKind};
use crate::{
    clock::Moment,
    election::{Call, Reply},
    lease::{Bid, EndReason, FencingToken, Instruction, ReleaseTarget, ResourceName},
    mutants::{Mutant, is_on},
    store::{
        AcquireOutcome, EvictionMode, InstructOutcome, ReleaseOutcome, RenewOutcome, StoredRecord,
        observed::{RecordChange, TableRecord, WriteCondition, WriteOutcome, Written},
    },
};

/// The time of day of a store whose clock shows this moment.
pub(super) fn wall(now: Moment) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_nanos(now.as_nanos())
}

/// The time of day where clocks agree.
pub(super) fn wall_of(now: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(3_600) + Duration::from_nanos(now)
}

/// A reader of records newer than ours.
const NEWER: u64 = 99;

#[derive(Debug)]
pub(super) struct Store {
    kind: StoreKind,
    members: Vec<ClockDrift>,
    primary: usize,
    pub(super) up: bool,
    /// The record of the primary.
    pub(super) record: StoredRecord,
    /// The record of the majority.
    committed: StoredRecord,
    /// Grows with every failover.
    pub(super) term: u32,
    min_reader: u64,
}

impl Store {
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            kind: plan.store,
            members: plan.members.clone(),
            primary: 0,
            up: true,
            record: StoredRecord::default(),
            committed: StoredRecord::default(),
            term: 0,
            min_reader: 1,
        }
    }

    /// The clock of the primary.
    pub(super) fn now(&self, now: u64) -> Moment {
        let ClockDrift { rate, ahead } = self.members[self.primary];
        let own = Duration::from_nanos((now as f64 * rate) as u64);
        Moment::default() + Duration::from_secs(3_600) + ahead + own
    }

    pub(super) fn step_clock(&mut self, ahead: Duration) {
        self.members[self.primary].ahead = ahead;
    }

    /// A majority now has this record.
    pub(super) fn commit(&mut self, record: StoredRecord) {
        if record.version > self.committed.version {
            self.committed = record;
        }
    }

    pub(super) fn fail_over(&mut self, to: usize, lost: bool) {
        self.term += 1;
        self.primary = to;
        if lost {
            self.record = self.committed.clone();
        } else {
            self.committed = self.record.clone();
        }
    }

    /// Applies a request, by the store's clock.
    pub(super) fn carry_out(&mut self, call: &Call, now: u64) -> Reply {
        let now = self.now(now);
        if self.min_reader == NEWER && !is_on(Mutant::NewerRecordWritten) {
            return Reply::Failed;
        }
        let before = self.record.clone();
        let reply = match call {
            Call::Acquire(bid) => self.acquire(bid, now),
            Call::Renew { lease, ttl } => match self.record.renew(lease, *ttl, now) {
                RenewOutcome::Renewed { instruction } => Reply::Renewed { instruction },
                RenewOutcome::Lost(record) => Reply::Lost(record),
            },
            Call::Release(claim, reason) => self.release(claim, *reason, now),
            Call::Read(_) => Reply::Read,
        };
        if is_on(Mutant::TokenNotRaised) && before.token.get() > 0 {
            self.record.token = before.token;
            if let Reply::Granted { .. } = reply {
                return Reply::Granted {
                    token: before.token,
                };
            }
        }
        reply
    }

    fn acquire(&mut self, bid: &Bid, now: Moment) -> Reply {
        let record = &mut self.record;
        let own = record.attempt == Some(bid.attempt)
            && record.holder.as_ref() == Some(&bid.candidate)
            && !record.closing;
        if own && is_on(Mutant::OwnAttemptNotWritten) && now < record.expires_at {
            let token = record.token;
            return Reply::Granted { token };
        }
        if own && is_on(Mutant::ExpiredAttemptKeepsToken) {
            let token = record.token;
            record.expires_at = now + bid.ttl;
            return Reply::Granted { token };
        }
        let freed = is_on(Mutant::HeldLeaseGranted)
            || (is_on(Mutant::EvictionFreesAtOnce) && record.closing);
        if freed && !own {
            record.expires_at = Moment::default();
        }
        match record.acquire(bid, now, wall(now)) {
            AcquireOutcome::Granted { token } => Reply::Granted { token },
            AcquireOutcome::Refused(record) => Reply::Refused(record),
        }
    }

    fn release(&mut self, claim: &ReleaseTarget, reason: Option<EndReason>, now: Moment) -> Reply {
        let mut claim = claim.clone();
        if is_on(Mutant::ReleaseWithoutOwnerCheck)
            && let (ReleaseTarget::Lease(lease), Some(holder)) = (&mut claim, &self.record.holder)
        {
            (lease.token, lease.holder) = (self.record.token, holder.clone());
        }
        let was_held =
            self.record.release(&claim, reason, now, wall(now)) == ReleaseOutcome::Released;
        if was_held && is_on(Mutant::ReleaseResetsToken) {
            self.record.token = FencingToken::new(0);
        }
        Reply::Released { was_held }
    }

    /// A newer version of the library writes the record in a newer format; a majority has it.
    pub(super) fn take_for_newer(&mut self) {
        self.min_reader = NEWER;
        self.committed = self.record.clone();
    }

    /// An operator evicts the holder. Returns its token.
    pub(super) fn evict(&mut self, now: u64) -> Option<FencingToken> {
        let token = self.record.token;
        let now = self.now(now);
        let at = wall(now);
        let done = match self.kind {
            StoreKind::Observed { .. } => {
                let held = self.record.holder.is_some();
                if held {
                    RecordChange::Close { at }.apply(&mut self.record);
                }
                held
            }
            _ => {
                let resource = ResourceName::new("r").expect("a good name");
                let done = self
                    .record
                    .evict(&resource, token, EvictionMode::Close, now, at);
                done == ReleaseOutcome::Released
            }
        };
        self.commit(self.record.clone());
        done.then_some(token)
    }

    /// An operator's instruction arrives. A majority has it at once. Returns whether it was applied.
    pub(super) fn instruct(&mut self, instruction: &Instruction, now: u64) -> bool {
        let at = self.now(now);
        let resource = ResourceName::new("r").expect("a good name");
        let mut instruction = instruction.clone();
        if is_on(Mutant::EditionIgnored)
            && let Instruction::Pause { edition, .. } | Instruction::Resume { edition } =
                &mut instruction
        {
            *edition = self.record.edition;
        }
        let applied = match self.kind {
            StoreKind::Observed { .. } => {
                let condition = WriteCondition::of_instruction(&instruction);
                let absent = self.record.version == 0;
                let resumes_nothing = absent && matches!(instruction, Instruction::Resume { .. });
                let applied = condition.admits(&self.record) && !resumes_nothing;
                if applied {
                    let at = wall_of(now);
                    RecordChange::Instruct { instruction, at }.apply(&mut self.record);
                }
                applied
            }
            _ => {
                let outcome = self.record.instruct(&resource, &instruction, at, wall(at));
                matches!(outcome, InstructOutcome::Instructed { .. })
            }
        };
        if applied {
            self.committed = self.record.clone();
        }
        applied
    }

    /// Takes every instruction back.
    pub(super) fn forget_instructions(&mut self) {
        for record in [&mut self.record, &mut self.committed] {
            record.pause = None;
            record.hand_over = None;
            if record.version > 0 {
                record.edition += 1;
            }
        }
    }

    /// Deletes the record if nobody needs it.
    pub(super) fn purge(&mut self, untouched_since: SystemTime, now: u64) -> bool {
        let now = self.now(now);
        let released = self.record.holder.is_none();
        let observed = matches!(self.kind, StoreKind::Observed { .. });
        let purges = self.record.version > 0
            && self.record.is_purged(untouched_since, now)
            && (released || !observed);
        if purges {
            self.record = StoredRecord::default();
            self.committed = StoredRecord::default();
        }
        purges
    }

    /// One conditional write of an observing client.
    pub(super) fn write(&mut self, change: &RecordChange, guard: &WriteCondition) -> WriteOutcome {
        let unconditional = is_on(Mutant::TakeoverUnconditional)
            && matches!(guard, WriteCondition::Unchanged { .. });
        let fits = self.min_reader != NEWER || is_on(Mutant::NewerRecordWritten);
        let admitted = guard.admits(&self.record) || unconditional;
        let skips_pause =
            is_on(Mutant::TakeoverSkipsPause) && matches!(guard, WriteCondition::Unchanged { .. });
        if !fits || !admitted || (change.is_refused(&self.record) && !skips_pause) {
            return WriteOutcome::Refused(self.found());
        }
        let version = self.record.version;
        change.apply(&mut self.record);
        if is_on(Mutant::VersionKeptByRenewal) && matches!(change, RecordChange::Extend { .. }) {
            self.record.version = version;
        }
        WriteOutcome::Done(Written {
            version: self.record.version,
            token: matches!(change, RecordChange::Take { .. }).then_some(self.record.token),
            edition: Some(self.record.edition),
            instruction: self.record.instruction(),
        })
    }

    /// The record, if the store shows it with a refusal.
    fn found(&self) -> Option<TableRecord> {
        match self.kind {
            StoreKind::Observed {
                returns_record: true,
            } => self.get(),
            _ => None,
        }
    }

    pub(super) fn get(&self) -> Option<TableRecord> {
        (self.record.version > 0).then(|| TableRecord {
            record: self.record.clone(),
            min_reader: self.min_reader,
        })
    }
}
