//! How many requests of one store are with its driver at once.

use std::{sync::Arc, time::Duration};

use futures::{
    StreamExt as _,
    future::{BoxFuture, Either, select},
    stream::FuturesUnordered,
};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};

/// Lets so many requests through at once. The others wait here, and can leave without a trace.
///
/// What waits within a driver cannot. A request that is dropped there, because its time is up, leaves
/// its place in the queue for a connection behind, or takes the connection with it that was being opened
/// for it. While a server hangs, the locks ask again and again; afterwards every request would wait
/// behind those that are gone until it is gone itself, and the store would be of no use to anybody for
/// minutes, long after the server is back.
///
/// So a request that ends without an answer is followed by a probe, which keeps its place until an answer
/// comes: the connection is opened for the probe, and no more requests are left behind than there are
/// places.
#[derive(Clone)]
pub(crate) struct RequestLimiter {
    places: Arc<Semaphore>,
    probe: Probe,
}

/// A request that is as good as any to see whether the server answers.
type Probe = Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

impl RequestLimiter {
    pub(crate) fn new(
        places: usize,
        probe: impl Fn() -> BoxFuture<'static, ()> + Send + Sync + 'static,
    ) -> Self {
        Self {
            places: Arc::new(Semaphore::new(places)),
            probe: Arc::new(probe),
        }
    }

    /// Waits for a turn. `pause` is how long a probe may take before another one follows it.
    pub(crate) async fn next(&self, pause: Duration) -> RequestPermit {
        let place = self.places.clone().acquire_owned().await;
        RequestPermit {
            // They are never closed.
            place: place.ok(),
            probe: self.probe.clone(),
            pause,
        }
    }
}

/// Leave to send a request. When it is dropped, the request has ended without an answer.
pub(crate) struct RequestPermit {
    place: Option<OwnedSemaphorePermit>,
    probe: Probe,
    pause: Duration,
}

impl RequestPermit {
    /// The request has an answer.
    pub(crate) fn end(mut self) {
        self.place = None;
    }
}

impl Drop for RequestPermit {
    fn drop(&mut self) {
        let Some(place) = self.place.take() else {
            return;
        };
        // Where there is no runtime any more, the driver has no connections either.
        if let Ok(runtime) = Handle::try_current() {
            let (probe, pause) = (self.probe.clone(), self.pause);
            runtime.spawn(search(probe, pause, place));
        }
    }
}

/// Keeps the place until the server answers, or there is an error, which has left the queue as well.
///
/// A probe is not dropped when it takes long, since it would leave its place in the queue behind too.
/// But it may be the one that hangs, on a connection that has died without a word, so others follow it.
async fn search(probe: Probe, pause: Duration, place: OwnedSemaphorePermit) {
    const LEAST: Duration = Duration::from_millis(100);
    let least = pause.max(LEAST);
    let mut pause = least;
    let mut probes = FuturesUnordered::new();
    loop {
        probes.push(probe());
        let late = std::pin::pin!(sleep(pause));
        if let Either::Left(_) = select(probes.next(), late).await {
            break;
        }
        // Not ever less often: probes that went to a primary that hangs say nothing of the next one,
        // and the driver waits for them even when that is there.
        pause = least.saturating_mul(2);
    }
    drop(place);
    // Those in the queue have their turn now. One that hangs is dropped, and its connection with it.
    let _ = timeout(least, probes.count()).await;
}

#[cfg(test)]
mod tests {
    use std::{
        future::{pending, ready},
        sync::atomic::{AtomicUsize, Ordering::SeqCst},
    };

    use futures::FutureExt as _;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    const PLACES: usize = 3;

    fn never() -> RequestLimiter {
        RequestLimiter::new(PLACES, || pending().boxed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_without_an_answer_keeps_its_place_until_a_probe_has_one() {
        let answers = Arc::new(Semaphore::new(0));
        let heard = answers.clone();
        let limiter = RequestLimiter::new(PLACES, move || {
            heard.clone().acquire_owned().map(drop).boxed()
        });
        for _ in 0..PLACES {
            drop(limiter.next(SECOND).await);
        }
        sleep(SECOND * 10).await;
        assert!(limiter.next(SECOND).now_or_never().is_none());
        answers.add_permits(1);
        sleep(SECOND).await;
        assert_eq!(limiter.places.available_permits(), PLACES);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_with_an_answer_makes_room_at_once() {
        let limiter = never();
        for _ in 0..PLACES * 2 {
            limiter.next(SECOND).now_or_never().unwrap().end();
        }
        assert_eq!(limiter.places.available_permits(), PLACES);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_a_turn_leaves_without_a_trace() {
        let limiter = never();
        let mut taken = Vec::new();
        for _ in 0..PLACES {
            taken.push(limiter.next(SECOND).await);
        }
        for _ in 0..PLACES {
            assert!(timeout(SECOND, limiter.next(SECOND)).await.is_err());
        }
        taken.pop().unwrap().end();
        assert!(limiter.next(SECOND).now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_hangs_is_kept_and_soon_followed_by_others() {
        let sent = Arc::new(AtomicUsize::new(0));
        let count = sent.clone();
        let limiter = RequestLimiter::new(PLACES, move || {
            let fourth = count.fetch_add(1, SeqCst) == 3;
            if fourth {
                ready(()).boxed()
            } else {
                pending().boxed()
            }
        });
        drop(limiter.next(SECOND).await);
        // They are sent at 0, 1, 3 and 5 s.
        for (after, probes) in [(500, 1), (2000, 2), (2000, 3), (1000, 4)] {
            assert_ne!(limiter.places.available_permits(), PLACES);
            sleep(Duration::from_millis(after)).await;
            assert_eq!(sent.load(SeqCst), probes, "{after}");
        }
        assert_eq!(limiter.places.available_permits(), PLACES);
        sleep(SECOND * 100).await;
        assert_eq!(sent.load(SeqCst), 4);
    }

    #[test]
    fn a_turn_that_is_dropped_where_no_runtime_is_makes_room() {
        let limiter = never();
        drop(limiter.next(SECOND).now_or_never());
        assert_eq!(limiter.places.available_permits(), PLACES);
    }
}
