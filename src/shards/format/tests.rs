use proptest::{collection::btree_set, option, prelude::*};

use super::*;

fn session(slot: u32, token: u64) -> Session {
    let token = FencingToken::new(token);
    Session { slot, token }
}

fn sessions() -> impl Strategy<Value = Session> {
    (0..5_u32, 1..4_u64).prop_map(|(slot, token)| session(slot, token))
}

const BASE: u64 = 1_796_000_000_000;

fn entries() -> impl Strategy<Value = Entry> {
    let token = option::of(1..100_u64);
    let last = option::of(0..5_u32);
    let avoid = btree_set(sessions(), 0..3);
    let owners = (option::of(sessions()), option::of(sessions()));
    (owners, token, any::<bool>(), avoid, last).prop_map(
        |((owner, next), made, detached, avoid, last)| Entry {
            owner,
            token: made.map(|made| FencingToken::new(BASE + made)),
            next,
            detached,
            avoid,
            last,
        },
    )
}

proptest! {
    #[test]
    fn a_bucket_is_read_as_it_was_written(entries in prop::collection::vec(entries(), 1..12)) {
        let mut bucket = Bucket::new(BASE, 0);
        bucket.entries = entries;
        let value = bucket.value().unwrap();
        prop_assert_eq!(Bucket::parse(value.as_str()).unwrap(), bucket);
    }
}

#[test]
fn unknown_fields_of_a_bucket_and_a_head_are_kept() {
    let text = Bucket::new(BASE, 2).value().unwrap();
    let text = text.as_str().replacen('{', "{\"hue\":[1,null],", 1);
    let mut bucket = Bucket::parse(&text).unwrap();
    bucket.entries[1].owner = Some(session(3, 7));
    let written = bucket.value().unwrap();
    assert!(written.as_str().contains("\"hue\":[1,null]"), "{written:?}");
    let text = Head::new(300).value().unwrap();
    let text = text.as_str().replacen('{', "{\"hue\":\"blue\",", 1);
    let mut head = Head::parse(&text).unwrap();
    head.round = 9;
    let written = head.value().unwrap();
    assert!(written.as_str().contains("\"hue\":\"blue\""), "{written:?}");
    assert_eq!(Head::parse(written.as_str()).unwrap(), head);
}

#[test]
fn a_register_of_a_newer_library_is_named_so_whatever_else_it_has() {
    for text in ["{\"min_reader\":2}", "{\"min_reader\":2,\"owner\":\"?\"}"] {
        let newer = FormatError::Newer { needed: 2 };
        assert_eq!(Bucket::parse(text).unwrap_err(), newer);
        assert_eq!(Head::parse(text).unwrap_err(), newer);
    }
    let says = FormatError::Newer { needed: 2 }.to_string();
    assert!(says.contains("update the library"), "{says}");
}

#[test]
fn a_damaged_register_is_refused_and_says_what_is_wrong() {
    for (columns, says) in [
        ("\"owner\":[0],\"made\":[]", "1 owners and 0 tokens"),
        ("\"owner\":[1],\"made\":[3]", "no session 1"),
        (
            "\"owner\":[0],\"made\":[3],\"next\":{\"1\":0}",
            "no shard 1",
        ),
        (
            "\"owner\":[0],\"made\":[3],\"next\":{\"0\":4}",
            "no session 4",
        ),
        (
            "\"owner\":[0],\"made\":[3],\"avoid\":{\"0\":[4]}",
            "no session 4",
        ),
        ("\"owner\":[0],\"made\":[3],\"detached\":[1]", "no shard 1"),
        (
            "\"owner\":[0],\"made\":[3],\"last\":{\"1\":0}",
            "no shard 1",
        ),
        ("\"owner\":[0],\"made\":[-3]", "invalid value"),
        ("\"owner\":[0]", "missing field `made`"),
    ] {
        let text = format!("{{\"min_reader\":1,\"base\":5,\"sessions\":[[0,1]],{columns}}}");
        let error = Bucket::parse(&text).unwrap_err().to_string();
        assert!(error.contains(says), "{columns}: {error}");
    }
    for head in [0, 65_537].map(Head::new) {
        let error = Head::parse(head.value().unwrap().as_str()).unwrap_err();
        assert!(error.to_string().contains("shards"), "{error}");
    }
    assert!(Head::parse("{}").is_err());
    assert!(Bucket::parse("").is_err());
}

#[test]
fn a_full_bucket_is_small_and_so_is_the_head_of_the_largest_group() {
    let mut bucket = Bucket::new(BASE, BUCKET);
    for (index, entry) in (0_u32..).zip(&mut bucket.entries) {
        entry.owner = Some(session(index % 40, BASE + 1_000_000));
        entry.token = Some(bucket_token(index));
        entry.next = index.is_multiple_of(10).then(|| session(41, BASE));
    }
    let bytes = bucket.value().unwrap().as_str().len();
    assert!(bytes <= 4096, "{bytes} bytes");
    let mut head = Head::new(65_536);
    assert_eq!(head.versions.len(), 256);
    head.versions.fill(1_000_000);
    let bytes = head.value().unwrap().as_str().len();
    assert!(bytes <= 2304, "{bytes} bytes");
}

fn bucket_token(index: u32) -> FencingToken {
    FencingToken::new(BASE + 1_000 + u64::from(index))
}

#[test]
fn the_last_bucket_has_the_rest() {
    assert_eq!(Head::new(1).versions, [0]);
    assert_eq!(Head::new(256).versions, [0]);
    assert_eq!(Head::new(257).versions, [0, 0]);
    assert_eq!(
        Bucket::new(BASE, 7).token_at(3),
        FencingToken::new(BASE + 3)
    );
}
