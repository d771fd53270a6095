use std::{sync::mpsc::Sender, thread};

use tokio::{
    runtime, select,
    signal::unix::{SignalKind, signal},
};

use super::failure::Failure;

/// Sends a message when the program is asked to end, so that it can end its processes first.
pub(crate) fn watch<M: Send + 'static>(
    tell: Sender<M>,
    message: fn(&'static str) -> M,
) -> Result<(), Failure> {
    let watch = || {
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
                // If the receiver is gone, the program is ending already.
                let _ = tell.send(message(runtime.block_on(wait)));
            })
    };
    watch().map(drop).map_err(Failure::to("listen for signals"))
}
