use std::time::SystemTime;

use super::{Fault, client::Client};
use crate::{
    clock::Moment,
    lease::{EndReason, FencingToken, ReleaseTarget, ResourceName},
    store::{EvictionMode, ReleaseOutcome, StoredRecord},
};

impl Client {
    pub(super) fn release_by(
        &self,
        record: &mut StoredRecord,
        claim: &ReleaseTarget,
        reason: Option<EndReason>,
        now: Moment,
    ) -> ReleaseOutcome {
        let is_of_a_lease = matches!(claim, ReleaseTarget::Lease(_));
        let reason = match self.fault() {
            Some(Fault::ReleaseNotesNoReason) => None,
            Some(Fault::ReasonOnlyOfALease) if !is_of_a_lease => None,
            Some(Fault::EveryReleaseNotesAReason) => reason.or(Some(EndReason::Unlocked)),
            _ => reason,
        };
        let claim = match claim {
            ReleaseTarget::Lease(lease) if self.has(Fault::ReleaseWithoutOwnerCheck) => {
                let mut lease = lease.clone();
                lease.token = record.token;
                lease.holder = record.holder.clone().unwrap_or(lease.holder);
                ReleaseTarget::Lease(lease)
            }
            ReleaseTarget::Attempt { resource, .. } if self.has(Fault::ReleaseByAnyAttempt) => {
                let resource = resource.clone();
                let attempt = record.attempt.expect("an attempt");
                ReleaseTarget::Attempt { resource, attempt }
            }
            ReleaseTarget::Holder { .. } => {
                return self.release_by_owner(record, claim, reason, now);
            }
            claim => claim.clone(),
        };
        let touched = record.touched;
        let outcome = record.release(&claim, reason, now, SystemTime::now());
        match self.fault() {
            Some(Fault::TokenResetOnRelease) if outcome == ReleaseOutcome::Released => {
                record.token = FencingToken::new(0);
            }
            Some(Fault::ReleaseDropsTheMetadata) => record.metadata = None,
            Some(Fault::ReleaseDoesNotTouch) => record.touched = touched,
            _ => {}
        }
        outcome
    }

    pub(super) fn evict_by(
        &self,
        record: &mut StoredRecord,
        resource: &ResourceName,
        mut token: FencingToken,
        mut eviction: EvictionMode,
        now: Moment,
    ) -> ReleaseOutcome {
        let before = record.clone();
        match self.fault() {
            Some(Fault::EvictionFreesAtOnce) => eviction = EvictionMode::Force,
            Some(Fault::ForcedEvictionCloses) => eviction = EvictionMode::Close,
            Some(Fault::EvictionWithoutTokenCheck) => token = record.token,
            _ => {}
        }
        let outcome = record.evict(resource, token, eviction, now, SystemTime::now());
        match self.fault() {
            Some(Fault::EvictionNotNoted) => record.history = before.history,
            Some(Fault::EvictionDoesNotTouch) => record.touched = before.touched,
            _ => {}
        }
        outcome
    }
}
