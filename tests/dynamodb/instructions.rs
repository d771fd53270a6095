//! Pauses, hand-overs, purges, the tokens of the history, and renewals of many leases.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use tenure::{
    FencingToken, LeaseStore as _,
    lease::{CandidateId, Lease, Note, ResourceName},
    store::{
        AcquireOutcome, EndReason, InstructOutcome, Instruction, ReleaseOutcome, RenewOutcome,
        StandingInstruction,
    },
};

use crate::support::{DYNOXIDE, LIMIT, LOCAL, TTL, TestTable, granted, refused};

async fn instruct(test_table: &TestTable, instruction: Instruction) -> InstructOutcome {
    let done = test_table
        .store
        .instruct(&test_table.name, &instruction, LIMIT);
    done.await.unwrap()
}

fn pause(note: &str, edition: u64) -> Instruction {
    Instruction::Pause {
        note: Note::new(note).unwrap(),
        edition,
    }
}

fn instructed(edition: u64) -> InstructOutcome {
    InstructOutcome::Instructed { edition }
}

#[tokio::test]
#[ignore = "needs both servers: scripts/servers up, then scripts/servers env"]
async fn an_instruction_comes_with_the_renewal_and_leaves_the_version() {
    for server in [DYNOXIDE, LOCAL] {
        let test_table = TestTable::new(server).await;
        test_table.acquire("a", 1).await;
        let to = CandidateId::new("b").unwrap();
        let token = test_table.stored(1);
        let hand_over = Instruction::HandOver {
            token,
            to: to.clone(),
        };
        let edition = test_table.read().await.edition;
        assert_eq!(instruct(&test_table, hand_over).await, instructed(edition));
        assert_eq!(test_table.version().await, "1", "{server:?}");
        let lease = test_table.lease("a", 1);
        let renewed = test_table.store.renew(&lease, TTL, LIMIT).await.unwrap();
        let instruction = Some(StandingInstruction::HandOver { to });
        assert_eq!(renewed, RenewOutcome::Renewed { instruction }, "{server:?}");
        let (claim, reason) = (test_table.claim("a", 1), Some(EndReason::HandedOver));
        let released = test_table.store.release(&claim, reason, LIMIT).await;
        assert_eq!(released.unwrap(), ReleaseOutcome::Released);
        let ended = test_table.read().await.history[0].ended.clone();
        assert_eq!(ended.unwrap().reason, EndReason::HandedOver);
        refused(test_table.acquire("c", 2).await);
        assert_eq!(test_table.acquire("b", 3).await, granted(2), "{server:?}");
    }
}

#[tokio::test]
#[ignore = "needs both servers: scripts/servers up, then scripts/servers env"]
async fn a_paused_resource_is_acquired_only_after_it_is_resumed() {
    for (server, note) in [
        (DYNOXIDE, "why"),
        (DYNOXIDE, ""),
        (LOCAL, "why"),
        (LOCAL, ""),
    ] {
        let test_table = TestTable::new(server).await;
        let resume = |edition| Instruction::Resume { edition };
        let nothing = instruct(&test_table, resume(0)).await;
        assert_eq!(nothing, InstructOutcome::Refused(None));
        let first = instruct(&test_table, pause(note, 0)).await;
        let late = instruct(&test_table, pause(note, 0)).await;
        assert!(
            matches!(late, InstructOutcome::Refused(Some(_))),
            "{late:?}"
        );
        let record = refused(test_table.acquire("a", 1).await);
        assert_eq!(record.pause.unwrap().note.as_str(), note, "{server:?}");
        assert_eq!(first, instructed(record.edition));
        let resumed = instruct(&test_table, resume(record.edition)).await;
        assert_eq!(resumed, instructed(record.edition + 1));
        let AcquireOutcome::Granted { token } = (test_table
            .store
            .acquire(&test_table.bid("a", 1), LIMIT)
            .await)
            .unwrap()
        else {
            panic!("{server:?}");
        };
        assert_eq!(token.get(), record.token.get() + 1, "{server:?}");
    }
}

#[tokio::test]
#[ignore = "needs both servers: scripts/servers up, then scripts/servers env"]
async fn the_history_has_the_tokens_that_were_granted_when_one_was_raised_by_hand() {
    for server in [DYNOXIDE, LOCAL] {
        let test_table = TestTable::new(server).await;
        test_table.acquire("a", 1).await;
        test_table.release("a", 1).await;
        let raised = AttributeValue::N(test_table.stored(100).to_string());
        test_table.set("token", raised).await;
        assert_eq!(test_table.acquire("b", 2).await, granted(101));
        let history = test_table.read().await.history;
        let tokens: Vec<_> = history.iter().map(|entry| entry.token.get()).collect();
        assert_eq!(tokens, [1, 101], "{server:?}");
    }
}

#[tokio::test]
#[ignore = "needs both servers: scripts/servers up, then scripts/servers env"]
async fn a_purge_deletes_only_released_records_and_the_next_token_is_greater() {
    for server in [DYNOXIDE, LOCAL] {
        let test_table = TestTable::new(server).await;
        let purge = async |old| {
            let scope = test_table.scope();
            let purged = test_table.store.purge(&scope, old, LIMIT);
            purged.await.unwrap()
        };
        test_table.acquire("a", 1).await;
        assert_eq!(purge(Duration::ZERO).await, 0, "it is held");
        test_table.release("a", 1).await;
        assert_eq!(purge(Duration::from_secs(3600)).await, 0, "it is too new");
        let edition = test_table.read().await.edition;
        instruct(&test_table, pause("", edition)).await;
        assert_eq!(purge(Duration::ZERO).await, 0, "it is paused");
        let edition = edition + 1;
        instruct(&test_table, Instruction::Resume { edition }).await;
        assert_eq!(purge(Duration::ZERO).await, 1, "{server:?}");
        let found = test_table.store.read(&test_table.name, LIMIT).await;
        assert_eq!(found.unwrap(), None);
        let AcquireOutcome::Granted { token } = test_table.acquire("b", 2).await else {
            panic!("{server:?}");
        };
        assert!(token > FencingToken::new(1), "{token} {server:?}");
    }
}

#[tokio::test]
#[ignore = "needs both servers: scripts/servers up, then scripts/servers env"]
async fn each_of_many_leases_has_its_own_outcome() {
    for server in [DYNOXIDE, LOCAL] {
        let mut test_table = TestTable::new(server).await;
        let scope = test_table.name.as_str().to_owned();
        let mut leases = Vec::new();
        for index in 0..40 {
            test_table.name = ResourceName::new(format!("{scope}/{index}")).unwrap();
            let bid = test_table.bid("a", index + 1);
            let granted = test_table.store.acquire(&bid, LIMIT).await.unwrap();
            let AcquireOutcome::Granted { token } = granted else {
                panic!("{granted:?}");
            };
            let (resource, holder) = (test_table.name.clone(), bid.candidate);
            // Every tenth has a token that was never granted.
            let token = FencingToken::new(token.get() + u64::from(index % 10 == 3));
            let lease = Lease {
                resource,
                holder,
                token,
            };
            leases.push((lease, TTL));
        }
        let outcomes = test_table.store.renew_many(&leases, LIMIT).await;
        for (index, outcome) in outcomes.into_iter().enumerate() {
            let lost = matches!(outcome.unwrap(), RenewOutcome::Lost(Some(_)));
            assert_eq!(lost, index % 10 == 3, "{index} {server:?}");
        }
    }
}
