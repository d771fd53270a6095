use std::{
    ops::ControlFlow,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use super::{
    Observations,
    change::{RecordChange, WriteCondition},
    table::{Table, TableRecord, WriteOutcome, Written},
};
use crate::{
    clock::{Clock, Moment},
    lease::{
        Bid, EndReason, FencingToken, Instruction, Lease, LeaseRecord, ReleaseTarget, ResourceName,
    },
    store::{
        AcquireOutcome, EvictionMode, InstructOutcome, ReleaseOutcome, RenewOutcome,
        StoreErrorKind,
        failure::{Failure, RequestResult},
        record::{READER, StoredRecord},
    },
};

/// The operations of a store that observes expiry, and its observations.
#[derive(Debug)]
pub(crate) struct ExpiryObserver {
    clock: Arc<dyn Clock>,
    observations: Mutex<Observations>,
}

impl ExpiryObserver {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            observations: Mutex::new(Observations::new()),
        }
    }

    pub(crate) async fn acquire(
        &self,
        table: &dyn Table,
        bid: &Bid,
        since: SystemTime,
    ) -> RequestResult<AcquireOutcome> {
        let take = |over_own| RecordChange::Take {
            bid: bid.clone(),
            since,
            over_own,
        };
        let last = self.observations().last(&bid.resource);
        let own = bid.replaces.map(|token| Lease {
            resource: bid.resource.clone(),
            holder: bid.candidate.clone(),
            token,
        });
        let first = match last {
            // Whether it has expired does not matter.
            _ if own.is_some() => own.map(|lease| (take(true), WriteCondition::Renewable(lease))),
            None => Some((take(false), WriteCondition::Free(bid.attempt))),
            // The lease is held: a read is cheaper than a refused write.
            Some((_, _, free_at)) if self.clock.now() < free_at => None,
            Some((token, version, _)) => {
                Some((take(false), WriteCondition::Unchanged { token, version }))
            }
        };
        let rules = |record: &mut StoredRecord, now| {
            if mutant!(ObservationByOwnTtl) {
                record.expires_at = record.expires_at - record.ttl + bid.ttl;
            }
            let (token, over_own) = (record.token, record.is_held(now));
            match record.acquire(bid, now, since) {
                outcome @ AcquireOutcome::Refused(_) => ControlFlow::Break(outcome),
                AcquireOutcome::Granted { token: granted } if granted == token => {
                    let bid = bid.clone();
                    ControlFlow::Continue(RecordChange::Regrant { bid })
                }
                AcquireOutcome::Granted { .. } => ControlFlow::Continue(take(over_own)),
            }
        };
        match self.change(table, &bid.resource, first, rules).await? {
            Ok(Written { token, .. }) => match token {
                Some(token) => Ok(AcquireOutcome::Granted { token }),
                None => Err(incomplete()),
            },
            Err(refused) => Ok(refused),
        }
    }

    pub(crate) async fn renew(
        &self,
        table: &dyn Table,
        lease: &Lease,
        ttl: Duration,
    ) -> RequestResult<RenewOutcome> {
        let extend = RecordChange::Extend { ttl };
        let first = if self.may_have_lapsed(&lease.resource, lease.token) {
            None
        } else {
            // What the answer tells of an instruction is that there is none.
            let condition = WriteCondition::RenewableUninstructed(lease.clone());
            Some((extend.clone(), condition))
        };
        let rules = |record: &mut StoredRecord, now| match record.renew(lease, ttl, now) {
            RenewOutcome::Renewed { .. } => ControlFlow::Continue(extend.clone()),
            lost @ RenewOutcome::Lost(_) => ControlFlow::Break(lost),
        };
        let done = self.change(table, &lease.resource, first, rules).await?;
        Ok(done.map_or_else(
            |lost| lost,
            |Written { instruction, .. }| RenewOutcome::Renewed { instruction },
        ))
    }

    pub(crate) async fn release(
        &self,
        table: &dyn Table,
        claim: &ReleaseTarget,
        reason: Option<EndReason>,
        at: SystemTime,
    ) -> RequestResult<ReleaseOutcome> {
        let release = RecordChange::Release { reason, at };
        let first = Some((release.clone(), WriteCondition::HeldAs(claim.clone())));
        let rules = |record: &mut StoredRecord, now| match record.release(claim, reason, now, at) {
            ReleaseOutcome::Released => ControlFlow::Continue(release.clone()),
            not_held @ ReleaseOutcome::NotHeld(_) => ControlFlow::Break(not_held),
        };
        let done = self.change(table, claim.resource(), first, rules).await?;
        Ok(done.map_or_else(|not_held| not_held, |_| ReleaseOutcome::Released))
    }

    pub(crate) async fn evict(
        &self,
        table: &dyn Table,
        resource: &ResourceName,
        token: FencingToken,
        eviction: EvictionMode,
        at: SystemTime,
    ) -> RequestResult<ReleaseOutcome> {
        let change = match eviction {
            EvictionMode::Close => RecordChange::Close { at },
            EvictionMode::Force => RecordChange::Free { at },
        };
        let first = if self.may_have_lapsed(resource, token) {
            None
        } else {
            Some((change.clone(), WriteCondition::HeldUnder(token)))
        };
        let rules = |record: &mut StoredRecord, now| match record
            .evict(resource, token, eviction, now, at)
        {
            ReleaseOutcome::Released => ControlFlow::Continue(change.clone()),
            not_held @ ReleaseOutcome::NotHeld(_) => ControlFlow::Break(not_held),
        };
        let done = self.change(table, resource, first, rules).await?;
        Ok(done.map_or_else(|not_held| not_held, |_| ReleaseOutcome::Released))
    }

    pub(crate) async fn instruct(
        &self,
        table: &dyn Table,
        resource: &ResourceName,
        instruction: &Instruction,
        at: SystemTime,
    ) -> RequestResult<InstructOutcome> {
        let change = RecordChange::Instruct {
            instruction: instruction.clone(),
            at,
        };
        // A record that does not exist cannot be resumed, and one whose holder has expired cannot be handed over.
        let reads_first = match instruction {
            Instruction::HandOver { token, .. } => self.may_have_lapsed(resource, *token),
            Instruction::Resume { edition } => *edition == 0,
            Instruction::Pause { .. } => false,
        };
        let condition = WriteCondition::of_instruction(instruction);
        let first = (!reads_first).then(|| (change.clone(), condition));
        let rules = |record: &mut StoredRecord, now| match record.instruct(
            resource,
            instruction,
            now,
            at,
        ) {
            InstructOutcome::Instructed { .. } => ControlFlow::Continue(change.clone()),
            refused @ InstructOutcome::Refused(_) => ControlFlow::Break(refused),
        };
        match self.change(table, resource, first, rules).await? {
            Ok(Written { edition, .. }) => match edition {
                Some(edition) => Ok(InstructOutcome::Instructed { edition }),
                None => Err(incomplete()),
            },
            Err(refused) => Ok(refused),
        }
    }

    pub(crate) async fn read(
        &self,
        table: &dyn Table,
        resource: &ResourceName,
    ) -> RequestResult<Option<LeaseRecord>> {
        let Some(found) = table.get(resource).await? else {
            return Ok(None);
        };
        Ok(self.seen(resource, found))
    }

    /// Whether a record that was just read may be purged: it was released, and not touched since this time of day.
    pub(crate) fn is_purged(&self, found: &TableRecord, untouched_since: SystemTime) -> bool {
        let record = &found.record;
        let too_new = found.min_reader > u64::from(READER);
        // A lease that is observed has no expiry that could be known from one look.
        let released = record.holder.is_none();
        released && !too_new && record.is_purged(untouched_since, self.clock.now())
    }

    /// Drops what is known of a record that was deleted.
    pub(crate) fn deleted(&self, resource: &ResourceName) {
        self.observations().forget(resource);
    }

    /// A record that has just arrived, as callers see it.
    pub(crate) fn seen(&self, resource: &ResourceName, found: TableRecord) -> Option<LeaseRecord> {
        let now = self.clock.now();
        let record = self.observe(resource, found.record, now);
        record.seen(resource, now)
    }

    /// Makes a change, if the rules allow it. Returns the record after it, with its token, if that is known.
    ///
    /// The first write is sent without a read, or with what an earlier read has shown. If its guard does not
    /// hold, the rules decide on the present record, and their change is written on the condition that nothing
    /// has changed since.
    async fn change<T>(
        &self,
        table: &dyn Table,
        resource: &ResourceName,
        first: Option<(RecordChange, WriteCondition)>,
        rules: impl Fn(&mut StoredRecord, Moment) -> ControlFlow<T, RecordChange> + Send,
    ) -> RequestResult<Result<Written, T>> {
        /// Each write after the second means that another request wrote in between.
        const WRITES: usize = 4;
        let mut next = first;
        for _ in 0..WRITES {
            let asked_at = self.clock.now();
            let found = match next {
                None => table.get(resource).await?,
                Some((change, guard)) => match table.write(resource, &change, &guard).await? {
                    WriteOutcome::Done(mut written) => {
                        // The guard's token is the one before an acquisition.
                        if !matches!(change, RecordChange::Take { .. }) {
                            written.token = guard.token();
                        }
                        self.wrote(resource, &change, &written)?;
                        return Ok(Ok(written));
                    }
                    WriteOutcome::Refused(Some(found)) => Some(found),
                    // There is no record, or the database does not return it.
                    WriteOutcome::Refused(None) => table.get(resource).await?,
                },
            };
            // After the request, which may have taken long.
            let mut now = self.clock.now();
            if mutant!(ObservationFromRequest) {
                now = asked_at;
            }
            let mut record = self.judge(resource, found, now)?;
            let unchanged = WriteCondition::unchanged(&record);
            next = match rules(&mut record, now) {
                ControlFlow::Break(outcome) => return Ok(Err(outcome)),
                ControlFlow::Continue(change) => {
                    // Another instruction would leave the record unchanged by its version.
                    let guard = match &change {
                        RecordChange::Instruct { instruction, .. } => {
                            WriteCondition::of_instruction(instruction)
                        }
                        _ => unchanged,
                    };
                    Some((change, guard))
                }
            };
        }
        Err(Failure::new(
            StoreErrorKind::Unavailable,
            "other requests keep writing the record at the same moment: try again",
        ))
    }

    /// A write begins or continues an observation, too.
    fn wrote(
        &self,
        resource: &ResourceName,
        change: &RecordChange,
        written: &Written,
    ) -> RequestResult<()> {
        let now = self.clock.now();
        let mut observations = self.observations();
        match change.ttl() {
            Some(ttl) => {
                let token = written.token.ok_or_else(incomplete)?;
                observations.free_at(resource, token, written.version, ttl, now);
            }
            // The version is unchanged, so the observation stands.
            None if matches!(change, RecordChange::Instruct { .. }) => {}
            None => observations.forget(resource),
        }
        Ok(())
    }

    /// The record that has just arrived, with its expiry as observed here, if it may be written.
    fn judge(
        &self,
        resource: &ResourceName,
        found: Option<TableRecord>,
        now: Moment,
    ) -> RequestResult<StoredRecord> {
        let Some(TableRecord { record, min_reader }) = found else {
            self.observations().forget(resource);
            return Ok(StoredRecord::default());
        };
        let mut too_new = min_reader > u64::from(READER);
        if mutant!(NewerRecordWritten) {
            too_new = false;
        }
        if too_new {
            Err(Failure::unsupported(resource.as_str(), min_reader))
        } else {
            Ok(self.observe(resource, record, now))
        }
    }

    fn observe(
        &self,
        resource: &ResourceName,
        mut record: StoredRecord,
        now: Moment,
    ) -> StoredRecord {
        let mut observations = self.observations();
        match record.holder {
            Some(_) => {
                let (token, version) = (record.token, record.version);
                record.expires_at = observations.free_at(resource, token, version, record.ttl, now);
            }
            None => observations.forget(resource),
        }
        record
    }

    /// Whether a lease has expired, unless it was renewed since it was last seen.
    fn may_have_lapsed(&self, resource: &ResourceName, token: FencingToken) -> bool {
        let last = self.observations().last(resource);
        last.is_some_and(|(seen, _, free_at)| seen == token && self.clock.now() >= free_at)
    }

    fn observations(&self) -> MutexGuard<'_, Observations> {
        self.observations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn incomplete() -> Failure {
    let message = "the answer to a write has no token: the lock asks again";
    Failure::new(StoreErrorKind::Unknown, message)
}

#[cfg(test)]
mod tests;
