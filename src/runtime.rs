//! The threads of this crate. Lock actors run on one of them, so that neither a handler that blocks nor a
//! `System::stop()` of the application delays a step-down. The clients that `open_store` makes run there, too.

mod current_runtime;
mod current_tokio;
mod detached_task;
mod library_thread;
#[cfg(any(feature = "dynamodb", feature = "sqlite"))]
mod run_blocking;
mod task_with_result;

pub(crate) use current_runtime::{NoActorRuntime, on_current_runtime};
pub(crate) use current_tokio::{run_on_current_tokio, spawn_on_current_tokio};
pub(crate) use detached_task::detached_task;
pub(crate) use library_thread::LibraryThread;
#[cfg(any(feature = "dynamodb", feature = "sqlite"))]
pub(crate) use run_blocking::run_blocking;
pub(crate) use task_with_result::TaskLost;

use std::{
    any::Any,
    io,
    sync::{Mutex, PoisonError, mpsc},
    thread,
};

use actix::{ArbiterHandle, System};

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

/// The thread of the lock actors: a private actix system, started on first use.
pub(crate) fn locks() -> io::Result<ArbiterHandle> {
    get_or_start(&LOCKS, || system("tenure-locks"))
}

/// The thread of the actors that an application without an actix system starts.
pub(crate) fn actors() -> io::Result<ArbiterHandle> {
    get_or_start(&ACTORS, || system("tenure-actors"))
}

fn system(name: &str) -> io::Result<ArbiterHandle> {
    let (started, arbiter) = mpsc::channel();
    let run = move || {
        let runner = System::new();
        // The receiver waits below.
        let _ = started.send(System::current().arbiter().clone());
        runner.run()
    };
    thread::Builder::new().name(name.to_owned()).spawn(run)?;
    let ended = |_| io::Error::other("a thread of tenure ended while it started");
    arbiter.recv().map_err(ended)
}

/// The message of a panic; empty if it has none.
pub(crate) fn text_of(panic: &(dyn Any + Send)) -> String {
    (panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default()
}
