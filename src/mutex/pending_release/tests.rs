use super::*;

#[test]
fn finished_acquisitions_are_forgotten_whether_they_were_dropped_or_not() {
    let pending_releases = PendingReleases::default();
    for dropped in [true, false].repeat(100) {
        let (pending_release, end) = PendingRelease::new();
        pending_releases.add(pending_release.clone());
        if dropped {
            pending_release.begin();
        }
        drop(end);
    }
    let kept = pending_releases.0.lock().unwrap().len();
    assert!(kept <= 1, "{kept} are kept");
}
