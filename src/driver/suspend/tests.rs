use super::*;

#[test]
fn a_sleep_of_the_machine_is_a_jump_and_the_passing_of_time_is_not() {
    let (boot, monotonic) = (BootClock.now(), Instant::now());
    let mut gap = SuspendDetector::new(boot, monotonic);
    let second = Duration::from_secs(1);
    assert!(!gap.has_jumped(boot + second, monotonic + second));
    assert!(gap.has_jumped(boot + second * 9, monotonic + second * 2));
    assert!(!gap.has_jumped(boot + second * 10, monotonic + second * 3));
}
