use std::io;

use futures::future::{Either, join_all, select};

use super::LockHandle;

/// Waits for SIGTERM or Ctrl-C, then shuts the locks down: subscribers stop first, leases are
/// released after. A second signal ends the waiting.
///
/// Runs on the tokio or actix runtime of the caller. From the first call on, the two signals no
/// longer end the process by themselves.
///
/// # Errors
/// If the operating system gives no signal handler.
///
/// # Cancel safety
/// Before the first signal it may be dropped without effect; after it, shutdowns that have begun
/// go on.
pub async fn shutdown_on_signal(locks: impl IntoIterator<Item = LockHandle>) -> io::Result<()> {
    let mut signals = Signals::new()?;
    signals.next().await?;
    event!(info, "tenure.signal", "shutting down");
    let locks: Vec<_> = locks.into_iter().collect();
    let shutdowns = Box::pin(join_all(locks.iter().map(LockHandle::shutdown)));
    let again = Box::pin(signals.next());
    if let Either::Right((signal, _)) = select(shutdowns, again).await {
        signal?;
        event!(
            warn,
            "tenure.signal_again",
            "not waiting for the leases to be given back"
        );
    }
    Ok(())
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> io::Result<()> {
        let interrupt = Box::pin(self.interrupt.recv());
        let terminate = Box::pin(self.terminate.recv());
        drop(select(interrupt, terminate).await);
        Ok(())
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> io::Result<()> {
        tokio::signal::ctrl_c().await
    }
}
