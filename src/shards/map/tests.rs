use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn session(slot: u32) -> Session {
    let token = FencingToken::new(1);
    Session { slot, token }
}

/// A shard that session 1 owns under token 10.
fn owned() -> Entry {
    Entry {
        owner: Some(session(1)),
        token: Some(FencingToken::new(10)),
        ..Entry::default()
    }
}

/// The step of this session with the write that makes token 11. Session 9 is dead.
fn step(step: Step, entry: &Entry, me: u32) -> Option<Entry> {
    apply(step, entry, me, false, 11)
}

fn apply(step: Step, entry: &Entry, me: u32, may_take: bool, token: u64) -> Option<Entry> {
    let facts = Facts {
        me: session(me),
        is_dead: &|other| other == session(9),
        may_take,
        token: FencingToken::new(token),
    };
    step.apply(entry, &facts)
}

/// Owner, token, next, last.
type Parts = (Option<u32>, Option<u64>, Option<u32>, Option<u32>);

fn parts(entry: &Entry) -> Parts {
    (
        entry.owner.map(|owner| owner.slot),
        entry.token.map(FencingToken::get),
        entry.next.map(|next| next.slot),
        entry.last,
    )
}

#[test]
fn only_a_free_shard_or_that_of_a_dead_session_is_assigned() {
    let to = Step::Assign(session(2));
    let free = step(to, &Entry::default(), 3).unwrap();
    assert_eq!(parts(&free), (Some(2), Some(11), None, None));
    assert_eq!(step(to, &owned(), 3), None);
    let mut dead = owned();
    dead.owner = Some(session(9));
    dead.next = Some(session(4));
    let taken = step(to, &dead, 3).unwrap();
    assert_eq!(parts(&taken), (Some(2), Some(11), None, None));
    let to_dead = Step::Assign(session(9));
    assert_eq!(step(to_dead, &Entry::default(), 3), None);
}

#[test]
fn a_detached_shard_is_assigned_after_a_ttl_and_never_to_its_owner() {
    let mut detached = owned();
    detached.detached = true;
    let [back, other] = [1, 2].map(|slot| Step::Assign(session(slot)));
    assert_eq!(step(other, &detached, 3), None);
    let taken = apply(other, &detached, 3, true, 11).unwrap();
    assert_eq!(parts(&taken), (Some(2), Some(11), None, None));
    assert_eq!(taken.avoid, BTreeSet::from([session(1)]));
    assert!(!taken.detached);
    assert_eq!(apply(back, &detached, 3, true, 11), None);
    // Nor later, unless it acknowledges.
    let mut freed = taken;
    freed.owner = None;
    assert_eq!(apply(back, &freed, 3, true, 12), None);
    let acknowledged = step(Step::Acknowledged, &freed, 1).unwrap();
    assert!(apply(back, &acknowledged, 3, true, 12).is_some());
    assert_eq!(step(Step::Acknowledged, &acknowledged, 1), None);
}

#[test]
fn what_is_avoided_is_forgotten_when_it_is_dead() {
    let mut entry = Entry::default();
    entry.avoid.extend([session(4), session(9)]);
    let assigned = step(Step::Assign(session(2)), &entry, 3).unwrap();
    assert_eq!(assigned.avoid, BTreeSet::from([session(4)]));
}

#[test]
fn a_move_asks_the_owner_and_changes_nothing_else() {
    let moving = step(Step::Move(session(2)), &owned(), 3).unwrap();
    assert_eq!(parts(&moving), (Some(1), Some(10), Some(2), None));
    let withdrawn = step(Step::Withdraw, &moving, 3).unwrap();
    assert_eq!(withdrawn, owned());
    assert_eq!(step(Step::Withdraw, &owned(), 3), None);
    for refused in [1, 9] {
        assert_eq!(step(Step::Move(session(refused)), &owned(), 3), None);
    }
    assert_eq!(step(Step::Move(session(2)), &Entry::default(), 3), None);
    let mut detached = owned();
    detached.detached = true;
    assert_eq!(step(Step::Move(session(2)), &detached, 3), None);
    let mut avoiding = owned();
    avoiding.avoid.insert(session(2));
    assert_eq!(step(Step::Move(session(2)), &avoiding, 3), None);
}

