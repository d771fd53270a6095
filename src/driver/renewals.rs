//! The renewals of all leases of one process and store, in shared batches.
//!
//! A renewal that is due opens a batch and invites the other leases that are past half of their `renew_every`. So the
//! leases of one process are soon renewed together, with one request instead of one each. A lease joins a batch early,
//! never late: nothing waits for a lease that is not due.

mod batch;
mod seat;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use futures::{FutureExt as _, channel::oneshot, future::BoxFuture};
use tokio::time::timeout;

use self::{
    batch::{Batch, Entry},
    seat::Seat,
};
use super::{
    call::{self, ReplyWithRecord},
    per_store,
};
use crate::{
    clock::Moment,
    election::Call,
    lease::Lease,
    store::{LeaseStore, Operation, StoreError},
};

pub(crate) use self::seat::BatchMember;

/// What a renewal is answered with.
type Answer = Result<ReplyWithRecord, StoreError>;

/// Collects the renewals of one store.
#[derive(Debug)]
struct Renewals {
    store: Arc<dyn LeaseStore>,
    collecting: Mutex<Collecting>,
}

#[derive(Debug, Default)]
struct Collecting {
    seats: Vec<Weak<Seat>>,
    open: Option<Batch>,
    /// The number of the last batch. The first is 1.
    last: u64,
}

impl Renewals {
    fn of(store: &Arc<dyn LeaseStore>) -> Arc<Self> {
        let new = || Self {
            store: store.clone(),
            collecting: Mutex::default(),
        };
        per_store::shared(store, |_| true, || Arc::new(new()))
    }

    /// Renews a lease for a caller that waits for `wait`, alone or with others.
    fn renew(
        self: &Arc<Self>,
        lease: Lease,
        ttl: Duration,
        seat: &Arc<Seat>,
        now: Moment,
        wait: Duration,
    ) -> BoxFuture<'static, Answer> {
        let mut collecting = self.collecting();
        let suits = match &collecting.open {
            Some(batch) => batch.suits(wait),
            None => collecting.open(self, seat, now, wait),
        };
        let Some(batch) = collecting.open.as_mut().filter(|_| suits) else {
            drop(collecting);
            return call::call(self.store.clone(), Call::Renew { lease, ttl }, wait);
        };
        let (answer, answered) = oneshot::channel();
        batch.add(Entry { lease, ttl, answer }, wait);
        drop(collecting);
        let store = self.store.clone();
        async move {
            let answer = answered.await;
            answer.unwrap_or_else(|_| Err(call::unanswered(&*store, Operation::Renew)))
        }
        .boxed()
    }

    /// Sends a batch when all who were invited have answered, or some time is over.
    async fn send(
        self: Arc<Self>,
        number: u64,
        complete: oneshot::Receiver<()>,
        longest: Duration,
    ) {
        // It ends with an error if the batch is dropped, which only this does.
        let _ = timeout(longest, complete).await;
        let batch = (self.collecting().open).take_if(|batch| batch.number() == number);
        if let Some(batch) = batch {
            batch.send(&*self.store).await;
        }
    }

    /// An invited seat has renewed, or has nothing to renew.
    fn answered(&self, invitation: u64) {
        let mut collecting = self.collecting();
        if let Some(batch) = &mut collecting.open
            && batch.number() == invitation
        {
            batch.answered();
        }
    }

    fn collecting(&self) -> MutexGuard<'_, Collecting> {
        self.collecting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collecting {
    fn add_seat(&mut self, seat: Weak<Seat>) {
        if self.seats.len() == self.seats.capacity() {
            // Locks that are held for less than a renewal leave seats behind.
            self.seats.retain(|seat| seat.strong_count() > 0);
        }
        self.seats.push(seat);
    }

    /// Opens a batch and invites those who may join. False if there is nobody to share it with, or no runtime.
    fn open(
        &mut self,
        renewals: &Arc<Renewals>,
        opener: &Arc<Seat>,
        now: Moment,
        wait: Duration,
    ) -> bool {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return false;
        };
        let number = self.last + 1;
        let mut invited = 0;
        self.seats.retain(|seat| {
            let Some(seat) = seat.upgrade() else {
                return false;
            };
            let accepts =
                !Arc::ptr_eq(&seat, opener) && seat.invite(number, now, opener.is_retry());
            invited += usize::from(accepts);
            true
        });
        if invited == 0 {
            return false;
        }
        self.last = number;
        let (batch, complete) = Batch::new(number, invited, wait);
        self.open = Some(batch);
        // A tenth of the time that the answer may take.
        runtime.spawn(renewals.clone().send(number, complete, wait / 10));
        true
    }
}

#[cfg(test)]
mod tests;
