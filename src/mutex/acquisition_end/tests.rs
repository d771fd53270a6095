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
