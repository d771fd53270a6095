//! Any item decodes to a record or to a typed error.

use proptest::prelude::*;

use super::*;
use crate::store::observed::TableRecord;

const FIELDS: [&str; 21] = [
    SCOPE,
    NAME,
    "token",
    "version",
    "holder",
    "attempt",
    "ttl_ms",
    "since_ms",
    "closing",
    "metadata",
    "min_reader",
    "edition",
    "pause",
    "hand_over",
    "internal",
    "touched_ms",
    "h1",
    "t1",
    "e1",
    "h8",
    "t8",
];

/// What the store would have written.
fn good(token: u64, metadata: Option<&str>) -> Item {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let number = |number: u64| AttributeValue::N(number.to_string());
    let holder = CandidateId::new("host-1-abc").unwrap();
    let mut item = HashMap::from([
        (SCOPE.to_owned(), text("/jobs/")),
        (NAME.to_owned(), text("nightly")),
        ("token".to_owned(), number(token)),
        ("version".to_owned(), number(7)),
        ("holder".to_owned(), text(holder.as_str())),
        ("attempt".to_owned(), super::attempt(AttemptId::new(5))),
        ("ttl_ms".to_owned(), number(15_000)),
        ("since_ms".to_owned(), number(1_763_770_000_000)),
        ("closing".to_owned(), AttributeValue::Bool(false)),
        ("min_reader".to_owned(), number(1)),
        ("edition".to_owned(), number(1)),
        ("touched_ms".to_owned(), number(1_763_770_000_000)),
        ("h1".to_owned(), line(&holder, SystemTime::UNIX_EPOCH)),
        ("t1".to_owned(), number(token)),
        ("e1".to_owned(), AttributeValue::Null(true)),
        ("h2".to_owned(), AttributeValue::Null(true)),
    ]);
    if let Some(metadata) = metadata {
        item.insert("metadata".to_owned(), text(metadata));
    }
    item
}

fn any_value() -> impl Strategy<Value = AttributeValue> {
    let leaf = prop_oneof![
        any::<String>().prop_map(AttributeValue::S),
        any::<u64>().prop_map(|number| AttributeValue::N(number.to_string())),
        "[-+]?[0-9]{0,40}(\\.[0-9]{1,3})?(E[+-]?[0-9]{1,3})?".prop_map(AttributeValue::N),
        prop::collection::vec(any::<u8>(), 0..20)
            .prop_map(|bytes| AttributeValue::B(Blob::new(bytes))),
        any::<bool>().prop_map(AttributeValue::Bool),
        Just(AttributeValue::Null(true)),
        Just(AttributeValue::Ss(vec!["a".to_owned()])),
    ];
    leaf.prop_recursive(2, 8, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(AttributeValue::L),
            prop::collection::hash_map("[a-z_]{1,8}", inner, 0..4).prop_map(AttributeValue::M),
        ]
    })
}

