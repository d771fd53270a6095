use super::*;

#[test]
fn only_the_lock_thread_watches_for_a_suspend() {
    let lock_thread = Executor::lock_thread().unwrap();
    assert!(lock_thread.watches_for_suspend());
    assert!(!Executor::CurrentRuntime.watches_for_suspend());
}
