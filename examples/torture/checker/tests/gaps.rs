//! A ttl is 100 ns: a poll with its jitter 24, the limit of a request 20, a margin 10.

use super::*;

/// A poll, a request and a margin.
const ANSWER: u64 = 54;

const OBSERVERS: Contenders = Contenders {
    observe: true,
    ..CONTENDERS
};

/// Node 1 stepped down at 1000.
fn stepped_down() -> Term {
    let mut term = term(1, 1, 1, 1000);
    term.reason = Some("stepped down".to_owned());
    term
}

/// Node 1 ended at its deadline, 1000.
fn expired() -> Term {
    term(1, 1, 1, 1000)
}

/// Node 2, started again, leads from then on.
fn next(start: u64) -> Term {
    let mut term = term(2, 2, start, start + 100);
    term.node.run = 2;
    term
}

fn gaps(terms: &[Term], disturbances: &[Disturbance]) -> Vec<String> {
    Verdict::of(CONTENDERS, terms, disturbances, &BTreeMap::new()).gaps
}

/// The next one may lead an answer after `end` at the latest.
#[track_caller]
fn explained_until(end: u64, contenders: Contenders, older: &Term, disturbances: &[Disturbance]) {
    let found = |start| {
        let terms = [older.clone(), next(start)];
        Verdict::of(contenders, &terms, disturbances, &BTreeMap::new()).gaps
    };
    let latest = end + ANSWER;
    assert_eq!(found(latest), [] as [String; 0]);
    assert_eq!(found(latest + 1).len(), 1);
}

#[test]
fn a_released_lease_is_taken_with_the_next_bid() {
    explained_until(1000, CONTENDERS, &stepped_down(), &[]);
    explained_until(1000, OBSERVERS, &stepped_down(), &[]);
}

#[test]
fn a_gap_that_is_a_poll_too_long_is_told_with_what_was_allowed() {
    let found = gaps(&[stepped_down(), next(1078)], &[]);
    let told = "r: no leader for 78.000ns from 0.000 s, between token 1 of node-1.1 and token 2 of \
                node-2.2; unexplained of it: [78.000ns], allowed: 54.000ns each, and 0.000ns for 0 \
                skipped tokens";
    assert_eq!(found, [told]);
}

#[test]
fn a_lease_that_was_not_given_back_lives_for_a_margin_and_a_request_after_its_deadline() {
    explained_until(1030, CONTENDERS, &expired(), &[]);
    let mut dead = expired();
    dead.dead = at(950);
    explained_until(1030, CONTENDERS, &dead, &[]);
}

#[test]
fn a_node_that_died_while_stepping_down_may_not_have_released() {
    let mut older = stepped_down();
    older.deadline = at(1060);
    older.dead = at(1020);
    explained_until(1090, CONTENDERS, &older, &[]);
    older.dead = at(1021);
    explained_until(1000, CONTENDERS, &older, &[]);
}

#[test]
fn trouble_of_the_store_explains_its_own_time() {
    let trouble = [during(Scope::Everybody, 1040, 1500)];
    explained_until(1520, CONTENDERS, &stepped_down(), &trouble);
    explained_until(1000, CONTENDERS, &stepped_down(), &[]);
}

#[test]
fn time_before_trouble_is_no_longer_than_without_it() {
    let trouble = |start| [during(Scope::Everybody, start, 1500)];
    let terms = [stepped_down(), next(1500)];
    assert!(gaps(&terms, &trouble(1054)).is_empty());
    assert_eq!(gaps(&terms, &trouble(1055)).len(), 1);
}

#[test]
fn a_disturbance_at_the_end_keeps_the_lease_for_a_ttl_after_it() {
    for scope in [Scope::Everybody, Scope::Process(node(1)), Scope::Proxies(1)] {
        let one = |start, end| [during(scope.clone(), start, end)];
        explained_until(1220, CONTENDERS, &stepped_down(), &one(900, 1100));
        explained_until(1220, CONTENDERS, &stepped_down(), &one(1020, 1100));
        explained_until(1001, CONTENDERS, &stepped_down(), &one(500, 881));
        explained_until(1000, CONTENDERS, &stepped_down(), &one(500, 880));
    }
    for scope in [
        Scope::Process(node(3)),
        Scope::Proxies(3),
        Scope::Absence(1),
        Scope::Resource("r".to_owned()),
        Scope::Lease(node(1), "r".to_owned()),
    ] {
        let other = [during(scope, 900, 1100)];
        explained_until(1000, CONTENDERS, &stepped_down(), &other);
    }
}

#[test]
fn a_disturbance_after_the_end_does_not_delay_the_release() {
    let late = [during(Scope::Proxies(1), 1021, 1100)];
    explained_until(1000, CONTENDERS, &stepped_down(), &late);
}

#[test]
fn the_next_leader_may_hold_the_lease_without_knowing_it() {
    for scope in [Scope::Process(next(0).node), Scope::Proxies(2)] {
        let own = [during(scope, 1040, 1400)];
        explained_until(1420, CONTENDERS, &stepped_down(), &own);
    }
    for scope in [
        Scope::Process(node(2)),
        Scope::Absence(2),
        Scope::Proxies(3),
    ] {
        let other = [during(scope, 1040, 1400)];
        explained_until(1000, CONTENDERS, &stepped_down(), &other);
    }
}