fn check(item: &Item) -> Result<(), TestCaseError> {
    match DecodedItem::decode(item) {
        Ok(DecodedItem { name, found }) => {
            // The record equals what is stored, and could be written again.
            prop_assert_eq!(item.get(SCOPE), Some(&scope_key(&name.scope())));
            prop_assert_eq!(item.get(NAME), Some(&name_key(&name)));
            let TableRecord { record, min_reader } = found;
            for (field, number) in [
                ("token", record.token.get()),
                ("version", record.version),
                ("edition", record.edition),
                ("min_reader", min_reader),
            ] {
                let stored = item[field].as_n().unwrap().parse::<u64>();
                prop_assert_eq!(stored, Ok(number));
            }
            prop_assert!(record.version > 0 && record.version < u64::MAX);
            prop_assert!(record.edition > 0);
            prop_assert!(record.history.len() <= LeaseRecord::HISTORY);
        }
        Err(failure) => {
            use StoreErrorKind::{Corrupt, Unsupported};
            prop_assert!(matches!(failure.kind, Corrupt | Unsupported), "{failure:?}");
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn fields_with_any_values_are_a_record_or_an_error(
        changes in prop::collection::vec((0..FIELDS.len(), prop::option::of(any_value())), 0..5),
        token in 0..u64::MAX,
    ) {
        let mut item = good(token, Some("10.0.0.1:80"));
        for (field, value) in changes {
            match value {
                Some(value) => item.insert(FIELDS[field].to_owned(), value),
                None => item.remove(FIELDS[field]),
            };
        }
        check(&item)?;
    }

    #[test]
    fn any_item_is_a_record_or_an_error(
        item in prop::collection::hash_map("[a-z_]{1,12}", any_value(), 0..12),
    ) {
        check(&item)?;
    }

    #[test]
    fn what_is_written_is_read(name in "[^\\p{Cc}]{1,40}", token in 1..u64::MAX) {
        let name = ResourceName::new(name).unwrap();
        let mut item = good(token, None);
        item.insert(SCOPE.to_owned(), scope_key(&name.scope()));
        item.insert(NAME.to_owned(), name_key(&name));
        let stored = DecodedItem::decode(&item).unwrap();
        prop_assert_eq!(&stored.name, &name);
        prop_assert_eq!(stored.found.record.token.get(), token);
        prop_assert_eq!(stored.found.record.ttl, Duration::from_secs(15));
    }
}

#[test]
fn a_token_that_was_raised_is_not_that_of_the_last_acquisition() {
    let mut raised = good(3, None);
    let token = AttributeValue::N("1764000000000".to_owned());
    raised.insert("token".to_owned(), token);
    let record = DecodedItem::decode(&raised).unwrap().found.record;
    let tokens: Vec<_> = record.history.iter().map(|line| line.token.get()).collect();
    assert_eq!((record.token.get(), tokens), (1_764_000_000_000, vec![3]));
}

#[test]
fn a_pause_a_hand_over_and_the_end_of_an_acquisition_are_read_as_they_are_written() {
    let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_764_000_000_001);
    for note in ["", "until the migration is done"] {
        let written = PauseRecord {
            note: Note::new(note).unwrap(),
            since: at,
        };
        let mut item = good(3, None);
        item.insert("pause".to_owned(), pause(&written));
        let to = AttributeValue::S("host-2".to_owned());
        item.insert("hand_over".to_owned(), to);
        item.insert("internal".to_owned(), AttributeValue::Bool(true));
        item.insert("e1".to_owned(), end(EndReason::MaxHold, at));
        let record = DecodedItem::decode(&item).unwrap().found.record;
        assert_eq!(record.pause, Some(written));
        assert_eq!(record.hand_over.unwrap().as_str(), "host-2");
        assert!(record.internal);
        let ended = record.history[0].ended.clone();
        let reason = EndReason::MaxHold;
        assert_eq!(ended, Some(AcquisitionEnd { at, reason }));
    }
}

/// Above 1 KB, every write costs two units.
#[test]
fn a_full_record_with_names_of_40_bytes_is_below_1_kb() {
    let name = "x".repeat(40);
    let holder = CandidateId::new(&name).unwrap();
    let late = SystemTime::UNIX_EPOCH + Duration::from_millis(1_764_000_000_000);
    let number = |number: u64| AttributeValue::N(number.to_string());
    let mut item = good(1_764_000_000_000, None);
    item.insert(NAME.to_owned(), AttributeValue::S(name.clone()));
    item.insert("holder".to_owned(), AttributeValue::S(name));
    item.insert("version".to_owned(), number(10_000_000_000));
    for index in 0..LeaseRecord::HISTORY {
        for (part, value) in [
            (HistoryPart::Line, line(&holder, late)),
            (HistoryPart::Token, number(1_764_000_000_000)),
            (HistoryPart::End, end(EndReason::SteppedDown, late)),
        ] {
            item.insert(part.name(index), value);
        }
    }
    // As the developer's guide of DynamoDB counts.
    let size = |value: &AttributeValue| match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(digits) => digits.trim_end_matches('0').len().div_ceil(2) + 1,
        AttributeValue::B(bytes) => bytes.as_ref().len(),
        AttributeValue::Bool(_) | AttributeValue::Null(_) => 1,
        other => panic!("{other:?}"),
    };
    let size: usize = item
        .iter()
        .map(|(name, value)| name.len() + size(value))
        .sum();
    assert!(size <= 1024, "{size} bytes");
}
