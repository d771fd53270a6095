use std::{collections::BTreeMap, time::Instant};

use proptest::{option, prelude::*};

use super::*;
use crate::lease::FencingToken;

fn session(slot: u32) -> Session {
    let token = FencingToken::new(1);
    Session { slot, token }
}

/// The session of a slot that is no candidate.
const DEAD: u32 = u32::MAX;

fn candidate(slot: u32, weight: u32) -> Candidate {
    Candidate {
        session: session(slot),
        weight,
        max_shards: None,
        settled: true,
    }
}

fn owned(slot: u32) -> Entry {
    Entry {
        owner: Some(session(slot)),
        token: Some(FencingToken::new(5)),
        ..Entry::default()
    }
}

fn planned(entries: &[Entry], candidates: &[Candidate], max_moving: usize) -> Plan {
    held(entries, candidates, max_moving, false)
}

fn held(
    entries: &[Entry],
    candidates: &[Candidate],
    max_moving: usize,
    holds_orphans: bool,
) -> Plan {
    let entries: Vec<_> = entries.iter().collect();
    plan(&Situation {
        entries: &entries,
        candidates,
        is_dead: &|session| session.slot == DEAD,
        may_take: &|_| true,
        holds_orphans,
        max_moving,
    })
}

/// The entries when every step is done, also by the owners.
fn done(entries: &[Entry], plan: &Plan) -> Vec<Entry> {
    let mut entries = entries.to_vec();
    for (shard, step) in &plan.steps {
        let entry = &mut entries[usize::from(shard.index())];
        entry.next = None;
        if let Step::Assign(to) | Step::Move(to) = step {
            entry.owner = Some(*to);
            entry.detached = false;
        }
    }
    entries
}

/// How many shards each leads, or is to lead.
fn counts(entries: &[Entry]) -> BTreeMap<u32, u32> {
    let mut counts = BTreeMap::new();
    let is_led = |entry: &&Entry| {
        let owner = entry.owner.is_some_and(|owner| owner.slot != DEAD);
        owner && !entry.detached
    };
    for entry in entries.iter().filter(is_led) {
        if let Some(owner) = entry.next.or(entry.owner) {
            *counts.entry(owner.slot).or_default() += 1;
        }
    }
    counts
}

fn moves(plan: &Plan) -> usize {
    let moves = plan
        .steps
        .iter()
        .filter(|(_, step)| matches!(step, Step::Move(_)));
    moves.count()
}

#[test]
fn a_new_group_is_shared_by_weight() {
    let entries = vec![Entry::default(); 10];
    let plan = planned(
        &entries,
        &[candidate(0, 1), candidate(1, 2), candidate(2, 2)],
        1,
    );
    assert_eq!(
        counts(&done(&entries, &plan)),
        [(0, 2), (1, 4), (2, 4)].into()
    );
    assert_eq!(plan.left_over, 0);
}

#[test]
fn an_orphan_goes_back_to_the_slot_that_had_it() {
    let mut entries = vec![Entry::default(); 4];
    for (slot, entry) in [1, 0, 1, 0].into_iter().zip(&mut entries) {
        entry.last = Some(slot);
    }
    let plan = planned(&entries, &[candidate(0, 1), candidate(1, 1)], 8);
    let owners: Vec<_> = done(&entries, &plan)
        .iter()
        .map(|entry| entry.owner)
        .collect();
    assert_eq!(owners, [1, 0, 1, 0].map(|slot| Some(session(slot))));
}

#[test]
fn the_shard_of_a_dead_owner_goes_to_whom_it_was_to_move() {
    let mut entries = vec![owned(0), owned(1), owned(DEAD), owned(DEAD)];
    entries[3].next = Some(session(1));
    let plan = planned(&entries, &[candidate(0, 1), candidate(1, 1)], 8);
    let assigned = |shard, slot| (Shard::new(shard), Step::Assign(session(slot)));
    assert_eq!(plan.steps, [assigned(3, 1), assigned(2, 0)]);
}

#[test]
fn the_shards_of_the_dead_wait_while_they_are_held_and_free_ones_do_not() {
    let entries = [owned(0), owned(DEAD), Entry::default()];
    let candidates = [candidate(0, 1), candidate(1, 1)];
    let plan = held(&entries, &candidates, 8, true);
    let [(shard, Step::Assign(_))] = plan.steps[..] else {
        panic!("{plan:?}");
    };
    assert_eq!(shard, Shard::new(2));
}

