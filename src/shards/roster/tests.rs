use super::*;
use crate::lease::{CandidateId, ResourceName};

const TTL: Duration = Duration::from_secs(15);
const SETTLE: Duration = Duration::from_secs(3);

fn at(seconds: u64) -> Moment {
    Moment::default() + Duration::from_secs(1_000 + seconds)
}

fn session(slot: u32, token: u64) -> Session {
    let token = FencingToken::new(token);
    Session { slot, token }
}

fn info(fence: bool) -> MemberInfo {
    MemberInfo {
        name: "host".to_owned(),
        advertise: None,
        weight: 1,
        max_shards: None,
        assign_version: 1,
        fence,
    }
}

/// A slot that is held for so many seconds.
fn held(slot: u32, token: u64, seconds: u64) -> LeaseRecord {
    let mut record = free(slot, token);
    record.holder = Some(CandidateId::new("somebody").unwrap());
    record.ttl = TTL;
    record.remaining = Duration::from_secs(seconds);
    record.metadata = Some(info(false).metadata().unwrap());
    record
}

fn free(slot: u32, token: u64) -> LeaseRecord {
    let name = ResourceName::new(format!("orders/members/{slot}")).unwrap();
    LeaseRecord::new(name, FencingToken::new(token))
}

fn live(roster: &Roster) -> Vec<Session> {
    roster.live().map(|(session, _)| session).collect()
}

#[test]
fn a_session_is_dead_when_its_slot_has_a_newer_token_or_no_holder() {
    let mut roster = Roster::default();
    roster.listed(&[held(0, 5, 9), free(1, 7)], at(0));
    assert!(!roster.is_dead(session(0, 5)));
    assert!(roster.is_dead(session(0, 4)), "fenced");
    assert!(roster.is_dead(session(1, 7)), "released");
    // Newer than what is known.
    assert!(!roster.is_dead(session(0, 6)));
    assert!(!roster.is_dead(session(1, 8)));
    assert!(!roster.is_dead(session(2, 1)), "nothing is known");
    assert_eq!(live(&roster), [session(0, 5)]);
}

#[test]
fn an_expired_lease_is_to_be_fenced_and_its_session_is_not_dead() {
    let mut roster = Roster::default();
    roster.listed(&[held(0, 5, 0), held(1, 6, 9)], at(0));
    assert!(!roster.is_dead(session(0, 5)));
    assert_eq!(roster.expired().collect::<Vec<_>>(), [0]);
    assert_eq!(live(&roster), [session(1, 6)]);
    assert_eq!(roster.next_expiry(), Some(at(9)));
    // It was renewed after all.
    roster.listed(&[held(0, 5, 15), held(1, 6, 9)], at(3));
    assert_eq!(roster.expired().count(), 0);
    assert_eq!(live(&roster).len(), 2);
}

/// The list may be older than the slot, so its absence proves nothing.
#[test]
fn a_slot_that_is_missing_in_a_list_is_to_be_fenced_and_its_session_is_not_dead() {
    let mut roster = Roster::default();
    roster.listed(&[held(0, 5, 15), free(1, 3)], at(0));
    roster.listed(&[], at(1));
    assert!(!roster.is_dead(session(0, 5)));
    assert_eq!(roster.expired().collect::<Vec<_>>(), [0]);
    assert!(roster.is_dead(session(1, 3)), "a fact stays");
    roster.listed(&[held(0, 5, 15)], at(2));
    assert_eq!(live(&roster), [session(0, 5)]);
}

#[test]
fn an_older_view_takes_no_fact_back() {
    let mut roster = Roster::default();
    roster.saw(0, &held(0, 6, 15), at(0));
    roster.saw(0, &held(0, 5, 15), at(1));
    assert!(roster.is_dead(session(0, 5)));
    roster.saw(0, &free(0, 6), at(2));
    roster.saw(0, &held(0, 6, 15), at(3));
    assert!(roster.is_dead(session(0, 6)));
    assert_eq!(live(&roster), []);
}

#[test]
fn a_fence_and_a_foreign_lease_are_no_members() {
    let mut fence = held(0, 5, 15);
    fence.metadata = Some(info(true).metadata().unwrap());
    let mut foreign = held(1, 5, 15);
    foreign.metadata = None;
    let mut elsewhere = held(2, 5, 15);
    elsewhere.resource = ResourceName::new("orders/members/two").unwrap();
    let mut roster = Roster::default();
    roster.listed(&[fence, foreign, elsewhere], at(0));
    assert_eq!(live(&roster), []);
    assert_eq!(roster.slots().keys().copied().collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn a_member_has_settled_after_a_while_and_one_that_flaps_later() {
    let mut roster = Roster::default();
    let mut now = 0;
    for token in 1..=4 {
        roster.listed(&[held(0, token, 15)], at(now));
        let settled = |seconds| {
            let later = at(now) + Duration::from_secs(seconds);
            roster.is_settled(session(0, token), SETTLE, later)
        };
        // After the second death, twice as long for each.
        let after = [3, 3, 12, 24][token as usize - 1];
        assert!(!settled(after - 1), "token {token}");
        assert!(settled(after), "token {token}");
        now += 30;
        roster.listed(&[free(0, token)], at(now));
        assert_eq!(roster.bury(at(now)), 1);
        assert_eq!(roster.bury(at(now)), 0, "it is counted once");
    }
    let after_the_last = at(now) + FLAPPING_WITHIN;
    assert_eq!(roster.bury(after_the_last), 0);
    roster.listed(&[held(0, 9, 15)], after_the_last);
    assert!(roster.is_settled(session(0, 9), SETTLE, after_the_last + SETTLE));
}
