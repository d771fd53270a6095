use std::time::SystemTime;

use super::{Fault, client::Client};
use crate::{
    clock::Moment,
    lease::{EndReason, FencingToken, ReleaseTarget},
    store::{ReleaseOutcome, StoredRecord},
};

impl Client {
    pub(super) fn release_by_owner(
        &self,
        record: &mut StoredRecord,
        claim: &ReleaseTarget,
        reason: Option<EndReason>,
        now: Moment,
    ) -> ReleaseOutcome {
        let mut claim = claim.clone();
        let ReleaseTarget::Holder { resource, holder } = &mut claim else {
            unreachable!("only an owner's claim comes here");
        };
        let lapsed = record.holder.is_some() && now >= record.expires_at;
        let unknown = self.has(Fault::ReleaseByOwnerRefused);
        if unknown || (lapsed && self.has(Fault::ReleaseByOwnerChecksTheExpiry)) {
            return ReleaseOutcome::NotHeld(record.seen(resource, now));
        }
        if self.has(Fault::ReleaseByOwnerMakesARecord) && record.version == 0 {
            record.version = 1;
        }
        if self.has(Fault::ReleaseByAnyOwner)
            && let Some(found) = &record.holder
        {
            holder.clone_from(found);
        }
        // Like a mutex that counts how often its owner has locked it.
        if let [.., before, last] = &record.history[..]
            && self.has(Fault::ReleaseByOwnerUndoesOneBid)
            && before.holder == last.holder
        {
            record.history.pop();
            record.version += 1;
            return ReleaseOutcome::Released;
        }
        let outcome = record.release(&claim, reason, now, SystemTime::now());
        if outcome == ReleaseOutcome::Released {
            if self.has(Fault::TokenResetOnReleaseByOwner) {
                record.token = FencingToken::new(0);
            }
            if self.has(Fault::ReleaseByOwnerForgetsTheAttempt) {
                record.attempt = None;
            }
        }
        outcome
    }
}
