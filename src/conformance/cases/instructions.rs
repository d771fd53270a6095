//! Cases about what instructions must not change, and about bids that race with one.

use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use tokio::sync::Barrier;

use super::super::{
    operator::{hand_over, not_instructed, pause, resume},
    trial::{LIMIT, Trial, granted, refused, released},
};
use crate::{
    lease::{Bid, Instruction, ReleaseTarget, ResourceName},
    store::InstructOutcome,
};

pub(super) async fn instructions_do_not_prolong_a_lease(t: &Trial) {
    const ROUNDS: u32 = 4;
    let token = t.held().await;
    // From here on the client counts, if the store has no clock.
    refused(t.other().acquire(&t.bid("b"), LIMIT).await);
    for _ in 0..ROUNDS {
        let time = (t.ttl() + t.capabilities.slack) / ROUNDS;
        t.subject.pass(time).await;
        t.pause().await;
        t.resume().await;
        // In the last round it is refused, unless the store observes.
        let handed_over = t.instruct(&hand_over(token, "b")).await;
        handed_over.expect("an answer");
    }
    let next = granted(t.other().acquire(&t.bid("b"), LIMIT).await);
    assert!(next > token, "{next} after {token}");
}

pub(super) async fn an_internal_record_takes_no_instruction(t: &Trial) {
    let token = granted(t.store().acquire(&t.internal_bid("a"), LIMIT).await);
    let before = t.record().await;
    assert!(before.internal, "it is not marked as internal");
    let instructions: [Instruction; 3] = [
        hand_over(token, "b"),
        pause(before.edition),
        resume(before.edition),
    ];
    for instruction in &instructions {
        not_instructed(t.instruct(instruction).await).expect("the record");
    }
    released(t.store().release(&t.claim("a", token), None, LIMIT).await);
    for instruction in &instructions {
        not_instructed(t.instruct(instruction).await).expect("the record");
    }
    let after = t.record().await;
    assert_eq!((after.pause, after.hand_over), (None, None));
    assert_eq!(after.edition, before.edition);
    assert!(after.internal, "a release has removed the mark");
    granted(t.other().acquire(&t.internal_bid("b"), LIMIT).await);
}

/// A bid that read a record before it was paused must not be granted after the pause was confirmed.
pub(super) async fn a_confirmed_pause_stops_bids_that_are_on_their_way(t: &Trial) {
    let mut resources = Vec::new();
    for index in 0..12 {
        let resource = format!("{}/{index}", t.resource);
        let resource = ResourceName::new(resource).expect("a good name");
        let bid = bid_for(t, &resource, "a");
        let token = granted(t.store().acquire(&bid, LIMIT).await);
        let mut claim = t.lease("a", token);
        claim.resource = resource.clone();
        if index % 2 == 0 {
            let claim = ReleaseTarget::Lease(claim);
            released(t.store().release(&claim, None, LIMIT).await);
        } else if t.capabilities.observed {
            for client in &t.clients {
                refused(client.acquire(&bid_for(t, &resource, "b"), LIMIT).await);
            }
        }
        resources.push(resource);
    }
    t.expire().await;
    for (index, resource) in resources.iter().enumerate() {
        let delay = Duration::from_millis(index as u64 % 4);
        pause_among_bids(t, resource, delay).await;
    }
}

fn bid_for(t: &Trial, resource: &ResourceName, candidate: &str) -> Bid {
    let mut bid = t.bid(candidate);
    bid.resource = resource.clone();
    bid
}

async fn pause_among_bids(t: &Trial, resource: &ResourceName, delay: Duration) {
    const BIDDERS: usize = 8;
    let barrier = Arc::new(Barrier::new(BIDDERS + 1));
    let bids = (0..BIDDERS).map(|index| {
        let (barrier, client) = (barrier.clone(), t.clients[index % 4].clone());
        let mut bid = bid_for(t, resource, &format!("bidder {index}"));
        // It does not expire meanwhile.
        bid.ttl = Duration::from_secs(600);
        tokio::spawn(async move {
            barrier.wait().await;
            client.acquire(&bid, LIMIT).await.expect("an answer");
        })
    });
    let bids: Vec<_> = bids.collect();
    let read = async || {
        let record = t.other().read(resource, LIMIT).await;
        record.expect("an answer").expect("a record")
    };
    let edition = read().await.edition;
    barrier.wait().await;
    tokio::time::sleep(delay).await;
    let paused = t.other().instruct(resource, &pause(edition), LIMIT).await;
    let outcome = paused.expect("an answer");
    assert_eq!(
        outcome,
        InstructOutcome::Instructed {
            edition: edition + 1
        }
    );
    let confirmed = read().await;
    for bid in join_all(bids).await {
        bid.expect("no panic");
    }
    let after = read().await;
    assert_eq!(
        (after.token, after.holder),
        (confirmed.token, confirmed.holder),
        "a bid was granted while a confirmed pause stands"
    );
    assert!(after.pause.is_some(), "a bid has erased the pause");
}
