//! The requests of each operation, counted by a proxy, and their cost.

use std::time::Duration;

use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity};
use tenure::{
    LeaseStore as _,
    lease::LeaseRecord,
    store::{EndReason, EvictionMode, ReleaseOutcome, RenewOutcome},
};

use crate::{
    proxy::Wire,
    support::{self, DYNOXIDE, LIMIT, LOCAL, Server, TABLE, TTL, TestTable, granted, refused},
};

const READ: &str = "GetItem";
const WRITE: &str = "UpdateItem";

async fn over_a_wire(server: Server) -> (TestTable, Wire) {
    let wire = Wire::default();
    let url = wire.lay(server).await;
    let test_table = TestTable::at(server, url).await;
    (test_table, wire)
}

#[tokio::test]
#[ignore = "needs dynoxide: scripts/servers up, then scripts/servers env"]
async fn acquire_renew_and_release_are_one_write_each() {
    let (test_table, wire) = over_a_wire(DYNOXIDE).await;
    let store = &test_table.store;
    for round in 1..=3 {
        assert_eq!(test_table.acquire("a", round.into()).await, granted(round));
        assert_eq!(wire.requests(), [WRITE]);
        for _ in 0..3 {
            store
                .renew(&test_table.lease("a", round), TTL, LIMIT)
                .await
                .unwrap();
            assert_eq!(wire.requests(), [WRITE]);
        }
        test_table.release("a", round).await;
        assert_eq!(wire.requests(), [WRITE]);
    }
    test_table.read().await;
    assert_eq!(wire.requests(), [READ]);
    store.list(&test_table.scope(), LIMIT).await.unwrap();
    assert_eq!(wire.requests(), ["Query"]);
    // A process that has never read the record acquires the lease that another one has released.
    let (other, wire) = over_a_wire(DYNOXIDE).await;
    let other = TestTable {
        name: test_table.name.clone(),
        offset: test_table.offset.clone(),
        ..other
    };
    assert_eq!(other.acquire("b", 9).await, granted(4));
    assert_eq!(wire.requests(), [WRITE]);
    let token = other.stored(4);
    let evict = other
        .store
        .evict(&other.name, token, EvictionMode::Close, LIMIT);
    evict.await.unwrap();
    assert_eq!(wire.requests(), [WRITE]);
    // The record of a lost lease is part of the refusal, so no read is needed.
    let renewal = other
        .store
        .renew(&other.lease("b", 4), TTL, LIMIT)
        .await
        .unwrap();
    assert!(matches!(renewal, RenewOutcome::Lost(Some(record)) if record.closing));
    assert_eq!(wire.requests(), [WRITE]);
}

#[tokio::test]
#[ignore = "needs both servers: scripts/servers up, then scripts/servers env"]
async fn a_release_by_the_owner_is_one_write_and_names_the_holder_when_refused() {
    for (server, refused) in [(DYNOXIDE, &[WRITE][..]), (LOCAL, &[WRITE, READ])] {
        let (test_table, wire) = over_a_wire(server).await;
        let nothing = test_table
            .store
            .release(&test_table.owner("a"), None, LIMIT)
            .await
            .unwrap();
        assert_eq!(nothing, ReleaseOutcome::NotHeld(None));
        wire.requests();
        test_table.other(server).acquire("a", 1).await;
        let foreign = test_table
            .store
            .release(&test_table.owner("b"), None, LIMIT)
            .await
            .unwrap();
        assert!(matches!(foreign, ReleaseOutcome::NotHeld(Some(record)) if record.is_held()));
        assert_eq!(wire.requests(), refused, "{server:?}");
        assert_eq!(test_table.version().await, "1");
        let released = test_table
            .store
            .release(&test_table.owner("a"), None, LIMIT)
            .await
            .unwrap();
        assert_eq!(released, ReleaseOutcome::Released);
        assert_eq!(wire.requests(), [WRITE], "{server:?}");
    }
}

#[tokio::test]
#[ignore = "needs both servers: scripts/servers up, then scripts/servers env"]
async fn polling_a_held_lease_is_a_read_and_no_write() {
    for (server, first) in [(DYNOXIDE, &[WRITE][..]), (LOCAL, &[WRITE, READ])] {
        let (test_table, wire) = over_a_wire(server).await;
        test_table.other(server).acquire("a", 1).await;
        refused(test_table.acquire("b", 2).await);
        assert_eq!(wire.requests(), first, "{server:?}: the first bid");
        for attempt in 3..10 {
            refused(test_table.acquire("b", attempt).await);
            assert_eq!(wire.requests(), [READ]);
        }
        assert_eq!(test_table.version().await, "1");
    }
}

#[tokio::test]
#[ignore = "needs both servers: scripts/servers up, then scripts/servers env"]
async fn a_takeover_takes_at_most_two_requests() {
    let ttl = Duration::from_millis(1500);
    for server in [DYNOXIDE, LOCAL] {
        let (test_table, wire) = over_a_wire(server).await;
        let mut bid = test_table.bid("a", 1);
        bid.ttl = ttl;
        test_table.other(server).acquire_with(&bid).await;
        // The holder has stopped without a release.
        refused(test_table.acquire("b", 2).await);
        tokio::time::sleep(ttl).await;
        wire.requests();
        assert_eq!(test_table.acquire("b", 2).await, granted(2));
        assert_eq!(wire.requests(), [WRITE], "{server:?}");
        // The holder has released.
        let other = test_table.other(server);
        refused(other.acquire("c", 3).await);
        test_table.release("b", 2).await;
        assert_eq!(other.acquire("c", 3).await, granted(3));
        let watcher = test_table.acquire("d", 4).await;
        refused(watcher);
        wire.requests();
        other.release("c", 3).await;
        assert_eq!(test_table.acquire("d", 4).await, granted(4));
        assert_eq!(wire.requests(), [READ, WRITE], "{server:?}");
    }
}

#[tokio::test]
#[ignore = "needs both servers: scripts/servers up, then scripts/servers env"]
async fn a_record_without_metadata_costs_one_unit() {
    for server in [DYNOXIDE, LOCAL] {
        let test_table = TestTable::new(server).await;
        let holder = "ip-10-0-123-45.internal-12345-0123abcd.."; // 40 bytes
        for round in 1..=LeaseRecord::HISTORY as u64 + 2 {
            test_table.acquire(holder, round.into()).await;
            let claim = test_table.claim(holder, round);
            let reason = Some(EndReason::SteppedDown);
            let released = test_table.store.release(&claim, reason, LIMIT).await;
            assert_eq!(released.unwrap(), ReleaseOutcome::Released);
        }
        assert_eq!(test_table.read().await.history.len(), LeaseRecord::HISTORY);
        test_table.acquire(holder, 99).await;
        let answer = test_table
            .client
            .update_item()
            .table_name(TABLE)
            .set_key(Some(support::key(&test_table.name)))
            .update_expression("ADD #version :one")
            .expression_attribute_names("#version", "version")
            .expression_attribute_values(":one", AttributeValue::N("1".to_owned()))
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send();
        let units = answer.await.unwrap().consumed_capacity.unwrap();
        assert_eq!(units.capacity_units, Some(1.0), "{server:?}");
    }
}
