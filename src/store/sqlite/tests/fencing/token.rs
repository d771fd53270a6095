use proptest::prelude::*;

use super::*;

const SEVEN: &[(&str, &dyn ToSql)] = &[("id", &7)];

fn write(sql: &mut Connection, token: u64) -> FencingResult<usize> {
    TokenGuard::new(&lease("a", token)).transaction(sql, "accounts", SEVEN, pay)
}

#[test]
fn a_row_accepts_no_token_older_than_its_own() {
    let (_place, _, mut sql) = with_accounts();
    assert_eq!(write(&mut sql, 3).unwrap(), 1, "no token yet");
    assert_eq!(write(&mut sql, 3).unwrap(), 1, "the same token again");
    assert_eq!(write(&mut sql, 5).unwrap(), 1);
    let refused = rejected(write(&mut sql, 4));
    assert_eq!(refused.newest, Some(FencingToken::new(5)));
    assert_eq!(refused.token, FencingToken::new(4));
    assert_eq!(refused.reason, RejectionReason::Superseded);
    assert_eq!(refused.resource, resource());
    assert_eq!(account(&sql), (3, Some(5)));
}

#[test]
fn tokens_are_compared_as_numbers() {
    let (_place, _, mut sql) = with_accounts();
    write(&mut sql, 9).unwrap();
    write(&mut sql, 10).unwrap();
    rejected(write(&mut sql, 9));
    let most = i64::MAX as u64;
    write(&mut sql, most).unwrap();
    assert_eq!(
        rejected(write(&mut sql, most - 1)).newest.unwrap().get(),
        most
    );
    unguardable(write(&mut sql, most + 1));
}

#[test]
fn a_missing_row_is_not_found_and_is_not_created() {
    let (_place, _, mut sql) = with_accounts();
    let guard = TokenGuard::new(&lease("a", 1));
    let missing = guard.transaction(&mut sql, "accounts", &[("id", &9)], pay);
    assert!(
        matches!(missing, Err(FencingError::NotFound)),
        "{missing:?}"
    );
    assert_eq!(account(&sql), (0, None), "the work was not done");
}

#[test]
fn nothing_is_written_if_the_work_fails_or_panics() {
    let (_place, _, mut sql) = with_accounts();
    let guard = TokenGuard::new(&lease("a", 1));
    let failed = guard.transaction(&mut sql, "accounts", SEVEN, |transaction| {
        pay(transaction)?;
        Err::<(), Box<dyn std::error::Error>>("no more money".into())
    });
    assert!(
        matches!(failed, Err(FencingError::Failed(error)) if error.to_string() == "no more money")
    );
    assert_eq!(account(&sql), (0, None), "not the claim either");
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        guard.transaction(&mut sql, "accounts", SEVEN, |transaction| {
            pay(transaction).unwrap();
            panic!("on purpose");
            #[allow(unreachable_code)]
            Ok::<_, rusqlite::Error>(())
        })
    }));
    assert!(panicked.is_err());
    assert!(sql.is_autocommit());
    assert_eq!(account(&sql), (0, None));
}

#[test]
fn a_claim_in_a_transaction_that_is_rolled_back_leaves_no_token() {
    let (_place, _, mut sql) = with_accounts();
    let transaction = sql.transaction().unwrap();
    let guard = TokenGuard::new(&lease("a", 9));
    guard.claim(&transaction, "accounts", SEVEN).unwrap();
    drop(transaction);
    assert_eq!(account(&sql), (0, None));
    write(&mut sql, 1).unwrap();
}

#[test]
fn the_column_and_the_key_can_be_chosen() {
    let (_place, _, mut sql) = with_accounts();
    sql.execute_batch(
        r#"CREATE TABLE "select" ("a b" TEXT, "c""d" INTEGER, "from" INTEGER);
        INSERT INTO "select" VALUES ('x', 1, NULL), ('x', 2, 100);"#,
    )
    .unwrap();
    let guard = |token| TokenGuard::new(&lease("a", token)).field("from");
    let key: &[(&str, &dyn ToSql)] = &[("a b", &"x"), ("c\"d", &1)];
    let write = |sql: &mut Connection, token| {
        guard(token).transaction(sql, "select", key, |_| Ok::<_, rusqlite::Error>(()))
    };
    write(&mut sql, 5).unwrap();
    rejected(write(&mut sql, 4));
    write(&mut sql, 6).unwrap();
}

