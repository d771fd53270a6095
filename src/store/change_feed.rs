use std::time::Duration;

use futures::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use tokio::{
    sync::broadcast::{
        self,
        error::RecvError::{Closed, Lagged},
    },
    time::timeout,
};

use super::StoreEvent;

/// The changes of a store within this process, for the streams of its watch.
#[derive(Clone, Debug)]
pub(crate) struct ChangeFeed(broadcast::Sender<StoreEvent>);

/// How many events a slow stream may be behind. If there are more, it is told to look at all records.
const BEHIND: usize = 1024;

impl ChangeFeed {
    pub(crate) fn new() -> Self {
        Self(broadcast::Sender::new(BEHIND))
    }

    pub(crate) fn send(&self, event: StoreEvent) {
        // It fails if there is no stream.
        let _ = self.0.send(event);
    }

    /// A stream of the events from now on. It ends with the feed.
    pub(crate) fn subscribe(&self, alive_every: Duration) -> BoxStream<'static, StoreEvent> {
        let changes = self.0.subscribe();
        stream::unfold(changes, move |mut changes| async move {
            let event = match timeout(alive_every, changes.recv()).await {
                Ok(Ok(event)) => event,
                Ok(Err(Lagged(_))) => StoreEvent::LookAtAll,
                Ok(Err(Closed)) => return None,
                Err(_) => StoreEvent::Alive,
            };
            Some((event, changes))
        })
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::ResourceName;

    fn changed(index: usize) -> StoreEvent {
        StoreEvent::Changed(ResourceName::new(format!("r{index}")).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_has_the_changes_and_a_sign_of_life_between_them() {
        let feed = ChangeFeed::new();
        let mut stream = feed.subscribe(Duration::from_secs(1));
        feed.send(changed(1));
        let first = stream.next().await;
        assert_eq!(first, Some(changed(1)));
        let started = tokio::time::Instant::now();
        assert_eq!(stream.next().await, Some(StoreEvent::Alive));
        assert_eq!(started.elapsed(), Duration::from_secs(1));
        drop(feed);
        assert_eq!(stream.next().await, None);
    }

    #[tokio::test]
    async fn a_stream_that_fell_behind_looks_at_all() {
        let feed = ChangeFeed::new();
        let mut stream = feed.subscribe(Duration::from_secs(1));
        for index in 0..=BEHIND {
            feed.send(changed(index));
        }
        assert_eq!(stream.next().await, Some(StoreEvent::LookAtAll));
        assert_eq!(stream.next().await, Some(changed(1)));
    }
}