#[test]
fn who_has_not_acknowledged_gets_a_shard_neither_back_nor_again() {
    let mut detached = owned(0);
    detached.detached = true;
    let mut avoiding = Entry::default();
    avoiding.avoid.insert(session(0));
    let entries = [detached, avoiding];
    let both = [candidate(0, 1), candidate(1, 1)];
    let plan = planned(&entries, &both, 8);
    let all = [0, 1].map(|shard| (Shard::new(shard), Step::Assign(session(1))));
    assert_eq!(plan.steps, all);
    let alone = planned(&entries, &both[..1], 8);
    assert_eq!((alone.steps, alone.left_over), (vec![], 2));
    let mut moving = owned(1);
    moving.avoid.insert(session(0));
    let plan = planned(&[moving.clone(), moving], &both, 8);
    assert_eq!(plan.steps, []);
}

#[test]
fn a_move_to_a_member_that_died_or_is_drained_is_withdrawn_or_replaced() {
    for gone in [DEAD, 1] {
        let mut entries = vec![owned(0), owned(0)];
        entries[1].next = Some(session(gone));
        let plan = planned(&entries, &[candidate(0, 1), candidate(1, 0)], 8);
        assert_eq!(plan.steps, [(Shard::new(1), Step::Withdraw)]);
        let other = [candidate(0, 1), candidate(1, 0), candidate(2, 1)];
        let plan = planned(&entries[1..], &other[1..], 8);
        assert_eq!(
            plan.steps,
            [(Shard::new(0), Step::Withdraw)],
            "an unknown owner"
        );
        let mut both = entries.clone();
        both[0].next = Some(session(gone));
        let plan = planned(&both, &other, 8);
        let replaced = [
            (Shard::new(0), Step::Move(session(2))),
            (Shard::new(1), Step::Withdraw),
        ];
        assert_eq!(plan.steps, replaced);
    }
}

#[test]
fn a_drained_member_gives_all_and_nobody_is_given_what_is_left_over() {
    let entries = vec![owned(0); 3];
    let plan = planned(&entries, &[candidate(0, 0), candidate(1, 5)], 8);
    assert_eq!(moves(&plan), 3);
    let nobody = planned(&entries, &[candidate(0, 0)], 8);
    assert_eq!(nobody.steps, []);
    let free = vec![Entry::default(); 3];
    let nobody = planned(&free, &[candidate(0, 0)], 8);
    assert_eq!((nobody.steps, nobody.left_over), (vec![], 3));
}

#[test]
fn a_cap_is_kept_and_the_others_share_the_rest() {
    let entries = vec![Entry::default(); 10];
    let mut candidates = [candidate(0, 1), candidate(1, 1), candidate(2, 1)];
    candidates[0].max_shards = Some(1);
    let plan = planned(&entries, &candidates, 8);
    let counts_now = counts(&done(&entries, &plan));
    assert_eq!(counts_now, [(0, 1), (1, 5), (2, 4)].into());
    for candidate in &mut candidates {
        candidate.max_shards = Some(2);
    }
    let plan = planned(&entries, &candidates, 8);
    assert_eq!((plan.steps.len(), plan.left_over), (6, 4));
}

#[test]
fn a_member_owns_no_more_than_its_cap_while_its_shards_move_away() {
    let mut entries = vec![owned(0), owned(0), Entry::default(), Entry::default()];
    for moving in &mut entries[..2] {
        moving.next = Some(session(1));
    }
    let mut candidates = [candidate(0, 1), candidate(1, 1)];
    candidates[0].max_shards = Some(2);
    candidates[1].max_shards = Some(2);
    let plan = planned(&entries, &candidates, 8);
    assert_eq!((plan.steps, plan.left_over), (vec![], 2));
    for moved in &mut entries[..2] {
        *moved = owned(1);
    }
    assert_eq!(planned(&entries, &candidates, 8).steps.len(), 2);
}

#[test]
fn a_newcomer_gets_orphans_at_once_and_moves_when_it_has_settled() {
    let mut entries = vec![owned(0), owned(0), owned(0), Entry::default()];
    entries[3].last = Some(1);
    let mut candidates = [candidate(0, 1), candidate(1, 1)];
    candidates[1].settled = false;
    let own = (Shard::new(3), Step::Assign(session(1)));
    assert_eq!(planned(&entries, &candidates, 8).steps, [own]);
    candidates[1].settled = true;
    let moved = (Shard::new(0), Step::Move(session(1)));
    assert_eq!(planned(&entries, &candidates, 8).steps, [own, moved]);
}