#[test]
fn the_time_in_which_no_node_can_contend_is_explained() {
    let mut all = vec![
        during(Scope::Absence(1), 1040, 1450),
        during(Scope::Process(node(2)), 1030, 1400),
        during(Scope::Proxies(3), 1000, 1200),
        during(Scope::Process(node(3)), 1190, 1500),
    ];
    explained_until(1420, CONTENDERS, &stepped_down(), &all);
    all.pop();
    explained_until(1220, CONTENDERS, &stepped_down(), &all);
    all.pop();
    explained_until(1000, CONTENDERS, &stepped_down(), &all);
}

#[test]
fn a_node_that_stepped_down_does_not_contend_for_a_ttl() {
    let others = [2, 3].map(|number| during(Scope::Absence(number), 1040, 1300));
    explained_until(1144, CONTENDERS, &stepped_down(), &others);
    explained_until(1030, CONTENDERS, &expired(), &others);
    // As did one before it.
    let mut first = term(3, 1, 1, 990);
    first.reason = Some("stepped down".to_owned());
    let mut second = stepped_down();
    second.token = 2;
    let found = |start, others: &[Disturbance]| {
        let mut younger = next(start);
        younger.token = 3;
        gaps(&[first.clone(), second.clone(), younger], others).len()
    };
    assert_eq!(found(1134 + ANSWER, &others[..1]), 0);
    assert_eq!(found(1135 + ANSWER, &others[..1]), 1);
}

#[test]
fn a_skipped_token_explains_two_ttls_and_an_answer() {
    let found = |start, token, others: &[Term]| {
        let mut younger = next(start);
        younger.token = token;
        let terms = [&[stepped_down(), younger], others].concat();
        gaps(&terms, &[]).len()
    };
    assert_eq!(found(1054 + 254, 3, &[]), 0);
    assert_eq!(found(1054 + 255, 3, &[]), 1);
    assert_eq!(found(1054 + 508, 4, &[]), 0);
    assert_eq!(found(1054 + 509, 4, &[]), 1);
    // A node is known to have it.
    let known = [term(3, 2, 900, 950)];
    assert_eq!(found(1054 + 254, 3, &known), 1);
    assert_eq!(found(1054, 3, &known), 0);
}

#[test]
fn a_challenger_that_observes_has_to_see_the_last_write_first() {
    explained_until(1074, OBSERVERS, &expired(), &[]);
    let held_up = [during(Scope::Process(node(1)), 900, 1100)];
    explained_until(1264, OBSERVERS, &expired(), &held_up);
}

#[test]
fn challengers_that_come_back_observe_anew() {
    let mut all: Vec<_> = [(1, 1010), (2, 1020), (3, 1030)]
        .map(|(number, end)| during(Scope::Absence(number), 990, end))
        .into();
    explained_until(1174, OBSERVERS, &expired(), &all);
    explained_until(1030, CONTENDERS, &expired(), &all);
    // No node has seen anything meanwhile.
    all.push(during(Scope::Everybody, 1100, 1150));
    explained_until(1314, OBSERVERS, &expired(), &all);
    // Node 1 has been there all the time.
    all.remove(0);
    explained_until(1170, OBSERVERS, &expired(), &all);
}

#[test]
fn an_eviction_is_a_write_that_is_observed() {
    let evicted = [during(Scope::Resource("r".to_owned()), 1050, 1060)];
    explained_until(1224, OBSERVERS, &expired(), &evicted);
    explained_until(1030, CONTENDERS, &expired(), &evicted);
    explained_until(1000, OBSERVERS, &stepped_down(), &evicted);
    let other = [during(Scope::Resource("s".to_owned()), 1050, 1060)];
    explained_until(1074, OBSERVERS, &expired(), &other);
}

#[test]
fn others_wait_for_a_poll_after_a_hand_over() {
    let mut older = stepped_down();
    older.reason = Some("handed over to node-2".to_owned());
    let asked = |start, end| [during(Scope::HandOver("r".to_owned()), start, end)];
    // A poll and the limit of a request.
    let courtesy = 44;
    explained_until(1000 + courtesy, CONTENDERS, &older, &asked(900, 1010));
    explained_until(1000 + courtesy, OBSERVERS, &older, &asked(900, 1010));
    let earlier = [during(Scope::HandOver("r".to_owned()), 0, 0)];
    explained_until(1000, CONTENDERS, &older, &earlier);
    let other = [during(Scope::HandOver("s".to_owned()), 900, 1010)];
    explained_until(1000, CONTENDERS, &older, &other);
}

#[test]
fn a_pause_explains_its_own_time() {
    let mut older = stepped_down();
    older.reason = Some("paused".to_owned());
    let paused = |resource: &str| [during(Scope::Pause(resource.to_owned()), 900, 2000)];
    explained_until(2020, CONTENDERS, &older, &paused("r"));
    explained_until(2020, OBSERVERS, &older, &paused("r"));
    explained_until(1000, CONTENDERS, &older, &paused("s"));
}
