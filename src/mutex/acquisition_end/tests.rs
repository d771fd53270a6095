use super::*;

#[test]
fn finished_acquisitions_are_forgotten_whether_they_were_dropped_or_not() {
    let open_acquisitions = OpenAcquisitions::default();
    for dropped in [true, false].repeat(100) {
        let (acquisition_end, end) = AcquisitionEnd::new();
        open_acquisitions.add(acquisition_end.clone());
        if dropped {
            acquisition_end.begin();
        }
        drop(end);
    }
    let kept = open_acquisitions.0.lock().unwrap().len();
    assert!(kept <= 1, "{kept} are kept");
}

#[test]
fn an_acquisition_waits_for_releases_that_have_begun_and_for_no_others() {
    let open_acquisitions = OpenAcquisitions::default();
    let (held, _held_end) = AcquisitionEnd::new();
    let (dropped, dropped_end) = AcquisitionEnd::new();
    let (next, _next_end) = AcquisitionEnd::new();
    assert!(open_acquisitions.add(held).is_none());
    assert!(open_acquisitions.add(dropped.clone()).is_none());
    dropped.begin();
    let mut releases = open_acquisitions.add(next).expect("a release has begun");
    assert!((&mut releases).now_or_never().is_none());
    drop(dropped_end);
    assert!(releases.now_or_never().is_some());
}

#[test]
fn dropping_what_abandons_an_acquisition_begins_its_release_unless_it_was_disarmed() {
    for disarmed in [false, true] {
        let open_acquisitions = OpenAcquisitions::default();
        let (acquisition_end, _end) = AcquisitionEnd::new();
        let (next, _next_end) = AcquisitionEnd::new();
        let abandon_on_drop = AbandonOnDrop::new(acquisition_end.clone());
        open_acquisitions.add(acquisition_end);
        if disarmed {
            abandon_on_drop.disarm();
        } else {
            drop(abandon_on_drop);
        }
        assert_eq!(open_acquisitions.add(next).is_none(), disarmed);
    }
}
