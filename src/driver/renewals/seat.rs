use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::Context,
    time::Duration,
};

use futures::{future::BoxFuture, task::AtomicWaker};

use super::{Answer, Renewals};
use crate::{clock::Moment, election::EarlyRenewal, lease::Lease, store::LeaseStore};

/// The place of one lock in the batches of its store.
#[derive(Debug)]
pub(super) struct Seat {
    /// From when on it may renew early, in nanoseconds of its clock; [`NEVER`] if it has nothing to renew.
    joins_from: AtomicU64,
    is_retry: AtomicBool,
    /// The number of the batch that it is invited to; 0 if it is not.
    invitation: AtomicU64,
    waker: AtomicWaker,
}

const NEVER: u64 = u64::MAX;

impl Seat {
    /// Whether its last renewal has failed.
    pub(super) fn is_retry(&self) -> bool {
        self.is_retry.load(Ordering::SeqCst)
    }

    /// Invites it to a batch, of renewals that are tried again or of others. False if it may not renew yet, or has not answered an earlier invitation.
    pub(super) fn invite(&self, batch: u64, now: Moment, of_retries: bool) -> bool {
        let order = Ordering::SeqCst;
        let invited = self.joins_from.load(order) <= now.as_nanos()
            && self.is_retry.load(order) == of_retries
            && (self.invitation.compare_exchange(0, batch, order, order)).is_ok();
        if invited {
            self.waker.wake();
        }
        invited
    }
}

/// One lock in the batches of its store. It belongs to the thread that it is first used on.
#[derive(Debug, Default)]
pub(crate) struct BatchMember(Option<(Arc<Renewals>, Arc<Seat>)>);

impl BatchMember {
    /// Whether the lock is invited to renew now. Call [`answer`](Self::answer) afterwards, whatever it does.
    pub(crate) fn is_invited(&self, cx: &mut Context<'_>) -> bool {
        let Some((_, seat)) = &self.0 else {
            return false;
        };
        seat.waker.register(cx.waker());
        seat.invitation.load(Ordering::SeqCst) != 0
    }

    /// Says from when on the lock may renew early; `None` if it has nothing to renew. Accepts or declines an
    /// invitation.
    pub(crate) fn answer(&mut self, store: &Arc<dyn LeaseStore>, early: Option<EarlyRenewal>) {
        if self.0.is_none() && early.is_none() {
            return;
        }
        let (renewals, seat) = self.seat(store);
        let from = early.map_or(NEVER, |early| early.from.as_nanos());
        seat.joins_from.store(from, Ordering::SeqCst);
        if let Some(early) = early {
            seat.is_retry.store(early.is_retry, Ordering::SeqCst);
        }
        let invitation = seat.invitation.swap(0, Ordering::SeqCst);
        if invitation != 0 {
            renewals.answered(invitation);
        }
    }

    /// Renews a lease for a caller that waits for `wait`, alone or with others.
    pub(crate) fn renew(
        &mut self,
        store: &Arc<dyn LeaseStore>,
        lease: Lease,
        ttl: Duration,
        now: Moment,
        wait: Duration,
    ) -> BoxFuture<'static, Answer> {
        let (renewals, seat) = self.seat(store);
        renewals.renew(lease, ttl, seat, now, wait)
    }

    fn seat(&mut self, store: &Arc<dyn LeaseStore>) -> &(Arc<Renewals>, Arc<Seat>) {
        self.0.get_or_insert_with(|| {
            let seat = Arc::new(Seat {
                joins_from: AtomicU64::new(NEVER),
                is_retry: AtomicBool::new(false),
                invitation: AtomicU64::new(0),
                waker: AtomicWaker::new(),
            });
            let renewals = Renewals::of(store);
            renewals.collecting().add_seat(Arc::downgrade(&seat));
            (renewals, seat)
        })
    }
}

impl Drop for BatchMember {
    fn drop(&mut self) {
        if let Some((renewals, seat)) = &self.0 {
            let invitation = seat.invitation.swap(0, Ordering::SeqCst);
            if invitation != 0 {
                renewals.answered(invitation);
            }
        }
    }
}
