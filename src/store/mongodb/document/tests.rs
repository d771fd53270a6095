//! Any document decodes to a record or to a typed error.

use mongodb::bson::{Binary, doc, oid::ObjectId};
use proptest::prelude::*;

use super::{super::pipeline::FIELDS, *};

/// What the server would show of a record.
fn good(token: i64) -> Document {
    let (subtype, bytes) = (BinarySubtype::Generic, vec![7; 16]);
    let since = DateTime::from_millis(1_763_770_000_000);
    doc! {
        "_id": "jobs/nightly", "scope": "jobs/", "token": token, "version": 7_i64,
        "holder": "host-1-abc", "attempt": Binary { subtype, bytes }, "ttl": 15_000_i64,
        "expires_at": since, "since": since, "closing": false, "pause": null, "hand_over": null,
        "edition": 1_i64, "internal": false, "touched": since, "metadata": null, "last": null,
        "history": [{ "token": token, "holder": "host-1-abc", "since": since }],
        "min_reader": 1, NOW: DateTime::from_millis(1_763_769_995_000),
    }
}

fn any_value() -> impl Strategy<Value = Bson> {
    let leaf = prop_oneof![
        any::<String>().prop_map(Bson::String),
        any::<i64>().prop_map(Bson::Int64),
        any::<i32>().prop_map(Bson::Int32),
        any::<f64>().prop_map(Bson::Double),
        any::<bool>().prop_map(Bson::Boolean),
        any::<i64>().prop_map(|millis| Bson::DateTime(DateTime::from_millis(millis))),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(|bytes| {
            let subtype = BinarySubtype::Generic;
            Bson::Binary(Binary { subtype, bytes })
        }),
        Just(Bson::Null),
        Just(Bson::Undefined),
        Just(Bson::ObjectId(ObjectId::from_bytes([1; 12]))),
    ];
    leaf.prop_recursive(2, 8, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Bson::Array),
            prop::collection::vec(("[a-z_]{1,8}", inner), 0..4)
                .prop_map(|fields| Bson::Document(fields.into_iter().collect())),
        ]
    })
}

fn check(found: &Document) -> Result<(), TestCaseError> {
    for purpose in [ReadPurpose::Read, ReadPurpose::Write] {
        match record(found, purpose) {
            Ok(Some(record)) => {
                prop_assert_eq!(found.get_str("_id").unwrap(), record.resource.as_str());
                let scope = record.resource.scope();
                prop_assert_eq!(found.get_str("scope").unwrap(), scope.as_prefix());
                prop_assert!(record.history.len() <= LeaseRecord::HISTORY);
                prop_assert!(record.holder.is_some() || record.remaining.is_zero());
            }
            Ok(None) => prop_assert_eq!(found.get(BARE), Some(&Bson::Boolean(true))),
            Err(failure) => {
                use StoreErrorKind::{Corrupt, Unsupported};
                prop_assert!(matches!(failure.kind, Corrupt | Unsupported), "{failure:?}");
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn fields_with_any_values_are_a_record_or_an_error(
        changes in prop::collection::vec((0..=FIELDS.len(), prop::option::of(any_value())), 0..5),
        token in any::<i64>(),
    ) {
        let mut found = good(token);
        for (field, value) in changes {
            // Also what only the server tells.
            let field = FIELDS.get(field).unwrap_or(&NOW);
            match value {
                Some(value) => found.insert(*field, value),
                None => found.remove(field),
            };
        }
        check(&found)?;
    }

    #[test]
    fn any_document_is_a_record_or_an_error(
        fields in prop::collection::vec(("[a-z_]{1,12}", any_value()), 0..12),
    ) {
        check(&fields.into_iter().collect())?;
    }
}

#[test]
fn a_good_record_is_read_whole() {
    let record = record(&good(3), ReadPurpose::Write).unwrap().unwrap();
    assert_eq!(record.resource.as_str(), "jobs/nightly");
    assert_eq!((record.token.get(), record.history.len()), (3, 1));
    assert!(record.is_held() && record.remaining >= Duration::from_secs(5));
}

#[test]
fn a_token_that_was_raised_above_its_history_is_legal() {
    let mut raised = good(3);
    raised.insert("token", 1_764_000_000_000_i64);
    let record = record(&raised, ReadPurpose::Write).unwrap().unwrap();
    assert_eq!(record.token.get(), 1_764_000_000_000);
    assert_eq!(record.history[0].token.get(), 3);
    assert_eq!(record.history[0].since, record.since);
}
