use std::{future::Future, time::Duration};

use tokio::time::{Instant, timeout};

/// The time that one operation may take, all its requests together.
#[derive(Clone, Copy, Debug)]
pub(super) struct CallLimit {
    whole: Duration,
    begun: Instant,
}

impl CallLimit {
    pub(super) fn new(whole: Duration) -> Self {
        let begun = Instant::now();
        Self { whole, begun }
    }

    fn left(&self) -> Duration {
        self.whole.saturating_sub(self.begun.elapsed())
    }

    pub(super) fn whole(&self) -> Duration {
        self.whole
    }

    /// What is left, as `maxTimeMS`: there zero is no limit, and more than 31 bits are refused.
    pub(super) fn max_time(&self) -> Duration {
        const LEAST: Duration = Duration::from_millis(1);
        const MOST: Duration = Duration::from_millis(i32::MAX as u64);
        self.left().clamp(LEAST, MOST)
    }

    /// The end of a wait, unless that takes all the time.
    pub(super) async fn wait<T>(&self, until: impl Future<Output = T>) -> Option<T> {
        timeout(self.left(), until).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_one_request_took_the_next_one_lacks() {
        let limit = CallLimit::new(Duration::from_secs(2));
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert_eq!(limit.max_time(), Duration::from_millis(500));
        let hanging = std::future::pending::<()>();
        assert_eq!(limit.wait(hanging).await, None);
        assert_eq!(limit.begun.elapsed(), Duration::from_secs(2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_is_never_sent_without_a_limit_that_the_server_takes() {
        let spent = CallLimit::new(Duration::ZERO);
        assert_eq!(spent.max_time(), Duration::from_millis(1));
        let endless = CallLimit::new(Duration::MAX);
        assert_eq!(endless.max_time().as_millis(), i32::MAX as u128);
        assert_eq!(endless.wait(async {}).await, Some(()));
    }
}
