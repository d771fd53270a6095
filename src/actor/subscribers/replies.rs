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
    messages::{DeliveryEnded, Notice},
};

/// The replies of subscribers that are still to come, which it passes on to the lock.
///
/// One task of the thread waits for all of them: it does not belong to the lock's context, for a
/// restart of the lock would drop it, and actix takes a message back whose sender was dropped. One
/// task for each would make the other locks wait behind all of them.
#[derive(Debug, Default)]
pub(super) struct Replies(Option<UnboundedSender<Reply>>);

type Reply = LocalBoxFuture<'static, DeliveryEnded>;

/// How many replies are passed on before others have their turn.
const PORTION: usize = 128;

impl Replies {
    /// Sends a message, whose reply is passed on when it comes.
    ///
    /// `Recipient::send` queues at once, and always, because each upgraded recipient has a slot of
    /// its own in the mailbox: that keeps the order.
    pub(super) fn deliver<M>(
        &mut self,
        recipient: &Recipient<M>,
        message: M,
        subscriber: u64,
        lock: &WeakAddr<LockActor>,
    ) where
        M: Notice,
    {
        let reply: RecipientRequest<M> = recipient.send(message);
        let reply = reply.map(move |reply| DeliveryEnded {
            subscriber,
            message: M::NAME,
            handled: reply.is_ok(),
        });
        let task = self.0.get_or_insert_with(|| {
            let (task, replies) = unbounded();
            actix::spawn(pass_on(replies, lock.clone()));
            task
        });
        // The task ends only with its thread, and the lock does, too.
        let _ = task.unbounded_send(reply.boxed_local());
    }
}

/// Ends when the lock is gone and all have replied.
async fn pass_on(mut new: UnboundedReceiver<Reply>, lock: WeakAddr<LockActor>) {
    let mut replies = FuturesUnordered::new();
    poll_fn(|cx| {
        let mut is_over = false;
        while let Poll::Ready(reply) = new.poll_next_unpin(cx) {
            let Some(reply) = reply else {
                is_over = true;
                break;
            };
            replies.push(reply);
        }
        for _ in 0..PORTION {
            match replies.poll_next_unpin(cx) {
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
