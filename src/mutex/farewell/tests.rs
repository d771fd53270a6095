use super::*;

#[test]
fn what_is_over_is_forgotten_whether_it_was_left_or_not() {
    let farewells = Farewells::default();
    for left in [true, false].repeat(100) {
        let (farewell, end) = Farewell::new();
        farewells.add(farewell.clone());
        if left {
            farewell.begin();
        }
        drop(end);
    }
    let kept = farewells.0.lock().unwrap().len();
    assert!(kept <= 1, "{kept} are kept");
}
