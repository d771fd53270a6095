//! The filters and pipelines that are sent. The pipelines decide on the server, by its clock.
//!
//! Every string from outside is wrapped in `$literal`, because an expression takes a string that begins with `$`
//! for the path of a field.

use std::{sync::LazyLock, time::Duration};

use mongodb::{
    bson::{Binary, Bson, Document, doc, spec::BinarySubtype},
    options::UpdateModifications,
};

use crate::{
    lease::{
        AttemptId, Bid, FencingToken, Lease, LeaseRecord, Metadata, ReleaseTarget, ResourceName,
    },
    store::{EvictionMode, record::READER},
};

/// The fields of a record. All other fields are kept.
pub(super) const FIELDS: [&str; 13] = [
    "_id",
    "scope",
    "token",
    "version",
    "holder",
    "attempt",
    "ttl",
    "expires_at",
    "since",
    "closing",
    "metadata",
    "history",
    "min_reader",
];

/// The time by the server's clock.
pub(super) const NOW: &str = "tenure_now";
/// Whether the document has only its name, so that it is not a record yet.
pub(super) const BARE: &str = "tenure_bare";

pub(super) fn by_name(resource: &ResourceName) -> Document {
    doc! { "_id": resource.as_str() }
}

/// The projection of a record: our fields, and what only the server can compute.
pub(super) fn view() -> Document {
    let mut view = view_after_bid();
    view.insert(BARE, is_only_a_name());
    view
}

/// The projection after a bid, when the document has more than a name.
pub(super) fn view_after_bid() -> Document {
    let mut view: Document = FIELDS
        .iter()
        .map(|field| ((*field).into(), 1.into()))
        .collect();
    view.insert(NOW, "$$NOW");
    view
}

/// The whole bid. Its one stage computes every field from the document as it was, so that the decision and the
/// stored fields cannot disagree. A refusal yields the document itself: the server sees no change and logs
/// nothing. So a refusal must not contain `$$NOW`, which would be a change.
pub(super) fn acquire(bid: &Bid) -> Vec<Document> {
    let candidate = doc! { "$literal": bid.candidate.as_str() };
    let attempt = binary(bid.attempt);
    let metadata = bid.metadata.as_ref().map(Metadata::as_str);
    let own_attempt = doc! { "$eq": ["$attempt", attempt.clone()] };
    let mine = vec![
        doc! { "$eq": ["$holder", candidate.clone()] },
        doc! { "$not": ["$closing"] },
    ];
    let extended = doc! {
        "ttl": millis(bid.ttl),
        "expires_at": { "$add": ["$$NOW", millis(bid.ttl)] },
        "version": grown("$version"),
    };
    let mut taken = extended.clone();
    taken.extend(doc! {
        "scope": { "$literal": bid.resource.scope().as_prefix() },
        "token": grown("$token"),
        "holder": candidate.clone(),
        "attempt": attempt,
        "since": "$$NOW",
        "closing": false,
        "metadata": { "$literal": metadata },
        "history": { "$slice": [
            { "$concatArrays": [
                { "$ifNull": ["$history", []] },
                [{ "token": grown("$token"), "holder": candidate, "since": "$$NOW" }],
            ] },
            -(LeaseRecord::HISTORY as i32),
        ] },
        "min_reader": { "$ifNull": ["$min_reader", READER as i32] },
    });
    let changed = |fields: Document| doc! { "$mergeObjects": ["$$ROOT", fields] };
    let untouched = "$$ROOT";
    // The same as in `StoredRecord::acquire`. A document with only a name is not held.
    let by_another_attempt = if bid.reentrant {
        when(all(mine.clone()), changed(taken.clone()), untouched).into()
    } else {
        Bson::from(untouched)
    };
    let mut extends = mine;
    extends.push(own_attempt.clone());
    let if_held = when(all(extends), changed(extended), by_another_attempt);
    // The attempt was released, so this is a delayed copy of its bid.
    let is_spent = all(vec![own_attempt, doc! { "$eq": ["$holder", null] }]);
    let if_free = when(is_spent, untouched, changed(taken));
    let decision = when(
        doc! { "$or": [is_fit(&bid.resource), is_only_a_name()] },
        when(is_held(), if_held, if_free),
        untouched,
    );
    vec![doc! { "$replaceWith": decision }]
}

