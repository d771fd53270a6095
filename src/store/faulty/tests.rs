use super::*;
use crate::{
    lease::{Note, RegisterValue},
    store::{
        MemoryStore, PutOutcome,
        fixtures::{LIMIT, TTL, bid, resource},
    },
};

fn pause(edition: u64) -> Instruction {
    let note = Note::default();
    Instruction::Pause { note, edition }
}

#[tokio::test]
async fn instructions_and_purges_are_counted_and_get_the_faults_of_the_script() {
    let store = FaultyStore::new(Arc::new(MemoryStore::new()));
    store.script([Fault::LostReply, Fault::Duplicate, Fault::LostRequest]);
    let lost = store.instruct(&resource(), &pause(0), LIMIT).await;
    assert_eq!(lost.unwrap_err().kind(), StoreErrorKind::Unknown);
    let first = store.inner.read(&resource(), LIMIT).await.unwrap();
    let first = first.unwrap().edition;
    // The first copy raises the edition, so the second one is refused.
    let twice = store.instruct(&resource(), &pause(first), LIMIT).await;
    let InstructOutcome::Refused(Some(seen)) = twice.unwrap() else {
        panic!("the second copy was applied");
    };
    assert_eq!(seen.edition, first + 1);
    let scope = resource().scope();
    let lost = store.purge(&scope, Duration::ZERO, LIMIT).await;
    assert_eq!(lost.unwrap_err().kind(), StoreErrorKind::Unknown);
    let purged = store.purge(&scope, Duration::ZERO, LIMIT).await;
    assert_eq!(purged.unwrap(), 0);
    let calls = store.calls();
    assert_eq!((calls.instruct, calls.purge, calls.total()), (2, 2, 4));
}

#[tokio::test]
async fn a_batch_of_renewals_is_one_request_with_one_fault() {
    let store = FaultyStore::new(Arc::new(MemoryStore::new()));
    let mut batch = Vec::new();
    for name in ["a", "b", "c", "d"] {
        let mut bid = bid("me", 1);
        bid.resource = ResourceName::new(name).unwrap();
        let outcome = store.acquire(&bid, LIMIT).await.unwrap();
        let AcquireOutcome::Granted { token } = outcome else {
            panic!("refused");
        };
        let (resource, holder) = (bid.resource, bid.candidate);
        let lease = Lease {
            resource,
            holder,
            token,
        };
        batch.push((lease, TTL / 2));
    }
    store.script([Fault::HalfBatch, Fault::None]);
    let answers = store.renew_many(&batch, LIMIT).await;
    assert_eq!(answers.len(), 4);
    for answer in answers {
        assert_eq!(answer.unwrap_err().kind(), StoreErrorKind::Unknown);
    }
    let mut renewed = Vec::new();
    for (lease, _) in &batch {
        let record = store.read(&lease.resource, LIMIT).await.unwrap().unwrap();
        renewed.push(record.ttl == TTL / 2);
    }
    assert_eq!(renewed, [false, true, false, true]);
    let answers = store.renew_many(&batch, LIMIT).await;
    assert!(answers.iter().all(Result::is_ok));
    let calls = store.calls();
    assert_eq!((calls.renew_many, calls.renew), (2, 0));
}

#[tokio::test]
async fn requests_for_registers_are_counted_and_get_the_faults_of_the_script() {
    let store = FaultyStore::with_registers(Arc::new(MemoryStore::new()));
    let name = resource();
    let put = async |expected, text| {
        let value = RegisterValue::new(text).unwrap();
        store.put(&name, expected, &value, LIMIT).await
    };
    store.script([Fault::LostReply, Fault::Duplicate, Fault::LostRequest]);
    let lost = put(None, "one").await.unwrap_err();
    assert_eq!(
        (lost.kind(), lost.operation()),
        (StoreErrorKind::Unknown, Operation::Put)
    );
    // The first copy raises the version, so the second one conflicts with its own value.
    let twice = put(Some(1), "two").await.unwrap();
    let PutOutcome::Conflict(Some(found)) = twice else {
        panic!("{twice:?}");
    };
    assert_eq!((found.version, found.value.as_str()), (2, "two"));
    put(Some(2), "lost").await.unwrap_err();
    let before = store.get(&name, LIMIT).await.unwrap();
    assert_eq!(before.as_ref(), Some(&found));
    assert_eq!(
        put(Some(2), "three").await.unwrap(),
        PutOutcome::Stored { version: 3 }
    );
    store.script([Fault::StaleRead]);
    assert_eq!(store.get(&name, LIMIT).await.unwrap(), before);
    let all = store.get_many(&name.scope(), LIMIT).await.unwrap();
    assert_eq!((all.len(), all[0].version), (1, 3));
    let calls = store.calls();
    assert_eq!((calls.put, calls.get, calls.total()), (4, 3, 7));
    let without = FaultyStore::new(Arc::new(MemoryStore::new()));
    let refused = without.get(&name, LIMIT).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Unsupported);
}
