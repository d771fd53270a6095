//! The library's own threads: lock actors run on one, so that neither a handler that blocks nor a
//! `System::stop()` of the application delays a step-down.

use std::{
    io,
    sync::{Mutex, PoisonError, mpsc},
    thread,
};

use actix::{Actor, Addr, ArbiterHandle, Context, System};

static LOCKS: Mutex<Option<ArbiterHandle>> = Mutex::new(None);
static ACTORS: Mutex<Option<ArbiterHandle>> = Mutex::new(None);

fn get_or_start(
    slot: &Mutex<Option<ArbiterHandle>>,
    start: impl FnOnce() -> io::Result<ArbiterHandle>,
) -> io::Result<ArbiterHandle> {
    let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(running) = slot.as_ref().filter(|arbiter| arbiter.alive()) {
        return Ok(running.clone());
    }
    let started = start()?;
    *slot = Some(started.clone());
    Ok(started)
}

/// The thread of the lock actors: a private actix system, started at the first use.
pub(super) fn locks() -> io::Result<ArbiterHandle> {
    get_or_start(&LOCKS, || system("tenure-locks"))
}

fn system(name: &str) -> io::Result<ArbiterHandle> {
    let (tell, told) = mpsc::channel();
    let run = move || {
        let runner = System::new();
        // Nobody waits for it only if the first user has gone already.
        let _ = tell.send(System::current().arbiter().clone());
        runner.run()
    };
    thread::Builder::new().name(name.to_owned()).spawn(run)?;
    let gone = |_| io::Error::other("a thread of tenure ended while it started");
    told.recv().map_err(gone)
}

/// Starts an actor on a thread of the library's own, for programs without an actix system: those
/// under `#[tokio::main]`. It is not the thread of the locks, so the actor may be slow.
///
/// # Errors
/// If the operating system gives no thread.
///
/// # Examples
///
/// ```
/// # use actix::{Actor, Context};
/// struct Worker;
///
/// impl Actor for Worker {
///     type Context = Context<Self>;
/// }
///
/// # #[tokio::main]
/// # async fn main() -> std::io::Result<()> {
/// let worker = tenure::start_actor(|_| Worker)?;
/// assert!(worker.connected());
/// # Ok(())
/// # }
/// ```
pub fn start_actor<A>(
    make: impl FnOnce(&mut Context<A>) -> A + Send + 'static,
) -> io::Result<Addr<A>>
where
    A: Actor<Context = Context<A>>,
{
    // A system of its own: an actor may stop the one that it runs in.
    let actors = get_or_start(&ACTORS, || system("tenure-actors"))?;
    Ok(A::start_in_arbiter(&actors, make))
}
