use super::*;
use crate::{
    lease::Note,
    store::{
        MemoryStore,
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
    let (pause_first, pause_again) = (pause(0), pause(1));
    let lost = store.instruct(&resource(), &pause_first, LIMIT).await;
    assert_eq!(lost.unwrap_err().kind(), StoreErrorKind::Unknown);
    // The first copy raises the edition, so the second one is refused.
    let twice = store.instruct(&resource(), &pause_again, LIMIT).await;
    let InstructOutcome::Refused(Some(seen)) = twice.unwrap() else {
        panic!("the second copy was applied");
    };
    assert_eq!(seen.edition, 2);
    let scope = resource().scope();
    let lost = store.purge(&scope, Duration::ZERO, LIMIT).await;
    assert_eq!(lost.unwrap_err().kind(), StoreErrorKind::Unknown);
    let purged = store.purge(&scope, Duration::ZERO, LIMIT).await;
    assert_eq!(purged.unwrap(), 0);
    let calls = store.calls();
    assert_eq!((calls.instruct, calls.purge, calls.total()), (2, 2, 4));
}

#[tokio::test]
async fn a_batch_of_renewals_counts_as_single_ones() {
    let store = FaultyStore::new(Arc::new(MemoryStore::new()));
    let outcome = store.acquire(&bid("a", 1), LIMIT).await.unwrap();
    let AcquireOutcome::Granted { token } = outcome else {
        panic!("refused");
    };
    let holder = bid("a", 1).candidate;
    let resource = resource();
    let lease = Lease {
        resource,
        holder,
        token,
    };
    store.script([Fault::None, Fault::LostReply]);
    let batch = [(lease.clone(), TTL), (lease, TTL)];
    let answers = store.renew_many(&batch, LIMIT).await;
    assert_eq!(answers.len(), 2);
    assert!(answers[0].is_ok() && answers[1].is_err());
    assert_eq!(store.calls().renew, 2);
}
