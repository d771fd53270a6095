use tenure::{Reason, operator::EvictOutcome, store::EvictionMode, testing::Fault};

use crate::support::*;

#[test]
fn an_eviction_ends_also_a_guard_and_is_sent_once() {
    paused(async {
        let lab = Lab::new();
        let operator = lab.operator();
        assert_eq!(
            operator.evict("r", EvictionMode::Close).await.unwrap(),
            EvictOutcome::NotHeld
        );
        let guard = lab.guard("r").await;
        lab.store.script([Fault::None, Fault::LostReply]);
        let outcome = operator.evict("r", EvictionMode::Close).await.unwrap();
        let EvictOutcome::Evicted { by, token, free_in } = &outcome else {
            panic!("{outcome}");
        };
        assert_eq!((by, *token), (&guard.lease().holder, guard.token()));
        assert!(*free_in > secs(5.0) && *free_in <= secs(10.0));
        assert_eq!(
            lab.store.calls().evict,
            1,
            "the record says that it was applied"
        );
        assert_eq!(guard.lost().await, Reason::Evicted);
    });
}

#[test]
fn a_forced_eviction_frees_the_lease_at_once() {
    paused(async {
        let lab = Lab::new();
        let guard = lab.guard("r").await;
        let outcome = lab
            .operator()
            .evict("r", EvictionMode::Force)
            .await
            .unwrap();
        assert!(matches!(outcome, EvictOutcome::Evicted { free_in, .. } if free_in.is_zero()));
        assert!(!lab.record().await.is_held());
        drop(guard);
    });
}
