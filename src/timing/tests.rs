use super::*;

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn error(builder: TimingBuilder) -> String {
    builder.build().unwrap_err().to_string()
}

#[test]
fn defaults_follow_from_a_ttl_of_15_s() {
    let timing = Timing::default();
    assert_eq!(timing.ttl(), secs(15));
    assert_eq!(timing.renew_every(), secs(5));
    assert_eq!(timing.poll_every(), secs(3));
    assert_eq!(timing.margin(), millis(1500));
    assert_eq!(timing.call_timeout(), secs(3));
    assert_eq!(timing.yield_for(), secs(15));
}

#[test]
fn times_that_add_up_to_more_than_the_ttl_are_refused_with_all_four_numbers() {
    let builder = Timing::builder().ttl(secs(10)).renew_every(secs(7));
    let builder = builder.margin(secs(1)).call_timeout(secs(2));
    assert!(builder.build().is_ok());
    assert_eq!(
        error(builder.call_timeout(secs(3))),
        "renew_every of 7 s, margin of 1 s and call_timeout of 3 s add up to more than the ttl of 10 s, \
         so one slow renewal would lose the lease: shorten them or lengthen the ttl"
    );
}

#[test]
fn two_slow_renewals_in_a_row_keep_the_lease() {
    let builder = Timing::builder().ttl(secs(10)).renew_every(secs(1));
    let builder = builder.margin(secs(2)).call_timeout(secs(4));
    assert!(builder.build().is_ok());
    assert_eq!(
        error(builder.call_timeout(millis(4_100))),
        "margin of 2 s and call_timeout of 4.1 s (counted twice) add up to more than the ttl of 10 s, so \
         two slow renewals in a row would lose the lease: shorten them or lengthen the ttl"
    );
}

#[test]
fn a_grant_that_would_come_too_late_to_be_taken_is_refused() {
    let builder = Timing::builder().ttl(secs(10)).margin(secs(4));
    assert!(builder.call_timeout(secs(2)).build().is_ok());
    assert_eq!(
        error(builder.call_timeout(millis(2_100))),
        "margin of 4 s (counted twice) and call_timeout of 2.1 s add up to more than the ttl of 10 s, \
         so a slow grant would come too late to be taken: shorten them or lengthen the ttl"
    );
}

#[test]
fn a_follower_polls_at_least_once_per_ttl() {
    let builder = Timing::builder().ttl(secs(10)).poll_every(secs(10));
    assert!(builder.build().is_ok());
    assert_eq!(
        error(builder.poll_every(millis(10_500))),
        "poll_every of 10.5 s is longer than the ttl of 10 s: poll more often or lengthen the ttl"
    );
}

#[test]
fn defaults_make_room_for_the_times_that_are_set() {
    let builder = Timing::builder().ttl(secs(10));
    let late = builder.renew_every(secs(8)).build().unwrap();
    assert_eq!((late.margin(), late.call_timeout()), (secs(1), secs(1)));
    let slow = builder.call_timeout(millis(4_500)).build().unwrap();
    assert_eq!((slow.margin(), slow.renew_every()), (secs(1), secs(10) / 3));
    let slow = builder.margin(secs(3)).call_timeout(millis(3_500));
    assert_eq!(slow.build().unwrap().renew_every(), secs(10) / 3);
    let wide = builder.margin(millis(4_500)).build().unwrap();
    assert_eq!(wide.call_timeout(), secs(1));
}

#[test]
fn an_error_gives_no_number_that_was_not_set() {
    let builder = Timing::builder().ttl(secs(10));
    assert_eq!(
        error(builder.renew_every(millis(8_001))),
        "renew_every of 8.001 s leaves too little of the ttl of 10 s for margin and call_timeout, so one \
         slow renewal would lose the lease: shorten it or lengthen the ttl"
    );
    assert_eq!(
        error(builder.renew_every(secs(7)).margin(millis(2_500))),
        "renew_every of 7 s and margin of 2.5 s leave too little of the ttl of 10 s for call_timeout, so \
         one slow renewal would lose the lease: shorten them or lengthen the ttl"
    );
    assert_eq!(
        error(builder.call_timeout(millis(4_600))),
        "call_timeout of 4.6 s (counted twice) leaves too little of the ttl of 10 s for margin, so two \
         slow renewals in a row would lose the lease: shorten it or lengthen the ttl"
    );
    assert_eq!(
        error(builder.margin(millis(4_600))),
        "margin of 4.6 s (counted twice) leaves too little of the ttl of 10 s for call_timeout, so a \
         slow grant would come too late to be taken: shorten it or lengthen the ttl"
    );
}

#[test]
fn a_ttl_is_too_short_if_a_default_derived_from_it_is() {
    let ttl = |time| Timing::builder().ttl(time);
    assert_eq!(
        error(ttl(millis(5))),
        "ttl of 5 ms is too short: at least 10 ms is needed"
    );
    assert!(ttl(millis(10)).build().is_ok());
    let margin = millis(1);
    assert!(ttl(millis(5)).margin(margin).build().is_ok());
    assert_eq!(
        error(ttl(millis(4)).margin(margin)),
        "ttl of 4 ms is too short: at least 5 ms is needed"
    );
    let shortest = ttl(millis(3)).margin(margin).poll_every(margin);
    assert!(shortest.call_timeout(margin).build().is_ok());
}

#[test]
fn a_time_out_of_its_range_is_refused() {
    let builder = Timing::builder().ttl(secs(10));
    assert_eq!(
        error(builder.margin(secs(0))),
        "margin of 0 s is too short: at least 1 ms is needed"
    );
    assert_eq!(
        error(builder.yield_for(secs(400 * 86_400))),
        "yield_for of 400 days is too long: at most 366 days is allowed"
    );
    assert!(builder.yield_for(secs(0)).build().is_ok());
}

#[test]
fn a_ttl_below_the_minimum_of_the_store_is_refused() {
    let timing = Timing::builder().ttl(secs(1)).build().unwrap();
    assert!(timing.check_minimum("etcd", secs(1)).is_ok());
    let refused = timing.check_minimum("etcd", secs(2)).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "a ttl of 1 s is below the minimum of the etcd store, 2 s: lengthen the ttl"
    );
}