/// A filter that matches only if the change is allowed, and the change.
pub(super) type FilteredUpdate = (Document, UpdateModifications);

pub(super) fn renew(lease: &Lease, ttl: Duration) -> FilteredUpdate {
    let mut filter = by_lease(lease);
    filter.insert("closing", false);
    filter.insert("$expr", all(vec![is_fit(&lease.resource), is_held()]));
    let change = doc! {
        "ttl": millis(ttl),
        "expires_at": { "$add": ["$$NOW", millis(ttl)] },
        "version": grown("$version"),
    };
    (filter, vec![doc! { "$set": change }].into())
}

/// A write that only raises the version, with the filter of a renewal. A read alone would not conflict with a
/// takeover.
pub(super) fn confirm(lease: &Lease) -> FilteredUpdate {
    let (filter, _) = renew(lease, Duration::ZERO);
    // Without a `$set`, which must not be empty before MongoDB 5.0.
    (filter, doc! { "$inc": { "version": 1_i64 } }.into())
}

pub(super) fn release(claim: &ReleaseTarget) -> FilteredUpdate {
    let mut filter = match claim {
        ReleaseTarget::Lease(lease) => by_lease(lease),
        ReleaseTarget::Attempt { resource, attempt } => {
            let mut filter = by_name(resource);
            filter.insert("attempt", binary(*attempt));
            filter.insert("holder", doc! { "$type": "string" });
            filter
        }
        ReleaseTarget::Holder { resource, holder } => {
            let mut filter = by_name(resource);
            filter.insert("holder", holder.as_str());
            filter
        }
    };
    filter.insert("$expr", is_fit(claim.resource()));
    (filter, set(doc! { "holder": null, "closing": false }))
}

pub(super) fn evict(
    resource: &ResourceName,
    token: FencingToken,
    eviction: EvictionMode,
) -> FilteredUpdate {
    let mut filter = by_name(resource);
    filter.insert("token", stored(token));
    filter.insert("$expr", all(vec![is_fit(resource), is_held()]));
    // A forced eviction sets it, too, so that the former holder can tell the eviction from an expiry.
    let mut change = doc! { "closing": true };
    if eviction == EvictionMode::Force {
        change.insert("holder", Bson::Null);
    }
    (filter, set(change))
}

/// A plain update for changes that need no clock, because a pipeline costs more.
fn set(change: Document) -> UpdateModifications {
    doc! { "$set": change, "$inc": { "version": 1_i64 } }.into()
}

fn by_lease(lease: &Lease) -> Document {
    let mut filter = by_name(&lease.resource);
    filter.insert("token", stored(lease.token));
    filter.insert("holder", lease.holder.as_str());
    filter
}

/// The token as it is stored, or -1, which no document has, if it is too large to be stored.
fn stored(token: FencingToken) -> i64 {
    i64::try_from(token.get()).unwrap_or(-1)
}

fn binary(attempt: AttemptId) -> Binary {
    Binary {
        subtype: BinarySubtype::Generic,
        bytes: attempt.get().to_be_bytes().to_vec(),
    }
}

/// The ttl in milliseconds, rounded up so that no challenger takes the lease early. The holder uses its own,
/// exact ttl.
fn millis(ttl: Duration) -> i64 {
    // The largest ttl whose expiry still fits into a BSON date.
    const MOST: i64 = i64::MAX / 2;
    i64::try_from(ttl.as_nanos().div_ceil(1_000_000)).map_or(MOST, |millis| millis.min(MOST))
}

fn grown(field: &str) -> Document {
    doc! { "$add": [{ "$ifNull": [field, 0_i64] }, 1_i64] }
}

/// `$$NOW` is truncated to milliseconds, also at the grant. So a lease is held through its whole last
/// millisecond; otherwise it would be up to 1 ms too short.
fn is_held() -> Document {
    doc! { "$and": [has_type("$holder", "string"), { "$gte": ["$expires_at", "$$NOW"] }] }
}

/// As [`Metadata`] and the names check it.
const MAX_METADATA: i32 = 4096;
const MAX_NAME: i32 = 255;

