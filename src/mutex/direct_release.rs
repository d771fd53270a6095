use std::{
    future::{Future, poll_fn},
    sync::Arc,
};

use futures::{
    channel::oneshot,
    future::{BoxFuture, Either, select},
};

use super::{
    LockError,
    mutex_config::MutexConfig,
    overdue::OverdueWatch,
    unlock::{UnlockOutcome, unlock},
};
use crate::{
    driver::{ReplyWithRecord, call_unlimited},
    election::{Call, Reply},
    lease::{EndReason, Lease, ReleaseTarget},
    store::StoreError,
};

/// The release of a guard in the task of its holder. The leadership has ended, and nothing renews the lease any more.
///
/// If the future is dropped, the store fails or does not answer soon, the release goes on in the background.
pub(super) struct DirectRelease {
    config: Arc<MutexConfig>,
    claim: ReleaseTarget,
    overdue: OverdueWatch,
    /// `None` once it is done, or goes on in the background.
    end: Option<Arc<oneshot::Sender<()>>>,
}

impl DirectRelease {
    /// Whether the locks of this configuration may be released so.
    pub(super) fn watch(config: &MutexConfig) -> Option<OverdueWatch> {
        let direct = config.store.runs_in_callers_task() && !config.has_min_hold();
        direct.then(|| OverdueWatch::start(&config.executor))?
    }

    /// `end` says that the acquisition is over when it is dropped.
    pub(super) fn new(
        config: Arc<MutexConfig>,
        lease: Lease,
        overdue: OverdueWatch,
        end: Arc<oneshot::Sender<()>>,
    ) -> Self {
        Self {
            config,
            claim: ReleaseTarget::Lease(lease),
            overdue,
            end: Some(end),
        }
    }

    pub(super) async fn run(mut self) -> Result<UnlockOutcome, LockError> {
        let wait = self.config.plain.timing.call_timeout();
        let release = Call::Release(self.claim.clone(), Some(EndReason::Unlocked));
        let answer = call_unlimited(self.config.store.clone(), release, wait);
        let unconfirmed = match self.first_answer(answer).await {
            Some(Ok(ReplyWithRecord { reply, record })) => {
                self.end = None;
                return Ok(match reply {
                    Reply::Released { was_held: true } => UnlockOutcome::Released,
                    _ => UnlockOutcome::NotHeld(record),
                });
            }
            Some(Err(error)) => Some(error),
            None => None,
        };
        let (reply, released) = oneshot::channel();
        let work = self.in_background(unconfirmed, Some(reply));
        let executor = self.config.executor.clone();
        Ok(executor.spawn(work, released)?.await??)
    }

    /// `None` if it takes too long.
    async fn first_answer(
        &self,
        answer: BoxFuture<'static, Result<ReplyWithRecord, StoreError>>,
    ) -> Option<Result<ReplyWithRecord, StoreError>> {
        let overdue = poll_fn(|cx| self.overdue.poll(cx));
        match select(answer, overdue).await {
            Either::Left((answer, _)) => Some(answer),
            Either::Right(((), _)) => None,
        }
    }

    /// The release with all its retries, after a first try.
    fn in_background(
        &mut self,
        unconfirmed: Option<StoreError>,
        reply: Option<oneshot::Sender<Result<UnlockOutcome, Arc<StoreError>>>>,
    ) -> impl Future<Output = ()> + Send + 'static {
        let (store, claim) = (self.config.store.clone(), self.claim.clone());
        let (timing, end) = (self.config.plain.timing, self.end.take());
        async move {
            let released = unlock(store, claim, timing, unconfirmed).await;
            drop(end);
            if let Some(reply) = reply {
                // The caller may have dropped its future.
                let _ = reply.send(released);
            }
        }
    }
}

impl Drop for DirectRelease {
    fn drop(&mut self) {
        if self.end.is_some() {
            let work = self.in_background(None, None);
            self.config.executor.start(work);
        }
    }
}
