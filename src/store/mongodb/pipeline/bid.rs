use std::sync::LazyLock;

use mongodb::bson::{Bson, Document, doc};

use super::{
    EARLIER, all, batch::key_without_token, binary, extended, first_token, has_type,
    is_only_a_name, is_unexpired, stored_token, when,
};
use crate::{
    lease::{Bid, Metadata},
    store::record::READER,
};

/// The whole bid. Its one stage computes every field from the document as it was, so that the decision and the
/// stored fields cannot disagree. A refusal yields the document itself: the server sees no change and logs
/// nothing. So a refusal must not contain `$$NOW`, which would be a change.
pub(in super::super) fn acquire(bid: &Bid) -> Vec<Document> {
    let candidate = doc! { "$literal": bid.candidate.as_str() };
    let own_attempt = doc! { "$eq": ["$attempt", binary(bid.attempt)] };
    let mine = vec![
        doc! { "$eq": ["$holder", candidate.clone()] },
        doc! { "$not": ["$closing"] },
    ];
    let changed = |fields: Document| doc! { "$mergeObjects": ["$$ROOT", fields] };
    let untouched = "$$ROOT";
    // The same as in `StoredRecord::acquire`. A document with only a name is not held.
    let mut own_lease = mine.clone();
    if let (false, Some(token)) = (bid.reentrant, bid.replaces) {
        own_lease.push(doc! { "$eq": ["$token", stored_token(token)] });
    }
    let by_another_attempt = if bid.reentrant || bid.replaces.is_some() {
        when(all(own_lease), changed(taken(bid)), untouched).into()
    } else {
        Bson::from(untouched)
    };
    let mut extends = mine;
    extends.push(own_attempt.clone());
    let if_held = when(all(extends), changed(extended(bid.ttl)), by_another_attempt);
    // The attempt was released, so this is a delayed copy of its bid.
    let is_spent = all(vec![own_attempt, doc! { "$eq": ["$holder", null] }]);
    let may_take = all(vec![may_bid_now(bid), doc! { "$not": [is_spent] }]);
    let if_free = when(may_take, changed(taken(bid)), untouched);
    let is_held = all(vec![has_type("$holder", "string"), is_unexpired()]);
    let mut conditions = vec![doc! { "$or": [is_fit(), is_only_a_name()] }];
    if !bid.internal {
        // Null and a missing field come before every other value, so a damaged pause refuses the bid, too.
        conditions.push(doc! { "$lte": ["$pause", null] });
    }
    let decision = when(all(conditions), when(is_held, if_held, if_free), untouched);
    vec![doc! { "$replaceWith": decision }]
}

/// Whether the lease was not handed over to another candidate, or this one has let that one bid first.
fn may_bid_now(bid: &Bid) -> Document {
    let to = doc! { "$ifNull": ["$hand_over", null] };
    let mine = doc! { "$in": [to, [null, { "$literal": bid.candidate.as_str() }]] };
    match bid.waited {
        Some(token) => doc! { "$or": [mine, { "$eq": ["$token", stored_token(token)] }] },
        None => mine,
    }
}

/// The fields of a new acquisition.
fn taken(bid: &Bid) -> Document {
    let candidate = doc! { "$literal": bid.candidate.as_str() };
    let key = key_without_token(&bid.resource, &bid.candidate);
    let metadata = bid.metadata.as_ref().map(Metadata::as_str);
    let mut fields = extended(bid.ttl);
    fields.extend(doc! {
        "scope": { "$literal": bid.resource.scope().as_prefix() },
        "token": "$$token",
        "holder": candidate.clone(),
        "key": { "$concat": [{ "$literal": key }, { "$toString": "$$token" }] },
        "attempt": binary(bid.attempt),
        "since": "$$NOW",
        "closing": false,
        "pause": { "$ifNull": ["$pause", null] },
        "hand_over": null,
        "edition": { "$ifNull": ["$edition", first_token()] },
        "internal": bid.internal,
        "touched": "$$NOW",
        "metadata": { "$literal": metadata },
        "history": { "$slice": [
            { "$concatArrays": [
                { "$ifNull": ["$history", []] },
                when(doc! { "$gt": ["$last", null] }, vec!["$last"], Bson::Array(vec![])),
            ] },
            -(EARLIER as i32),
        ] },
        "last": { "token": "$$token", "holder": candidate, "since": "$$NOW" },
        "min_reader": { "$ifNull": ["$min_reader", READER as i32] },
    });
    let last = doc! { "$ifNull": ["$token", { "$subtract": [first_token(), 1_i64] }] };
    let token = doc! { "$add": [last, 1_i64] };
    doc! { "$let": { "vars": { "token": token }, "in": fields } }
}

/// Whether a document is a record that this version of the library may write, as far as a bid depends on it: what the
/// bid reads, and what it counts up or adds to. It replaces all other fields. When `document` reads a document that
/// fails here, it finds the same fault.
///
/// It is built once, and checks types together: building, sending and parsing the parts costs much more than
/// computing them.
fn is_fit() -> Document {
    static FIT: LazyLock<Document> = LazyLock::new(|| {
        let types = doc! { "$eq": [
            [{ "$type": "$expires_at" }, { "$type": "$closing" }, { "$type": "$history" }],
            ["date", "bool", "array"],
        ] };
        let whole = doc! { "$setIsSubset": [
            [{ "$type": "$token" }, { "$type": "$version" }, { "$type": "$min_reader" }],
            ["int", "long"],
        ] };
        all(vec![
            types,
            whole,
            doc! { "$in": [{ "$type": "$holder" }, ["string", "null"]] },
            doc! { "$gte": [{ "$min": ["$token", "$version", "$min_reader"] }, 0] },
            doc! { "$lt": [{ "$max": ["$token", "$version"] }, i64::MAX] },
            doc! { "$lte": ["$min_reader", READER as i32] },
        ])
    });
    FIT.clone()
}
