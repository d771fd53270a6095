//! Cases about the stream of changes.

use std::time::{Duration, Instant};

use futures::{StreamExt as _, stream::BoxStream};
use tokio::time::timeout;

use super::super::{
    operator::{hand_over, instructed, pause, resume},
    trial::{LIMIT, Trial, granted, released, renewed},
};
use crate::{
    lease::{FencingToken, ResourceName},
    store::{EvictionMode, StoreEvent},
};

/// How late an event may be: a busy machine is slow.
const TOLERANCE: Duration = Duration::from_secs(5);

const ALIVE_EVERY: Duration = Duration::from_millis(300);

/// Acquires a lease that does not expire during the case.
async fn hold(t: &Trial) -> FencingToken {
    let mut bid = t.bid("a");
    bid.ttl = Duration::from_secs(600);
    granted(t.store().acquire(&bid, LIMIT).await)
}

/// A stream of the second client. Changes are made through the first one.
pub(super) struct Watch {
    events: BoxStream<'static, StoreEvent>,
    resource: ResourceName,
}

impl Watch {
    /// Opens a stream and waits until it works.
    pub(super) async fn open(t: &Trial) -> Self {
        let events = t.other().watch(ALIVE_EVERY);
        let mut watch = Self {
            events: events.expect("a store that can watch"),
            resource: t.resource.clone(),
        };
        watch.next().await.expect("a sign of life");
        watch.settle().await;
        watch
    }

    /// The next event, or `None` if the stream is silent for too long.
    async fn next(&mut self) -> Option<StoreEvent> {
        let event = timeout(ALIVE_EVERY + TOLERANCE, self.events.next()).await;
        event.ok().map(|event| event.expect("the stream has ended"))
    }

    /// Reads the events until nothing has changed for a while.
    pub(super) async fn settle(&mut self) {
        let mut since = Instant::now();
        while since.elapsed() < ALIVE_EVERY {
            let event = self.next().await.expect("a sign of life");
            if self.is_about_it(&event) {
                since = Instant::now();
            }
        }
    }

    fn is_about_it(&self, event: &StoreEvent) -> bool {
        match event {
            StoreEvent::Changed(resource)
            | StoreEvent::Acquired { resource, .. }
            | StoreEvent::RegisterChanged(resource) => *resource == self.resource,
            StoreEvent::LookAtAll => true,
            StoreEvent::Alive => false,
        }
    }

    /// Waits for an event of the resource.
    pub(super) async fn tells(&mut self, what: &str) -> StoreEvent {
        let started = Instant::now();
        while started.elapsed() < TOLERANCE {
            match self.next().await {
                Some(event) if self.is_about_it(&event) => return event,
                Some(_) => {}
                None => break,
            }
        }
        panic!("no event of {what} within {TOLERANCE:?}");
    }
}

pub(super) async fn a_watch_is_never_silent(t: &Trial) {
    let events = t.other().watch(ALIVE_EVERY);
    let mut events = events.expect("a store that can watch");
    for _ in 0..6 {
        let event = timeout(ALIVE_EVERY + TOLERANCE, events.next()).await;
        let event = event.expect("a silent stream");
        event.expect("a stream that goes on");
    }
}

pub(super) async fn a_watch_tells_an_acquisition(t: &Trial) {
    let mut watch = Watch::open(t).await;
    let token = t.held().await;
    let event = watch.tells("an acquisition").await;
    if let StoreEvent::Acquired { ttl, .. } = event {
        assert!(ttl >= t.ttl(), "{ttl:?} of {:?}", t.ttl());
    }
    released(t.store().release(&t.claim("a", token), None, LIMIT).await);
    watch.settle().await;
    t.held().await;
    watch.tells("an acquisition of a record").await;
}

pub(super) async fn a_watch_tells_a_release_that_is_visible_by_then(t: &Trial) {
    let token = hold(t).await;
    let mut watch = Watch::open(t).await;
    let (client, claim) = (t.clients[0].clone(), t.claim("a", token));
    let release = tokio::spawn(async move { client.release(&claim, None, LIMIT).await });
    watch.tells("a release").await;
    granted(t.other().acquire(&t.bid("b"), LIMIT).await);
    released(release.await.expect("no panic"));
}

pub(super) async fn a_watch_tells_an_eviction(t: &Trial) {
    for eviction in [EvictionMode::Force, EvictionMode::Close] {
        let token = hold(t).await;
        let mut watch = Watch::open(t).await;
        let evicted = t.store().evict(&t.resource, token, eviction, LIMIT).await;
        released(evicted);
        watch.tells("an eviction").await;
    }
}

pub(super) async fn a_watch_tells_instructions(t: &Trial) {
    let token = hold(t).await;
    let edition = t.record().await.edition;
    let mut watch = Watch::open(t).await;
    let instructions = [
        ("a hand-over", hand_over(token, "b")),
        ("a pause", pause(edition)),
        ("a resume", resume(edition + 1)),
    ];
    for (what, instruction) in instructions {
        let resource = &t.resource;
        instructed(t.store().instruct(resource, &instruction, LIMIT).await);
        watch.tells(what).await;
    }
}

pub(super) async fn a_watch_tells_a_renewal_with_a_shorter_ttl(t: &Trial) {
    let token = hold(t).await;
    let mut watch = Watch::open(t).await;
    renewed(t.store().renew(&t.lease("a", token), t.ttl(), LIMIT).await);
    watch.tells("a shorter renewal").await;
}
