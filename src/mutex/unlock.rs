use std::sync::Arc;

use tokio::time::sleep;

use crate::{
    driver::{ReplyWithRecord, call_within},
    election::{Call, Reply},
    lease::{EndReason, LeaseRecord, ReleaseTarget},
    store::{LeaseStore, StoreError},
    timing::Timing,
};

/// Whether a request to unlock released the lock; if not, the record that the store showed.
#[derive(Debug)]
pub(super) enum UnlockOutcome {
    Released,
    NotHeld(Option<LeaseRecord>),
}

const TRIES: u32 = 3;

/// Asks the store to release the lock, up to three times. `unconfirmed` is the error of an earlier try that may have
/// been applied, if there was one.
pub(super) async fn unlock(
    store: Arc<dyn LeaseStore>,
    claim: ReleaseTarget,
    timing: Timing,
    mut unconfirmed: Option<StoreError>,
) -> Result<UnlockOutcome, Arc<StoreError>> {
    let mut tries = 0;
    loop {
        tries += 1;
        let request = Call::Release(claim.clone(), Some(EndReason::Unlocked));
        let error = match call_within(&store, request, timing.call_timeout()).await {
            Ok(ReplyWithRecord { reply, record }) => {
                let was_held = matches!(reply, Reply::Released { was_held: true })
                    || record.as_ref().is_some_and(|found| was_last(&claim, found));
                // The record says that the lock is free. If the reply of an earlier try was lost, that
                // try may have released it.
                let freed_before = record.is_some();
                return match unconfirmed {
                    _ if was_held && !freed_before => Ok(UnlockOutcome::Released),
                    Some(_) if was_held => Ok(UnlockOutcome::Released),
                    // This owner has locked again: before that try, which then changed nothing, or after.
                    Some(error) if is_held_by_its_owner(&claim, record.as_ref()) => {
                        Err(Arc::new(error))
                    }
                    _ => Ok(UnlockOutcome::NotHeld(record)),
                };
            }
            Err(error) => error,
        };
        if tries == TRIES {
            return Err(Arc::new(error));
        }
        if error.kind().may_have_been_applied() {
            unconfirmed = Some(error);
        }
        sleep(timing.poll_every() / 4).await;
    }
}

fn is_held_by_its_owner(claim: &ReleaseTarget, record: Option<&LeaseRecord>) -> bool {
    match (claim, record) {
        (ReleaseTarget::Lease(lease), Some(record)) => {
            record.holder.as_ref() == Some(&lease.holder)
        }
        _ => false,
    }
}

/// Whether the lock is free and this owner was its last holder. Without a token, this says nothing about which acquisition that was.
fn was_last(claim: &ReleaseTarget, record: &LeaseRecord) -> bool {
    let last = record.history.last().map(|last| &last.holder);
    match claim {
        ReleaseTarget::Holder { holder, .. } => record.holder.is_none() && last == Some(holder),
        ReleaseTarget::Lease(_) | ReleaseTarget::Attempt { .. } => false,
    }
}