#[test]
fn only_the_owner_hands_over_takes_again_detaches_and_gives_back() {
    let mut moving = owned();
    moving.next = Some(session(2));
    for (by_owner, entry) in [
        (Step::HandOver, &moving),
        (Step::HandOver, &owned()),
        (Step::GiveBack, &moving),
        (Step::Retake, &owned()),
        (Step::Detach, &owned()),
    ] {
        assert_eq!(step(by_owner, entry, 2), None, "{by_owner:?}");
        assert!(step(by_owner, entry, 1).is_some(), "{by_owner:?}");
    }
    let next = step(Step::HandOver, &moving, 1).unwrap();
    assert_eq!(parts(&next), (Some(2), Some(11), None, None));
    let nobody = step(Step::HandOver, &owned(), 1).unwrap();
    assert_eq!(parts(&nobody), (None, Some(10), None, Some(1)));
    let again = step(Step::Retake, &owned(), 1).unwrap();
    assert_eq!(parts(&again), (Some(1), Some(11), None, None));
    assert_eq!(step(Step::Retake, &moving, 1), None, "it is to move");
    let back = step(Step::GiveBack, &owned(), 1).unwrap();
    assert_eq!(parts(&back), (None, Some(10), None, Some(1)));
    assert_eq!(back.avoid, BTreeSet::from([session(1)]));
    let detached = step(Step::Detach, &moving, 1).unwrap();
    assert_eq!(parts(&detached), parts(&moving));
    assert!(detached.detached);
    assert_eq!(step(Step::Detach, &detached, 1), None);
    // Its actor acknowledges after all.
    let handed_over = step(Step::HandOver, &detached, 1).unwrap();
    assert!(!handed_over.detached);
}

#[test]
fn a_token_that_would_not_grow_makes_no_owner() {
    for token in [9, 10] {
        let mut free = owned();
        free.owner = None;
        assert_eq!(
            apply(Step::Assign(session(2)), &free, 3, false, token),
            None
        );
        assert_eq!(apply(Step::Retake, &owned(), 1, false, token), None);
        let mut moving = owned();
        moving.next = Some(session(2));
        assert_eq!(apply(Step::HandOver, &moving, 1, false, token), None);
    }
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..4_u32).prop_map(|slot| Step::Assign(session(slot))),
        (0..4_u32).prop_map(|slot| Step::Move(session(slot))),
        Just(Step::Withdraw),
        Just(Step::HandOver),
        Just(Step::Retake),
        Just(Step::Detach),
        Just(Step::GiveBack),
        Just(Step::Acknowledged),
    ]
}

proptest! {
    /// Whatever anybody wants to write, in whatever order.
    #[test]
    fn an_owner_changes_only_by_itself_or_after_its_end_and_each_under_a_greater_token(
        wishes in prop::collection::vec((steps(), 0..4_u32, any::<bool>(), 0..16_u32), 1..60)
    ) {
        let mut entry = Entry::default();
        for (index, (wish, me, may_take, dead)) in wishes.into_iter().enumerate() {
            let is_dead = |other: Session| dead & (1 << other.slot) != 0;
            let token = FencingToken::new(index as u64 + 1);
            let facts = Facts { me: session(me), is_dead: &is_dead, may_take, token };
            let Some(after) = wish.apply(&entry, &facts) else { continue };
            prop_assert!(after.token >= entry.token);
            let same = after.token == entry.token;
            if after.owner != entry.owner || !same {
                let by_itself = entry.owner == Some(session(me));
                let ended = entry.owner.is_none_or(is_dead)
                    || (entry.detached && may_take);
                prop_assert!(by_itself || ended, "{entry:?} by {me}: {after:?}");
                if after.owner.is_some() {
                    prop_assert!(after.token == Some(token), "a new owner has a new token");
                }
            }
            if let (Some(owner), false) = (after.owner, same) {
                prop_assert!(!after.avoid.contains(&owner), "{after:?}");
            }
            prop_assert!(after.next.is_none() || after.next != after.owner);
            entry = after;
        }
    }
}
