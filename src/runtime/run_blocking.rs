use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
};

use tokio::sync::oneshot;

use super::text_of;

/// Does what blocks on a thread that ends with it, so that no runtime has to wait.
///
/// # Errors
/// If the operating system gives no thread, or the work panics.
pub(crate) async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let (tell, told) = oneshot::channel();
    let run = move || {
        let done = catch_unwind(AssertUnwindSafe(work));
        // Nobody is told only if the caller has left.
        let _ = tell.send(done.map_err(|panic| format!("a panic: {}", text_of(&*panic))));
    };
    thread::Builder::new()
        .name("tenure-open".to_owned())
        .spawn(run)?;
    let ended = |_| io::Error::other("a thread of tenure ended before its work");
    told.await.map_err(ended)?.map_err(io::Error::other)
}
