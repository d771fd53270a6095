mod gaps;
mod pauses;

use tenure::clock::Moment;

use super::*;
use crate::{disturbances::Scope, node_id::NodeId};

const TTL: Duration = Duration::from_nanos(100);
const CONTENDERS: Contenders = Contenders {
    nodes: 3,
    observe: false,
};

fn node(number: usize) -> NodeId {
    NodeId { number, run: 1 }
}

fn at(nanos: u64) -> Option<Moment> {
    Some(Moment::from_nanos(nanos))
}

/// Stepped down at its end.
fn term(number: usize, token: u64, start: u64, end: u64) -> Term {
    Term {
        resource: "r".to_owned(),
        ttl: TTL,
        node: node(number),
        token,
        told: at(start),
        granted: at(start),
        deadline: at(end),
        ended: at(end),
        believed: None,
        reason: Some("the lease expired".to_owned()),
        dead: None,
    }
}

fn verdict(terms: &[Term]) -> Verdict {
    Verdict::of(
        CONTENDERS,
        terms,
        &[always(Scope::Everybody)],
        &BTreeMap::new(),
    )
}

fn always(scope: Scope) -> Disturbance {
    during(scope, 0, u64::MAX)
}

fn during(scope: Scope, start: u64, end: u64) -> Disturbance {
    let (start, end) = (Moment::from_nanos(start), Moment::from_nanos(end));
    Disturbance::new("a fault", scope, start, end)
}

fn unexplained(term: &Term, disturbances: &[Disturbance]) -> usize {
    let terms = std::slice::from_ref(term);
    Verdict::of(CONTENDERS, terms, disturbances, &BTreeMap::new())
        .unexplained
        .len()
}

fn stale(written: &[u64]) -> usize {
    let registers = BTreeMap::from([("r".to_owned(), written.to_vec())]);
    Verdict::of(CONTENDERS, &[], &[], &registers)
        .stale_applied
        .len()
}

#[test]
fn successive_leaderships_with_growing_tokens_pass() {
    let found = verdict(&[
        term(2, 7, 250, 300),
        term(1, 1, 1, 100),
        term(1, 2, 100, 230),
    ]);
    assert!(found.overlaps.is_empty() && found.tokens.is_empty());
    assert_eq!(found.handovers, 2);
    assert_eq!(found.leaderless, [0, 20].map(Duration::from_nanos));
    assert_eq!(found.median_leaderless(), Some(Duration::from_nanos(20)));
}

#[test]
fn a_common_nanosecond_of_any_two_is_an_overlap() {
    let found = verdict(&[term(1, 1, 1, 101), term(2, 2, 100, 200)]);
    assert_eq!(found.overlaps.len(), 1);
    let found = verdict(&[term(1, 1, 1, 91), term(2, 2, 20, 21), term(3, 3, 90, 200)]);
    assert_eq!(found.overlaps.len(), 2);
}

#[test]
fn a_belief_beyond_the_end_that_was_logged_is_an_overlap() {
    let mut first = term(1, 1, 1, 100);
    let second = term(2, 2, 100, 200);
    assert!(
        verdict(&[first.clone(), second.clone()])
            .overlaps
            .is_empty()
    );
    first.believed = at(101);
    assert_eq!(verdict(&[first, second]).overlaps.len(), 1);
}

#[test]
fn a_dead_process_overlaps_no_other() {
    let mut first = term(1, 1, 1, 200);
    (first.ended, first.dead) = (None, at(50));
    let second = term(2, 2, 60, 200);
    assert!(verdict(&[first, second]).overlaps.is_empty());
}

#[test]
fn leaderships_of_other_resources_do_not_matter() {
    let mut second = term(2, 1, 50, 200);
    second.resource = "s".to_owned();
    let found = verdict(&[term(1, 1, 1, 100), second]);
    assert!(found.overlaps.is_empty() && found.tokens.is_empty());
}

#[test]
fn a_repeated_or_smaller_token_is_found() {
    assert_eq!(
        verdict(&[term(1, 1, 1, 5), term(2, 1, 10, 20)])
            .tokens
            .len(),
        1
    );
    assert_eq!(
        verdict(&[term(1, 2, 1, 5), term(2, 1, 10, 20)])
            .tokens
            .len(),
        1
    );
}

#[test]
fn a_write_after_one_with_a_newer_token_is_stale() {
    assert_eq!(stale(&[1, 1, 2, 5, 5]), 0);
    assert_eq!(stale(&[1, 3, 2, 3]), 1);
    assert_eq!(stale(&[1, 3, 2, 2]), 2);
}

#[test]
fn an_end_that_nothing_explains_is_found() {
    let ended = term(1, 1, 1, 1000);
    assert_eq!(unexplained(&ended, &[]), 1);
    assert_eq!(unexplained(&ended, &[always(Scope::Everybody)]), 0);
    for scope in [
        Scope::Process(node(2)),
        Scope::Proxies(2),
        Scope::Resource("s".to_owned()),
        Scope::HandOver("s".to_owned()),
        Scope::Pause("s".to_owned()),
        Scope::Lease(node(2), "r".to_owned()),
        Scope::Lease(node(1), "s".to_owned()),
        Scope::Absence(1),
    ] {
        assert_eq!(unexplained(&ended, &[always(scope)]), 1);
    }
    for scope in [
        Scope::Process(node(1)),
        Scope::Proxies(1),
        Scope::Resource("r".to_owned()),
        Scope::HandOver("r".to_owned()),
        Scope::Pause("r".to_owned()),
        Scope::Lease(node(1), "r".to_owned()),
    ] {
        assert_eq!(unexplained(&ended, &[always(scope)]), 0);
    }
}

#[test]
fn what_was_over_a_ttl_and_a_margin_before_explains_nothing() {
    let ended = term(1, 1, 1, 1000);
    let fault = |start, end| [during(Scope::Everybody, start, end)];
    assert_eq!(unexplained(&ended, &fault(500, 889)), 1);
    assert_eq!(unexplained(&ended, &fault(500, 890)), 0);
    assert_eq!(unexplained(&ended, &fault(1010, 2000)), 0);
    assert_eq!(unexplained(&ended, &fault(1011, 2000)), 1);
}

#[test]
fn a_dead_process_and_a_current_leadership_need_no_reason() {
    let mut dead = term(1, 1, 1, 1000);
    dead.dead = at(500);
    assert_eq!(unexplained(&dead, &[]), 0);
    let mut living = term(1, 1, 1, 1000);
    living.reason = None;
    assert_eq!(unexplained(&living, &[]), 0);
}

#[test]
fn the_time_in_which_everybody_is_disturbed_is_counted_once() {
    let times = [(50, 60), (10, 30), (20, 25), (29, 40)];
    let all = times.map(|(start, end)| during(Scope::Everybody, start, end));
    let verdict = Verdict::of(CONTENDERS, &[], &all, &BTreeMap::new());
    assert_eq!(verdict.troubled, Duration::from_nanos(40));
    let one = Verdict::of(
        CONTENDERS,
        &[],
        &[always(Scope::Proxies(1))],
        &BTreeMap::new(),
    );
    assert!(one.troubled.is_zero());
}
