use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
};

use tokio::sync::oneshot;

use super::text_of;

/// Runs a function that blocks, on a thread of its own, so that it blocks no runtime.
///
/// # Errors
/// If the operating system refuses a thread, or if the function panics.
pub(crate) async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let (sender, result) = oneshot::channel();
    let run = move || {
        let done = catch_unwind(AssertUnwindSafe(work));
        // This fails only if the future was dropped.
        let _ = sender.send(done.map_err(|panic| format!("a panic: {}", text_of(&*panic))));
    };
    thread::Builder::new()
        .name("tenure-open".to_owned())
        .spawn(run)?;
    let ended = |_| io::Error::other("a thread of tenure ended before its work");
    result.await.map_err(ended)?.map_err(io::Error::other)
}
