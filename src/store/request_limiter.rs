//! Limits how many requests of one store are with its driver at once.

mod later_probes;

use std::{sync::Arc, time::Duration};

use futures::future::{BoxFuture, Either, select};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};

use later_probes::LaterProbes;

/// Gives a limited number of permits. A request without one waits here, and can be dropped at no cost.
///
/// Dropping a request that waits within a driver has a cost: its entry stays in the driver's queue for a
/// connection, or the connection that was being opened for it is lost. While a server hangs, the locks keep
/// retrying. Without a limit, every request after the server's return would wait behind dropped ones until it
/// timed out itself, and the store would stay unusable for minutes.
///
/// So if a request ends without an answer, a probe keeps its permit until an answer comes. The connection is
/// opened for the probe, and the driver's queue never has more dropped requests than there are permits.
#[derive(Clone)]
pub(crate) struct RequestLimiter {
    permits: Arc<Semaphore>,
    probe: ProbeFn,
    later_probes: Arc<LaterProbes>,
}

/// Sends a request that shows whether the server answers.
type ProbeFn = Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

impl RequestLimiter {
    pub(crate) fn new(
        permits: usize,
        probe: impl Fn() -> BoxFuture<'static, ()> + Send + Sync + 'static,
    ) -> Self {
        let probe: ProbeFn = Arc::new(probe);
        Self {
            permits: Arc::new(Semaphore::new(permits)),
            later_probes: Arc::new(LaterProbes::new(probe.clone())),
            probe,
        }
    }

    /// Waits for a permit. If a probe takes longer than `pause`, another one follows it.
    pub(crate) async fn acquire(&self, pause: Duration) -> RequestPermit {
        let permit = self.permits.clone().acquire_owned().await;
        RequestPermit {
            // The semaphore is never closed.
            permit: permit.ok(),
            probe: self.probe.clone(),
            later_probes: self.later_probes.clone(),
            pause,
        }
    }
}

/// The permission to send a request. Dropping it means that the request ended without an answer.
pub(crate) struct RequestPermit {
    permit: Option<OwnedSemaphorePermit>,
    probe: ProbeFn,
    later_probes: Arc<LaterProbes>,
    pause: Duration,
}

impl RequestPermit {
    /// Gives the permit back, because the request has an answer.
    pub(crate) fn answered(mut self) {
        self.permit = None;
    }
}

impl Drop for RequestPermit {
    fn drop(&mut self) {
        let Some(permit) = self.permit.take() else {
            return;
        };
        // Without a runtime, the driver has no connections either.
        if let Ok(runtime) = Handle::try_current() {
            let (probe, later_probes) = (self.probe.clone(), self.later_probes.clone());
            runtime.spawn(probe_until_answered(
                probe,
                later_probes,
                self.pause,
                permit,
            ));
        }
    }
}

/// Keeps the permit until a probe gets an answer or an error. After either, its entry has left the queue.
///
/// A slow probe is not dropped, because its own entry would stay in the queue. But it may hang on a connection
/// that has died silently, so other probes follow it.
async fn probe_until_answered(
    probe: ProbeFn,
    later_probes: Arc<LaterProbes>,
    pause: Duration,
    permit: OwnedSemaphorePermit,
) {
    const LEAST: Duration = Duration::from_millis(100);
    let least = pause.max(LEAST);
    let before = later_probes.last();
    let mut probe = probe();
    let send_later = async {
        let mut pause = least;
        loop {
            sleep(pause).await;
            later_probes.send(least);
            // The pause does not keep growing: a probe to a primary that hangs says nothing about the next
            // primary, and the driver waits for it even after the next one was elected.
            pause = least.saturating_mul(2);
        }
    };
    let later_answer = later_probes.answered_after(before);
    let is_answered = {
        let (send_later, later_answer) = (std::pin::pin!(send_later), std::pin::pin!(later_answer));
        let later = select(later_answer, send_later);
        matches!(select(&mut probe, later).await, Either::Left(_))
    };
    let hanging = later_probes.last();
    drop(permit);
    // The probes in the queue are served now. One that still hangs is dropped, and its connection with it.
    if is_answered {
        sleep(least).await;
    } else {
        let _ = timeout(least, probe).await;
    }
    later_probes.drop_until(hanging);
}

#[cfg(test)]
mod tests {
    use std::{
        future::{pending, ready},
        sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    };

    use futures::FutureExt as _;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    const PERMITS: usize = 3;

