use std::{cell::Cell, future::pending, rc::Rc, thread, time::Duration};

use actix::System;
use tokio::{runtime::Builder, task::JoinHandle};

use super::*;

fn runtime() -> tokio::runtime::Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// Starts a task in the place of an actor.
fn start() -> Result<JoinHandle<u32>, NoActorRuntime> {
    on_current_runtime(|| spawn_local(async { 1 }))
}

/// Fails if the runtime does not run what is started on it.
fn assert_runs_tasks(runtime: &tokio::runtime::Runtime) {
    let ran = runtime.block_on(async {
        let task = start().unwrap();
        tokio::time::timeout(Duration::from_secs(5), task).await
    });
    assert_eq!(ran.expect("nothing drives the task").unwrap(), 1);
}

#[test]
fn runtimes_that_take_turns_on_one_thread_each_run_their_own_tasks() {
    let (first, second) = (runtime(), runtime());
    for runtime in [&first, &second, &first] {
        assert_runs_tasks(runtime);
    }
}

#[test]
fn a_runtime_beside_a_system_of_the_thread_runs_its_own_tasks() {
    let system = System::new();
    assert_runs_tasks(&runtime());
    let in_system = system.block_on(async { start().unwrap().await.unwrap() });
    assert_eq!(in_system, 1);
    drop(system);
    assert_runs_tasks(&runtime());
}

#[test]
fn a_runtime_that_was_dropped_starts_nothing_and_leaves_the_next_one_healthy() {
    let ended = runtime();
    let handle = ended.handle().clone();
    drop(ended);
    {
        let _inside = handle.enter();
        start().unwrap_err();
    }
    assert_runs_tasks(&runtime());
}

thread_local! {
    static STARTED_IN_DROP: Cell<Option<bool>> = const { Cell::new(None) };
}

/// Starts a task when it is dropped.
struct StartOnDrop;

impl Drop for StartOnDrop {
    fn drop(&mut self) {
        STARTED_IN_DROP.set(Some(start().is_ok()));
    }
}

#[test]
fn a_destructor_in_the_shutdown_of_a_runtime_starts_nothing() {
    let ending = runtime();
    ending.block_on(async {
        tokio::spawn(async {
            let _start = StartOnDrop;
            pending::<()>().await;
        });
        tokio::task::yield_now().await;
    });
    drop(ending);
    assert_eq!(STARTED_IN_DROP.get(), Some(false));
    assert_runs_tasks(&runtime());
}

/// Counts as dropped when its task is.
struct CountOnDrop(Rc<Cell<u32>>);

impl Drop for CountOnDrop {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

fn start_endless(drops: &Rc<Cell<u32>>) {
    let count = CountOnDrop(drops.clone());
    let task = async move {
        let _count = count;
        pending::<()>().await;
    };
    on_current_runtime(|| spawn_local(task)).unwrap();
}

#[test]
fn the_tasks_end_with_their_runtime() {
    let (runtime, drops) = (runtime(), Rc::default());
    runtime.block_on(async {
        start_endless(&drops);
        start_endless(&drops);
        tokio::task::yield_now().await;
    });
    assert_eq!(drops.get(), 0);
    drop(runtime);
    assert_eq!(drops.get(), 2);
}

#[test]
fn the_tasks_of_a_runtime_that_ended_on_another_thread_end_at_the_next_start() {
    let (moved, drops) = (runtime(), Rc::default());
    moved.block_on(async { start_endless(&drops) });
    thread::spawn(move || drop(moved)).join().unwrap();
    assert_runs_tasks(&runtime());
    assert_eq!(drops.get(), 1);
}