#[test]
fn after_a_restart_of_the_whole_group_each_shard_goes_back() {
    // Seven shards of three members: the last one had three.
    let had = [2, 2, 2, 1, 1, 0, 0];
    let mut entries = vec![Entry::default(); 7];
    for (slot, entry) in had.into_iter().zip(&mut entries) {
        entry.last = Some(slot);
    }
    let candidates = [candidate(0, 1), candidate(1, 1), candidate(2, 1)];
    let plan = planned(&entries, &candidates, 8);
    let owners = done(&entries, &plan).into_iter();
    let owners: Vec<_> = owners.filter_map(|entry| Some(entry.owner?.slot)).collect();
    assert_eq!(owners, had);
}

fn weights() -> impl Strategy<Value = Vec<Candidate>> {
    let of_slot = (
        0..6_u32,
        option::weighted(0.2, 0..20_u32),
        prop::bool::weighted(0.8),
    );
    prop::collection::vec(of_slot, 1..9).prop_map(|members| {
        let members = (0..).zip(members);
        members
            .map(|(slot, (weight, max_shards, settled))| Candidate {
                max_shards,
                settled,
                ..candidate(slot, weight)
            })
            .collect()
    })
}

/// Owners may be dead or unknown, and so may the next ones.
fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let slots = || prop_oneof![8 => 0..9_u32, 1 => Just(DEAD)];
    let owner = option::weighted(0.8, slots());
    let next = option::weighted(0.2, slots());
    let avoid = prop::collection::btree_set(0..9_u32, 0..2);
    let entry = (
        owner,
        next,
        prop::bool::weighted(0.1),
        avoid,
        option::of(0..9_u32),
    );
    let entry = entry.prop_map(|(owner, next, detached, avoid, last)| Entry {
        owner: owner.map(session),
        next: next
            .filter(|next| owner.is_some_and(|owner| owner != *next))
            .map(session),
        detached: detached && owner.is_some(),
        avoid: avoid.into_iter().map(session).collect(),
        last: last.filter(|_| owner.is_none()),
        token: None,
    });
    prop::collection::vec(entry, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn a_plan_is_exact_minimal_and_final(
        mut entries in entries(),
        mut candidates in weights(),
        shuffled in any::<prop::sample::Index>(),
    ) {
        for entry in &mut entries {
            entry.avoid.clear();
            entry.detached = false;
            entry.next = None;
            // All owners are known.
            let unknown = |owner: &Session| owner.slot as usize >= candidates.len();
            if entry.owner.is_some_and(|owner| unknown(&owner) && owner.slot != DEAD) {
                entry.owner = None;
            }
        }
        for candidate in &mut candidates {
            candidate.max_shards = None;
            candidate.settled = true;
        }
        let total: u32 = candidates.iter().map(|candidate| candidate.weight).sum();
        let n = entries.len() as u32;
        let plan = planned(&entries, &candidates, usize::MAX);
        let after = done(&entries, &plan);
        if total == 0 {
            prop_assert_eq!(plan.steps, vec![]);
            return Ok(());
        }
        let (before, shares) = (counts(&entries), counts(&after));
        let (mut above, mut missing, mut extra, mut rest) = (0, 0, 0, n);
        for candidate in &candidates {
            let slot = candidate.session.slot;
            let low = n * candidate.weight / total;
            let share = shares.get(&slot).copied().unwrap_or(0);
            let exact = (n * candidate.weight).is_multiple_of(total);
            let within = share == low || (!exact && share == low + 1);
            prop_assert!(within, "{} of {} with {}", share, n, candidate.weight);
            let had = before.get(&slot).copied().unwrap_or(0);
            above += had.saturating_sub(low + u32::from(!exact));
            missing += low.saturating_sub(had);
            extra += u32::from(had > low && !exact);
            rest -= low;
        }
        let living = |entry: &&Entry| entry.owner.is_some_and(|owner| owner.slot != DEAD);
        let orphans = n - entries.iter().filter(living).count() as u32;
        let least = above.max(missing.saturating_sub(orphans));
        let moves = moves(&plan) as u32;
        prop_assert!(moves <= least + extra.saturating_sub(rest), "{moves} of {least}");
        prop_assert_eq!(planned(&after, &candidates, usize::MAX), Plan::default());
        let turn = shuffled.index(candidates.len());
        candidates.rotate_left(turn);
        prop_assert_eq!(planned(&entries, &candidates, usize::MAX), plan);
    }

    #[test]
    fn whatever_the_map_says_each_step_is_legal_and_within_the_limits(
        entries in entries(),
        candidates in weights(),
        max_moving in 0..6_usize,
        holds_orphans in any::<bool>(),
    ) {
        let plan = held(&entries, &candidates, max_moving, holds_orphans);
        let facts = super::super::map::Facts {
            me: session(77),
            is_dead: &|session| session.slot == DEAD,
            may_take: true,
            token: FencingToken::new(9),
        };
        let mut planned_shards = std::collections::HashSet::new();
        for (shard, step) in &plan.steps {
            prop_assert!(planned_shards.insert(*shard), "{shard} twice");
            let entry = &entries[usize::from(shard.index())];
            prop_assert!(step.apply(entry, &facts).is_some(), "{step:?} of {entry:?}");
            if let Step::Assign(to) | Step::Move(to) = step {
                let found = candidates.iter().find(|candidate| candidate.session == *to);
                prop_assert!(found.is_some_and(|found| found.weight > 0));
            }
        }
        let moving_before = entries.iter().filter(|entry| {
            let living = entry.owner.is_some_and(|owner| owner.slot != DEAD) && !entry.detached;
            let weighs = |next: Session| {
                candidates.iter().any(|one| one.session == next && one.weight > 0)
            };
            living && entry.next.is_some_and(|next| weighs(next) && !entry.avoid.contains(&next))
        });
        prop_assert!(moves(&plan) <= max_moving.saturating_sub(moving_before.count()));
        for candidate in &candidates {
            let session = candidate.session;
            let to_it = |step: &Step| matches!(step, Step::Assign(to) | Step::Move(to) if *to == session);
            let given = plan.steps.iter().filter(|(_, step)| to_it(step)).count();
            // It owns what it has until that has moved, and what it is given.
            let owns = |entry: &&Entry| {
                let living = entry.owner.is_some_and(|owner| owner.slot != DEAD) && !entry.detached;
                let comes = entry.next == Some(session) && !entry.avoid.contains(&session);
                living && (entry.owner == Some(session) || comes)
            };
            let owned = entries.iter().filter(owns).count();
            let cap = candidate.max_shards.map_or(usize::MAX, |most| most as usize);
            prop_assert!(given == 0 || owned + given <= cap, "{session:?}: {owned} and {given}");
            let moved_to = plan.steps.iter().any(|(_, step)| *step == Step::Move(session));
            prop_assert!(candidate.settled || !moved_to, "{session:?} has not settled");
        }
    }

    #[test]
    fn with_a_budget_the_same_balance_is_reached_and_no_shard_moves_twice(
        owners in prop::collection::vec(0..6_u32, 1..60),
        budget in 1..6_usize,
    ) {
        let candidates: Vec<_> = (0..6).map(|slot| candidate(slot, 1 + slot % 3)).collect();
        let mut entries: Vec<_> = owners.into_iter().map(owned).collect();
        let all = moves(&planned(&entries, &candidates, usize::MAX));
        let mut moved = std::collections::HashSet::new();
        for _ in 0..all.div_ceil(budget) {
            let plan = planned(&entries, &candidates, budget);
            for (shard, _) in &plan.steps {
                prop_assert!(moved.insert(*shard), "{shard} moved twice");
            }
            entries = done(&entries, &plan);
        }
        prop_assert_eq!(moved.len(), all);
        prop_assert_eq!(planned(&entries, &candidates, budget), Plan::default());
    }
}

#[test]
#[ignore = "prints times: cargo test --release -- --ignored largest_group --nocapture"]
fn a_plan_of_the_largest_group_takes_milliseconds() {
    let candidates: Vec<_> = (0..1_000).map(|slot| candidate(slot, 1)).collect();
    let free = vec![Entry::default(); 65_536];
    let time = |name: &str, entries: &[Entry], candidates: &[Candidate]| {
        let started = Instant::now();
        let plan = planned(entries, candidates, 6_554);
        println!(
            "{name}: {} steps, {:?}",
            plan.steps.len(),
            started.elapsed()
        );
        done(entries, &plan)
    };
    let full = time("all free", &free, &candidates);
    time("at rest", &full, &candidates);
    let joined: Vec<_> = (0..1_001).map(|slot| candidate(slot, 1)).collect();
    time("one joins", &full, &joined);
    let halved: Vec<_> = (0..1_000).map(|slot| candidate(slot, slot % 2)).collect();
    time("half are drained", &full, &halved);
    let mut orphaned = full;
    for entry in orphaned
        .iter_mut()
        .filter(|entry| entry.owner == Some(session(0)))
    {
        entry.owner = Some(session(DEAD));
    }
    time("one dies", &orphaned, &candidates[1..]);
}
