use super::*;

#[test]
fn what_is_over_is_forgotten_whether_it_was_left_or_not() {
    let pending_releases = PendingReleases::default();
    for left in [true, false].repeat(100) {
        let (pending_release, end) = PendingRelease::new();
        pending_releases.add(pending_release.clone());
        if left {
            pending_release.begin();
        }
        drop(end);
    }
    let kept = pending_releases.0.lock().unwrap().len();
    assert!(kept <= 1, "{kept} are kept");
}