#[test]
fn what_does_not_name_one_row_is_refused_and_not_written() {
    let (_place, _, mut sql) = with_accounts();
    let guard = TokenGuard::new(&lease("a", 1));
    let several = guard.transaction(&mut sql, "accounts", &[("shard", &"x")], pay);
    assert!(unguardable(several).contains("several rows"));
    let all = guard.transaction(&mut sql, "accounts", &[], pay);
    assert!(unguardable(all).contains("no column"));
    assert_eq!(account(&sql), (0, None));
}

/// SQLite takes a quoted name that is not a column for a string, and `'id' = 'id'` would match every row.
#[test]
fn a_column_that_does_not_exist_is_an_error_and_not_a_string() {
    let (_place, _, mut sql) = with_accounts();
    sql.execute("DELETE FROM accounts WHERE id = 8", [])
        .unwrap();
    let guard = TokenGuard::new(&lease("a", 1));
    let wrong = guard.transaction(&mut sql, "accounts", &[("no_such", &"no_such")], pay);
    assert!(matches!(wrong, Err(FencingError::Failed(_))), "{wrong:?}");
    let guard = guard.field("no_such");
    let wrong = guard.transaction(&mut sql, "accounts", SEVEN, pay);
    assert!(matches!(wrong, Err(FencingError::Failed(_))), "{wrong:?}");
    assert_eq!(account(&sql), (0, None));
}

#[test]
fn a_column_that_does_not_keep_integers_is_refused() {
    for kind in ["TEXT", "REAL"] {
        let (_place, _, mut sql) = with_accounts();
        let add = format!("ALTER TABLE accounts ADD COLUMN mark {kind}");
        sql.execute_batch(&add).unwrap();
        let guard = TokenGuard::new(&lease("a", 10)).field("mark");
        let refused = guard.transaction(&mut sql, "accounts", SEVEN, pay);
        assert!(unguardable(refused).contains("INTEGER"), "{kind}");
        assert_eq!(account(&sql), (0, None));
    }
    let (_place, _, mut sql) = with_accounts();
    sql.execute_batch("UPDATE accounts SET fencing_token = 'newest'")
        .unwrap();
    unguardable(write(&mut sql, 1));
}

#[test]
fn a_claim_after_a_takeover_in_between_is_refused_or_busy() {
    let (test_file, _, mut sql) = with_accounts();
    let mut other = test_file.sql();
    write(&mut sql, 1).unwrap();
    // The transaction has read before the takeover, so it cannot write after it.
    let transaction = sql.transaction().unwrap();
    account(&transaction);
    write(&mut other, 2).unwrap();
    let guard = TokenGuard::new(&lease("a", 1));
    let busy = guard.claim(&transaction, "accounts", SEVEN);
    let Err(FencingError::Failed(error)) = busy else {
        panic!("{busy:?}");
    };
    assert_eq!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy));
    drop(transaction);
    assert_eq!(
        rejected(write(&mut sql, 1)).newest,
        Some(FencingToken::new(2))
    );
}

/// A trigger of the application that reverts the claim.
#[test]
fn a_claim_that_a_trigger_undoes_is_an_error() {
    let (_place, _, mut sql) = with_accounts();
    sql.execute_batch(
        "CREATE TRIGGER back AFTER UPDATE OF fencing_token ON accounts WHEN new.fencing_token > 0
         BEGIN UPDATE accounts SET fencing_token = 0 WHERE id = new.id; END",
    )
    .unwrap();
    assert!(unguardable(write(&mut sql, 1)).contains("look for a trigger"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Names with any characters are quoted. Of any tokens in any order, the row accepts exactly those that are
    /// not older than any before them.
    #[test]
    fn any_name_is_a_name_and_any_order_of_tokens_goes_up(
        table in "[^\\x00]{1,12}",
        field in "[^\\x00]{1,12}",
        tokens in proptest::collection::vec(0..20_u64, 1..20),
    ) {
        prop_assume!(!table.to_lowercase().starts_with("sqlite_") && field.to_lowercase() != "id");
        let mut sql = Connection::open_in_memory().unwrap();
        let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        let create = format!("CREATE TABLE {0} (id TEXT, {1} INTEGER); INSERT INTO {0} VALUES ('r', NULL)",
            quoted(&table), quoted(&field));
        sql.execute_batch(&create).unwrap();
        let mut highest = None;
        for token in tokens {
            let guard = TokenGuard::new(&lease("a", token)).field(&field);
            let work = |_: &Transaction<'_>| Ok::<_, rusqlite::Error>(());
            let done = guard.transaction(&mut sql, &table, &[("id", &"r")], work);
            match highest {
                Some(highest) if highest > token => {
                    prop_assert_eq!(rejected(done).newest, Some(FencingToken::new(highest)));
                }
                _ => {
                    done.unwrap();
                    highest = Some(token);
                }
            }
        }
    }
}
