use std::{future::poll_fn, task::Poll};

use actix::{Recipient, WeakAddr, dev::RecipientRequest};
use futures::{
    FutureExt as _, StreamExt as _,
    channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded},
    future::LocalBoxFuture,
    stream::FuturesUnordered,
};

use crate::actor::{
    LockActor,
    messages::{DeliveryEnded, SubscriberMessage},
};

/// Sends messages to subscribers, and forwards their acknowledgements to the lock.
///
/// One task of the thread waits for all of them. It does not belong to the lock's context: a restart of the
/// lock would drop it, and actix takes back a message whose sender was dropped. With one task for each
/// message, the other locks of the thread would run only after all of these.
#[derive(Debug, Default)]
pub(super) struct MessageSender(Option<UnboundedSender<PendingDelivery>>);

type PendingDelivery = LocalBoxFuture<'static, DeliveryEnded>;

/// How many acknowledgements are forwarded before other tasks of the thread run.
const BATCH_SIZE: usize = 128;

impl MessageSender {
    /// Sends a message. Its acknowledgement is forwarded when it comes.
    ///
    /// `Recipient::send` queues at once, even if the mailbox is full, because each upgraded recipient has a
    /// slot of its own. That keeps the order.
    pub(super) fn send<M>(
        &mut self,
        recipient: &Recipient<M>,
        message: M,
        subscriber: u64,
        lock: &WeakAddr<LockActor>,
    ) where
        M: SubscriberMessage,
    {
        let reply: RecipientRequest<M> = recipient.send(message);
        let reply = reply.map(move |reply| DeliveryEnded {
            subscriber,
            message: M::NAME,
            handled: reply.is_ok(),
        });
        let task = self.0.get_or_insert_with(|| {
            let (task, pending) = unbounded();
            actix::spawn(forward(pending, lock.clone()));
            task
        });
        // The task ends only with its thread, and so does the lock.
        let _ = task.unbounded_send(reply.boxed_local());
    }
}

/// Ends when the lock is gone and all have acknowledged.
async fn forward(mut new: UnboundedReceiver<PendingDelivery>, lock: WeakAddr<LockActor>) {
    let mut pending = FuturesUnordered::new();
    poll_fn(|cx| {
        let mut is_over = false;
        while let Poll::Ready(reply) = new.poll_next_unpin(cx) {
            let Some(reply) = reply else {
                is_over = true;
                break;
            };
            pending.push(reply);
        }
        for _ in 0..BATCH_SIZE {
            match pending.poll_next_unpin(cx) {
                Poll::Ready(Some(acknowledged)) => {
                    if let Some(lock) = lock.upgrade() {
                        lock.do_send(acknowledged);
                    }
                }
                Poll::Ready(None) if is_over => return Poll::Ready(()),
                Poll::Ready(None) | Poll::Pending => return Poll::Pending,
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
