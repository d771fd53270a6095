use std::{io, thread};

use tokio::{
    runtime, select,
    signal::unix::{SignalKind, signal},
};

/// Passes on what asks the program to end, so that it can end its nodes first.
pub(crate) fn watch(tell: impl FnOnce(&'static str) + Send + 'static) -> io::Result<()> {
    let runtime = runtime::Builder::new_current_thread().enable_io().build()?;
    let guard = runtime.enter();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    drop(guard);
    let wait = async move {
        select! {
            _ = interrupt.recv() => "SIGINT",
            _ = terminate.recv() => "SIGTERM",
            _ = hangup.recv() => "SIGHUP",
        }
    };
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            tell(runtime.block_on(wait));
        })?;
    Ok(())
}
