use std::{future::Future, time::Duration};

use tokio::time::{Instant, timeout};

/// The time that one operation may take with all its requests.
#[derive(Clone, Copy, Debug)]
pub(super) struct OperationDeadline {
    whole: Duration,
    begun: Instant,
}

impl OperationDeadline {
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

    /// The time left, as `maxTimeMS`. MongoDB takes zero for no limit, and refuses more than 31 bits.
    pub(super) fn max_time(&self) -> Duration {
        const LEAST: Duration = Duration::from_millis(1);
        const MOST: Duration = Duration::from_millis(i32::MAX as u64);
        self.left().clamp(LEAST, MOST)
    }

    /// Waits for a future, or returns `None` when the time is up.
    pub(super) async fn wait<T>(&self, until: impl Future<Output = T>) -> Option<T> {
        timeout(self.left(), until).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn all_requests_of_an_operation_share_one_limit() {
        let limit = OperationDeadline::new(Duration::from_secs(2));
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert_eq!(limit.max_time(), Duration::from_millis(500));
        let hanging = std::future::pending::<()>();
        assert_eq!(limit.wait(hanging).await, None);
        assert_eq!(limit.begun.elapsed(), Duration::from_secs(2));
    }

    #[tokio::test(start_paused = true)]
    async fn max_time_is_always_a_limit_that_the_server_accepts() {
        let spent = OperationDeadline::new(Duration::ZERO);
        assert_eq!(spent.max_time(), Duration::from_millis(1));
        let endless = OperationDeadline::new(Duration::MAX);
        assert_eq!(endless.max_time().as_millis(), i32::MAX as u128);
        assert_eq!(endless.wait(async {}).await, Some(()));
    }
}
