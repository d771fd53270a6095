use std::{
    cell::RefCell,
    collections::HashMap,
    future::Future,
    panic::catch_unwind,
    pin::Pin,
    sync::atomic::{AtomicU64, Ordering},
    task::{Context, Poll},
};

use actix::Arbiter;
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    task::{JoinHandle, LocalSet, spawn_local},
};

/// The current thread has neither an actix system nor a current-thread runtime of tokio, so it cannot run
/// actors.
#[derive(Debug)]
pub(crate) struct NoActorRuntime;

/// The actors of one start. Its runner drives them, as a task of their runtime.
struct StartedActors {
    tasks: LocalSet,
    runner: JoinHandle<()>,
}

thread_local! {
    /// What was started on this thread outside an actix system. Each start has its own entry, because tokio gives
    /// no identity of a runtime that stays unique after the runtime has ended.
    static STARTED: RefCell<HashMap<RunnerId, StartedActors>> = RefCell::default();
}

/// Starts actors on the current thread: in its actix system, or else on its runtime of tokio, if that is a
/// current-thread one. The runtime must stay on this thread.
///
/// # Errors
/// [`NoActorRuntime`] if there is neither, or if the runtime has ended. Then nothing was started: actix would
/// panic, and panic again while it unwinds.
pub(crate) fn on_current_runtime<T>(start: impl FnOnce() -> T) -> Result<T, NoActorRuntime> {
    let runtime = Handle::try_current().map_err(|_| NoActorRuntime)?;
    if is_in_system() {
        return Ok(start());
    }
    match runtime.runtime_flavor() {
        RuntimeFlavor::CurrentThread => start_on(&runtime, start),
        _ => Err(NoActorRuntime),
    }
}

/// Whether the system of this thread polls the caller.
fn is_in_system() -> bool {
    // A system that has ended stays current, but its arbiter is not alive. The second question panics, and runs
    // the panic hook, only if the thread has a live system and another runtime polls the caller; tokio has no
    // function that asks it without a panic.
    Arbiter::try_current().is_some_and(|arbiter| arbiter.alive())
        && catch_unwind(|| spawn_local(async {})).is_ok()
}

fn start_on<T>(runtime: &Handle, start: impl FnOnce() -> T) -> Result<T, NoActorRuntime> {
    drop_ended();
    let id = RunnerId::new();
    let runner = runtime.spawn(Runner(id));
    // A runtime that has ended, or is about to, drops the runner at once.
    if runner.is_finished() {
        return Err(NoActorRuntime);
    }
    let tasks = LocalSet::new();
    let started = {
        let _inside = tasks.enter();
        start()
    };
    STARTED.with_borrow_mut(|all| all.insert(id, StartedActors { tasks, runner }));
    Ok(started)
}

/// Drops the actors whose runtime ended on another thread.
fn drop_ended() {
    let ended: Vec<_> = STARTED.with_borrow_mut(|all| {
        let ended = all.extract_if(|_, actors| actors.runner.is_finished());
        ended.collect()
    });
    // Outside the borrow: a destructor of an actor may start another.
    drop(ended);
}

/// Names a [`Runner`]. Unique in the process, because a runtime may be moved to a thread that has other runners.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct RunnerId(u64);

impl RunnerId {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// Drives the actors of one start, until they have ended. They are not in here, because a task of a runtime must
/// be `Send`.
struct Runner(RunnerId);

impl Future for Runner {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // Removed during the poll: an actor may start others.
        let Some(mut actors) = STARTED.with_borrow_mut(|all| all.remove(&self.0)) else {
            return Poll::Ready(());
        };
        let done = Pin::new(&mut actors.tasks).poll(cx);
        if done.is_pending() {
            STARTED.with_borrow_mut(|all| all.insert(self.0, actors));
        }
        done
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        // The runtime ends, maybe in a destructor of the thread. An actor may start others while it is dropped.
        let actors = STARTED.try_with(|all| all.borrow_mut().remove(&self.0));
        drop(actors);
    }
}

#[cfg(test)]
mod tests;
