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
pub(super) enum Unlocked {
    Yes,
    No(Option<LeaseRecord>),
}

const TRIES: u32 = 3;

/// Asks the store to clear the holder, up to three times.
pub(super) async fn unlock(
    store: Arc<dyn LeaseStore>,
    claim: Claim,
    timing: Timing,
) -> Result<Unlocked, Arc<StoreError>> {
    let mut tries = 0;
    let mut unheard = false;
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
                return Ok(match was_held && (!freed_before || unheard) {
                    true => Unlocked::Yes,
                    false => Unlocked::No(record),
                });
            }
            Err(error) => error,
        };
        unheard |= error.kind().may_have_been_applied();
        if tries == TRIES {
            return Err(Arc::new(error));
        }
        sleep(timing.poll_every() / 4).await;
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
