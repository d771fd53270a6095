use std::sync::Arc;

use tokio::time::sleep;

use crate::{
    driver::{Answer, call_within},
    election::{Call, Reply},
    lease::{Claim, LeaseRecord},
    store::{LeaseStore, StoreError},
    timing::Timing,
};

/// What came of a request to unlock.
#[derive(Debug)]
pub(super) enum UnlockOutcome {
    Yes,
    No(Option<LeaseRecord>),
}

const TRIES: u32 = 3;

/// Asks the store to clear the holder, up to three times.
pub(super) async fn unlock(
    store: Arc<dyn LeaseStore>,
    claim: Claim,
    timing: Timing,
) -> Result<UnlockOutcome, Arc<StoreError>> {
    let mut tries = 0;
    let mut unheard: Option<StoreError> = None;
    loop {
        tries += 1;
        let request = Call::Release(claim.clone());
        let error = match call_within(&store, request, timing.call_timeout()).await {
            Ok(Answer { reply, record }) => {
                let was_held = matches!(reply, Reply::Released { was_held: true })
                    || record.as_ref().is_some_and(|found| was_last(&claim, found));
                // Free since, as far as the record tells: an earlier try may have done it, if there
                // was one that nobody answered.
                let freed_before = record.is_some();
                return match unheard {
                    _ if was_held && !freed_before => Ok(UnlockOutcome::Yes),
                    Some(_) if was_held => Ok(UnlockOutcome::Yes),
                    // Locked again by this owner: before that try, which then was in vain, or after it.
                    Some(error) if is_held_by_its_owner(&claim, record.as_ref()) => {
                        Err(Arc::new(error))
                    }
                    _ => Ok(UnlockOutcome::No(record)),
                };
            }
            Err(error) => error,
        };
        if tries == TRIES {
            return Err(Arc::new(error));
        }
        if error.kind().may_have_been_applied() {
            unheard = Some(error);
        }
        sleep(timing.poll_every() / 4).await;
    }
}

fn is_held_by_its_owner(claim: &Claim, record: Option<&LeaseRecord>) -> bool {
    match (claim, record) {
        (Claim::Lease(lease), Some(record)) => record.holder.as_ref() == Some(&lease.holder),
        _ => false,
    }
}

/// Whether nobody holds it and nobody has since this owner, which is all that there is to tell by where no
/// token is named.
fn was_last(claim: &Claim, record: &LeaseRecord) -> bool {
    let last = record.history.last().map(|last| &last.holder);
    match claim {
        Claim::Holder { holder, .. } => record.holder.is_none() && last == Some(holder),
        Claim::Lease(_) | Claim::Attempt { .. } => false,
    }
}