/// Whether the document has only its name, as an upsert starts with.
fn is_only_a_name() -> Document {
    doc! { "$eq": [{ "$size": { "$objectToArray": "$$ROOT" } }, 1] }
}

/// Whether a document is a complete record that this version of the library may write. It keeps the
/// server from writing into any other document. When `document` reads such a document, it finds the same fault.
///
/// It is part of every request. Building, sending and parsing its parts costs much more than computing them. So
/// it is built once, it checks all types together, and it checks the last acquisition as one more entry of the
/// history.
fn is_fit(resource: &ResourceName) -> Document {
    static WHOLE: LazyLock<Document> = LazyLock::new(is_whole);
    let scope = doc! { "$literal": resource.scope().as_prefix() };
    all(vec![doc! { "$eq": ["$scope", scope] }, WHOLE.clone()])
}

/// Whether every field is valid, except the scope.
fn is_whole() -> Document {
    let types = doc! { "$eq": [
        [
            { "$type": "$expires_at" },
            { "$type": "$since" },
            { "$type": "$closing" },
            { "$type": "$history" },
        ],
        ["date", "date", "bool", "array"],
    ] };
    let whole = doc! { "$setIsSubset": [
        [
            { "$type": "$token" },
            { "$type": "$version" },
            { "$type": "$ttl" },
            { "$type": "$min_reader" },
        ],
        ["int", "long"],
    ] };
    // Each may be null. Then a valid value takes its place.
    let optional = doc! { "$and": [
        { "$in": [{ "$type": "$attempt" }, ["binData", "null"]] },
        { "$in": [{ "$type": "$metadata" }, ["string", "null"]] },
    ] };
    let attempt = doc! { "$binarySize": { "$ifNull": ["$attempt", "16 bytes instead"] } };
    // Binary values are compared by length, then by subtype: only the generic subtype, which is 0, and null are
    // not larger.
    let last_attempt = binary(AttemptId::new(u128::MAX));
    let metadata = doc! { "$strLenBytes": { "$ifNull": ["$metadata", ""] } };
    let last = doc! { "token": "$token", "holder": "$holder", "since": "$since" };
    // A free lease has no holder to check.
    let last = when(has_type("$holder", "null"), Bson::Array(vec![]), vec![last]);
    let entry = doc! { "$and": [
        { "$in": [{ "$type": "$$this.token" }, ["int", "long"]] },
        { "$gte": ["$$this.token", 0] },
        { "$lt": ["$$this.token", i64::MAX] },
        has_type("$$this.since", "date"),
        is_name("$$this.holder"),
    ] };
    let entries = doc! { "$map": {
        "input": { "$concatArrays": ["$history", last] },
        "as": "this",
        "in": entry,
    } };
    let rest = doc! { "$and": [
        { "$gte": [{ "$min": ["$token", "$version", "$ttl", "$min_reader"] }, 0] },
        { "$lt": [{ "$max": ["$token", "$version", "$ttl"] }, i64::MAX] },
        { "$lte": ["$min_reader", READER as i32] },
        { "$eq": [attempt, 16] },
        { "$lte": ["$attempt", last_attempt] },
        { "$lte": [metadata, MAX_METADATA] },
        { "$allElementsTrue": [entries] },
    ] };
    when(doc! { "$and": [types, whole, optional] }, rest, false)
}

fn is_name(field: &str) -> Document {
    let is_name = doc! { "$and": [
        { "$lte": [{ "$strLenBytes": field }, MAX_NAME] },
        { "$regexMatch": { "input": field, "regex": "^\\P{Cc}+\\z" } },
    ] };
    when(has_type(field, "string"), is_name, false)
}

fn all(conditions: Vec<Document>) -> Document {
    doc! { "$and": conditions }
}

fn has_type(field: &str, name: &str) -> Document {
    doc! { "$eq": [{ "$type": field }, name] }
}

/// Evaluates only one of the two, so that neither gets a value on which the command would fail.
fn when(condition: Document, then: impl Into<Bson>, otherwise: impl Into<Bson>) -> Document {
    doc! { "$cond": [condition, then.into(), otherwise.into()] }
}
