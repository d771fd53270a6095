use std::io;

use futures::future::{Either, join_all, select};

use super::LockHandle;

/// Waits for SIGTERM or Ctrl-C, then [shuts the locks down](LockHandle::shutdown): subscribers stop first,
/// then leases are released.
///
/// Returns when all locks are shut down, or at a second signal. It needs a tokio or actix runtime. From the
/// first call on, the two signals no longer end the process by themselves.
///
/// # Errors
/// If the operating system refuses a signal handler.
///
/// # Cancel safety
/// Before the first signal you may drop it without effect. After it, shutdowns that have begun continue.
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
            "not waiting for the leases to be released"
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
