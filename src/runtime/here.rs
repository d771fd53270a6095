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

/// Actors stay on the thread on which they were started, and this one cannot run any.
#[derive(Debug)]
pub(crate) struct NotHere;

thread_local! {
    /// The tasks of actors on a thread without an actix system.
    static TASKS: RefCell<Option<Rc<LocalSet>>> = const { RefCell::new(None) };
}

/// Starts actors on the current thread: in the actix system that it runs, or else as tasks of its
/// runtime, if that has no other thread.
///
/// # Errors
/// Where neither is there. Nothing was started then: actix would panic, and once more as it unwinds.
pub(crate) fn here<T>(start: impl FnOnce() -> T) -> Result<T, NotHere> {
    let runtime = Handle::try_current().map_err(|_| NotHere)?;
    if is_in_system() {
        return Ok(start());
    }
    match runtime.runtime_flavor() {
        RuntimeFlavor::CurrentThread => {
            let tasks = tasks(&runtime);
            let _inside = tasks.enter();
            Ok(start())
        }
        _ => Err(NotHere),
    }
}

fn is_in_system() -> bool {
    // A thread keeps the name of a system that has ended; then this panics.
    System::try_current().is_some() && catch_unwind(|| spawn_local(async {})).is_ok()
}

fn tasks(runtime: &Handle) -> Rc<LocalSet> {
    TASKS.with_borrow_mut(|tasks| {
        let start = || {
            runtime.spawn(Run);
            Rc::default()
        };
        tasks.get_or_insert_with(start).clone()
    })
}

/// Runs the tasks of the thread, as a task of a runtime that has no other thread.
struct Run;

impl Future for Run {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let tasks = TASKS.with_borrow(Clone::clone);
        match tasks {
            Some(tasks) => pin!(tasks.run_until(pending())).poll(cx),
            None => Poll::Ready(()),
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // The runtime ends. What the tasks drop may look for the tasks again.
        let tasks = TASKS.try_with(RefCell::take);
        drop(tasks);
    }
}
