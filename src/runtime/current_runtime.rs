use std::{
    cell::RefCell,
    future::{Future, pending},
    panic::catch_unwind,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll},
};

use actix::System;
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    task::{LocalSet, spawn_local},
};

/// The current thread has neither an actix system nor a current-thread runtime of tokio, so it cannot run
/// actors.
#[derive(Debug)]
pub(crate) struct NoActorRuntime;

thread_local! {
    /// The actors of a thread without an actix system.
    static TASKS: RefCell<Option<Rc<LocalSet>>> = const { RefCell::new(None) };
}

/// Starts actors on the current thread: in its actix system, or else on its runtime of tokio, if that is a
/// current-thread one.
///
/// # Errors
/// [`NoActorRuntime`] if there is neither. Then nothing was started: actix would panic, and panic again while
/// it unwinds.
pub(crate) fn on_current_runtime<T>(start: impl FnOnce() -> T) -> Result<T, NoActorRuntime> {
    let runtime = Handle::try_current().map_err(|_| NoActorRuntime)?;
    if is_in_system() {
        return Ok(start());
    }
    match runtime.runtime_flavor() {
        RuntimeFlavor::CurrentThread => {
            let tasks = tasks(&runtime);
            let _inside = tasks.enter();
            Ok(start())
        }
        _ => Err(NoActorRuntime),
    }
}

fn is_in_system() -> bool {
    // `try_current` also returns a system that has ended; then `spawn_local` panics.
    System::try_current().is_some() && catch_unwind(|| spawn_local(async {})).is_ok()
}

fn tasks(runtime: &Handle) -> Rc<LocalSet> {
    TASKS.with_borrow_mut(|tasks| {
        let start = || {
            runtime.spawn(LocalSetRunner);
            Rc::default()
        };
        tasks.get_or_insert_with(start).clone()
    })
}

/// Runs the actors of the thread, as a task of its runtime.
struct LocalSetRunner;

impl Future for LocalSetRunner {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let tasks = TASKS.with_borrow(Clone::clone);
        match tasks {
            Some(tasks) => pin!(tasks.run_until(pending())).poll(cx),
            None => Poll::Ready(()),
        }
    }
}

impl Drop for LocalSetRunner {
    fn drop(&mut self) {
        // The runtime ends. A destructor of a task may access `TASKS` again.
        let tasks = TASKS.try_with(RefCell::take);
        drop(tasks);
    }
}
