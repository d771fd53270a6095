use std::{
    error::Error,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, SharedCredentialsProvider, error::CredentialsError, future},
};
use futures::{FutureExt as _, future::Shared};
use tokio::{sync::oneshot, time::timeout};

/// After this time, a load that hangs ends with an error. Some providers never time out by themselves.
const PATIENCE: Duration = Duration::from_secs(20);

/// Credentials whose loading outlives the request that asked for them.
///
/// If a request finds no credentials, or expired ones, the SDK loads them within that request. Requests have a
/// limit, and a role may take longer to answer. If each request started the load again, none would ever finish.
#[derive(Debug)]
pub(super) struct BackgroundCredentials {
    inner: SharedCredentialsProvider,
    loading: Mutex<Option<Loading>>,
}

type Loading = Shared<oneshot::Receiver<Result<Credentials, Arc<CredentialsError>>>>;

impl BackgroundCredentials {
    pub(super) fn new(inner: SharedCredentialsProvider) -> Self {
        let loading = Mutex::new(None);
        Self { inner, loading }
    }

    /// The load that is under way, or whose result no request has taken yet; otherwise a new one.
    fn loading(&self) -> Loading {
        let mut loading = self.lock();
        if let Some(loading) = &*loading {
            return loading.clone();
        }
        let (tell, told) = oneshot::channel();
        let inner = self.inner.clone();
        tokio::spawn(async move {
            let loaded = timeout(PATIENCE, inner.provide_credentials()).await;
            let loaded =
                loaded.unwrap_or_else(|_| Err(CredentialsError::provider_timed_out(PATIENCE)));
            // It fails only if the store was dropped.
            let _ = tell.send(loaded.map_err(Arc::new));
        });
        loading.insert(told.shared()).clone()
    }

    /// Ends a load. The SDK caches its result, so another request means that new credentials are needed.
    fn done(&self, done: &Loading) {
        let mut loading = self.lock();
        if (loading.as_ref()).is_some_and(|loading| loading.ptr_eq(done)) {
            *loading = None;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Loading>> {
        self.loading.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ProvideCredentials for BackgroundCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async move {
            let loading = self.loading();
            let loaded = loading.clone().await;
            self.done(&loading);
            loaded
                .map_err(|ended| -> Box<dyn Error + Send + Sync> { ended.into() })
                .and_then(|loaded| loaded.map_err(Into::into))
                .map_err(CredentialsError::provider_error)
        })
    }

    fn fallback_on_interrupt(&self) -> Option<Credentials> {
        self.inner.fallback_on_interrupt()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::pending,
        sync::atomic::{AtomicUsize, Ordering::SeqCst},
    };

    use tokio::time::sleep;

    use super::*;

    /// Loads credentials in 5 s. The second load fails, and the fourth one hangs.
    #[derive(Clone, Debug, Default)]
    struct SlowProvider(Arc<AtomicUsize>);

    impl ProvideCredentials for SlowProvider {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            future::ProvideCredentials::new(async {
                let time = self.0.fetch_add(1, SeqCst);
                sleep(Duration::from_secs(5)).await;
                match time {
                    3 => pending().await,
                    1 => Err(CredentialsError::not_loaded("the role does not exist")),
                    _ => Ok(Credentials::new("key", "secret", None, None, "test")),
                }
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn requests_share_a_load_that_takes_longer_than_their_limits() {
        let slow = SlowProvider::default();
        let lasting = BackgroundCredentials::new(SharedCredentialsProvider::new(slow.clone()));
        let limit = Duration::from_secs(2);
        for time in [1, 2] {
            for _ in 0..2 {
                let asked = timeout(limit, lasting.provide_credentials()).await;
                assert!(asked.is_err(), "not within the limit");
            }
            let asked = timeout(limit, lasting.provide_credentials()).await;
            assert_eq!(asked.unwrap().is_ok(), time == 1);
            assert_eq!(slow.0.load(SeqCst), time);
        }
        lasting.provide_credentials().await.unwrap();
        assert_eq!(slow.0.load(SeqCst), 3);
        let hung = lasting.provide_credentials().await.unwrap_err();
        let cause = hung.source().unwrap().to_string();
        assert!(cause.contains("timed out"), "{cause}");
        lasting.provide_credentials().await.unwrap();
        assert_eq!(slow.0.load(SeqCst), 5);
    }
}