    fn never() -> RequestLimiter {
        RequestLimiter::new(PERMITS, || pending().boxed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_without_an_answer_keeps_its_permit_until_a_probe_is_answered() {
        let answers = Arc::new(Semaphore::new(0));
        let received = answers.clone();
        let limiter = RequestLimiter::new(PERMITS, move || {
            received.clone().acquire_owned().map(drop).boxed()
        });
        for _ in 0..PERMITS {
            drop(limiter.acquire(SECOND).await);
        }
        sleep(SECOND * 10).await;
        assert!(limiter.acquire(SECOND).now_or_never().is_none());
        answers.add_permits(1);
        sleep(SECOND).await;
        assert_eq!(limiter.permits.available_permits(), PERMITS);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_with_an_answer_gives_its_permit_back_at_once() {
        let limiter = never();
        for _ in 0..PERMITS * 2 {
            limiter.acquire(SECOND).now_or_never().unwrap().answered();
        }
        assert_eq!(limiter.permits.available_permits(), PERMITS);
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_wait_for_a_permit_takes_none() {
        let limiter = never();
        let mut taken = Vec::new();
        for _ in 0..PERMITS {
            taken.push(limiter.acquire(SECOND).await);
        }
        for _ in 0..PERMITS {
            assert!(timeout(SECOND, limiter.acquire(SECOND)).await.is_err());
        }
        taken.pop().unwrap().answered();
        assert!(limiter.acquire(SECOND).now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_hangs_is_kept_and_others_follow_it() {
        let sent = Arc::new(AtomicUsize::new(0));
        let count = sent.clone();
        let limiter = RequestLimiter::new(PERMITS, move || {
            let fourth = count.fetch_add(1, SeqCst) == 3;
            if fourth {
                ready(()).boxed()
            } else {
                pending().boxed()
            }
        });
        drop(limiter.acquire(SECOND).await);
        // They are sent at 0, 1, 3 and 5 s.
        for (after, probes) in [(500, 1), (2000, 2), (2000, 3), (1000, 4)] {
            assert_ne!(limiter.permits.available_permits(), PERMITS);
            sleep(Duration::from_millis(after)).await;
            assert_eq!(sent.load(SeqCst), probes, "{after}");
        }
        assert_eq!(limiter.permits.available_permits(), PERMITS);
        sleep(SECOND * 100).await;
        assert_eq!(sent.load(SeqCst), 4);
    }

    /// Counts a probe for as long as it lives.
    struct LiveProbe(Arc<AtomicUsize>);

    impl LiveProbe {
        fn new(live: &Arc<AtomicUsize>) -> Self {
            live.fetch_add(1, SeqCst);
            Self(live.clone())
        }
    }

    impl Drop for LiveProbe {
        fn drop(&mut self) {
            self.0.fetch_sub(1, SeqCst);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_number_of_live_probes_is_bounded_while_a_peer_hangs() {
        let live = Arc::new(AtomicUsize::new(0));
        let hangs = Arc::new(AtomicBool::new(true));
        let (count, frozen) = (live.clone(), hangs.clone());
        let limiter = RequestLimiter::new(PERMITS, move || {
            let (probe, hangs) = (LiveProbe::new(&count), frozen.load(SeqCst));
            async move {
                let _probe = probe;
                if hangs {
                    pending::<()>().await;
                }
            }
            .boxed()
        });
        for _ in 0..PERMITS {
            drop(limiter.acquire(SECOND).await);
            sleep(SECOND / 4).await;
        }
        for _ in 0..5 * 3600 {
            sleep(SECOND).await;
            let live = live.load(SeqCst);
            assert!(live <= PERMITS + LaterProbes::MOST, "{live} live probes");
            assert_eq!(limiter.permits.available_permits(), 0);
        }
        // The probes so far never get an answer, as on a primary that stays frozen after the next was elected.
        hangs.store(false, SeqCst);
        sleep(SECOND * 3).await;
        assert_eq!(limiter.permits.available_permits(), PERMITS);
        sleep(SECOND * 3).await;
        assert_eq!(live.load(SeqCst), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_answer_to_an_earlier_probe_gives_no_later_permit_back() {
        let answers = Arc::new(Semaphore::new(0));
        let (sent, received) = (AtomicUsize::new(0), answers.clone());
        let limiter = RequestLimiter::new(PERMITS, move || {
            // The second probe is the later probe of the first permit.
            let second = sent.fetch_add(1, SeqCst) == 1;
            if second {
                received.clone().acquire_owned().map(drop).boxed()
            } else {
                pending().boxed()
            }
        });
        drop(limiter.acquire(SECOND).await);
        sleep(SECOND * 3 / 2).await;
        drop(limiter.acquire(SECOND).await);
        tokio::task::yield_now().await;
        answers.add_permits(1);
        sleep(SECOND / 4).await;
        assert_eq!(limiter.permits.available_permits(), PERMITS - 1);
    }

    #[test]
    fn a_permit_that_is_dropped_without_a_runtime_is_given_back() {
        let limiter = never();
        drop(limiter.acquire(SECOND).now_or_never());
        assert_eq!(limiter.permits.available_permits(), PERMITS);
    }
}
