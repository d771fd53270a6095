//! What is sent: the filters, and the pipelines that decide on the server, by its clock.
//!
//! Every text that comes from outside is wrapped in `$literal`, because an expression takes a string
//! that begins with `$` for the path of a field.

use std::time::Duration;

use mongodb::bson::{Binary, Bson, Document, doc, spec::BinarySubtype};

use crate::{
    lease::{AttemptId, Bid, Claim, FencingToken, Lease, LeaseRecord, Metadata, ResourceName},
    store::{Eviction, record::READER},
};

/// The fields of a record. Others are somebody else's and are kept.
const FIELDS: [&str; 13] = [
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

/// How many milliseconds are left of the lease, by the server's clock.
pub(super) const LEFT: &str = "tenure_left";
/// Whether the document is a record of ours that may be written; null where there is only a name.
pub(super) const FIT: &str = "tenure_fit";

pub(super) fn by_name(resource: &ResourceName) -> Document {
    doc! { "_id": resource.as_str() }
}

/// Our fields, and what only the server can tell of them. Whether a record may be written is asked
/// with the name that it should have.
pub(super) fn view(to_write: Option<&ResourceName>) -> Document {
    let mut view: Document = FIELDS
        .iter()
        .map(|field| ((*field).into(), 1.into()))
        .collect();
    let left = doc! { "$subtract": ["$expires_at", "$$NOW"] };
    view.insert(
        LEFT,
        when(has_type("$expires_at", &["date"]), left, Bson::Null),
    );
    let fit = to_write.map_or_else(|| true.into(), |resource| Bson::from(is_fit(resource)));
    view.insert(FIT, when(is_only_a_name(), Bson::Null, fit));
    view
}

/// The whole bid. Its one stage computes every field from the document as it was, so that what is
/// decided and what is stored cannot disagree; a refusal yields the document itself, which the server
/// takes for no change and does not log. `$$NOW` would be one: nothing of a refusal holds it.
pub(super) fn acquire(bid: &Bid) -> Vec<Document> {
    let candidate = doc! { "$literal": bid.candidate.as_str() };
    let attempt = doc! { "$literal": binary(bid.attempt) };
    let metadata = bid.metadata.as_ref().map(Metadata::as_str);
    let own_attempt = doc! { "$eq": ["$attempt", attempt.clone()] };
    let mine =
        doc! { "$and": [{ "$eq": ["$holder", candidate.clone()] }, { "$not": ["$closing"] }] };
    let is_free = doc! { "$eq": ["$holder", null] };
    let held = is_held();
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
    let case = |case: Document, then: Bson| doc! { "case": case, "then": then };
    let changed = |fields: Document| doc! { "$mergeObjects": ["$$ROOT", fields] };
    let (extended, taken) = (changed(extended), Bson::from(changed(taken)));
    let untouched = || Bson::from("$$ROOT");
    // The same order as in `StoredRecord::acquire`.
    let decision = doc! { "$switch": {
        "branches": [
            case(is_only_a_name(), taken.clone()),
            case(doc! { "$not": [is_fit(&bid.resource)] }, untouched()),
            case(doc! { "$and": [&held, &mine, &own_attempt] }, extended.into()),
            // A spent attempt: its holder was cleared, so a copy of its bid comes too late.
            case(doc! { "$and": [own_attempt, is_free] }, untouched()),
            case(
                doc! { "$and": [held, { "$not": [{ "$and": [mine, bid.reentrant] }] }] },
                untouched(),
            ),
        ],
        "default": taken,
    } };
    vec![doc! { "$replaceWith": decision }]
}

/// A filter that matches only where the change may be made, and the change.
pub(super) type Change = (Document, Vec<Document>);

pub(super) fn renew(lease: &Lease, ttl: Duration) -> Change {
    let mut filter = by_lease(lease);
    filter.insert("closing", false);
    filter.insert(
        "$expr",
        doc! { "$and": [is_fit(&lease.resource), is_held()] },
    );
    let change = doc! {
        "ttl": millis(ttl),
        "expires_at": { "$add": ["$$NOW", millis(ttl)] },
    };
    (filter, set(change))
}

pub(super) fn release(claim: &Claim) -> Change {
    let mut filter = match claim {
        Claim::Lease(lease) => by_lease(lease),
        Claim::Attempt { resource, attempt } => {
            let mut filter = by_name(resource);
            filter.insert("attempt", binary(*attempt));
            filter.insert("holder", doc! { "$type": "string" });
            filter
        }
    };
    filter.insert("$expr", is_fit(claim.resource()));
    (filter, set(doc! { "holder": null, "closing": false }))
}

pub(super) fn evict(resource: &ResourceName, token: FencingToken, eviction: Eviction) -> Change {
    let mut filter = by_name(resource);
    filter.insert("token", stored(token));
    filter.insert("$expr", doc! { "$and": [is_fit(resource), is_held()] });
    // Stays set after a forced eviction, so that the loser can tell it from an expiry.
    let mut change = doc! { "closing": true };
    if eviction == Eviction::Force {
        change.insert("holder", Bson::Null);
    }
    (filter, set(change))
}

fn set(mut change: Document) -> Vec<Document> {
    change.insert("version", grown("$version"));
    vec![doc! { "$set": change }]
}

fn by_lease(lease: &Lease) -> Document {
    let mut filter = by_name(&lease.resource);
    filter.insert("token", stored(lease.token));
    filter.insert("holder", lease.holder.as_str());
    filter
}

/// A token that no document holds where it is none of ours.
fn stored(token: FencingToken) -> i64 {
    i64::try_from(token.get()).unwrap_or(-1)
}

fn binary(attempt: AttemptId) -> Binary {
    Binary {
        subtype: BinarySubtype::Generic,
        bytes: attempt.get().to_be_bytes().to_vec(),
    }
}

/// Rounded up, because it is for others: the holder counts its own time.
fn millis(ttl: Duration) -> i64 {
    // A moment of this size still fits into a date.
    const MOST: i64 = i64::MAX / 2;
    i64::try_from(ttl.as_nanos().div_ceil(1_000_000)).map_or(MOST, |millis| millis.min(MOST))
}

fn grown(field: &str) -> Document {
    doc! { "$add": [{ "$ifNull": [field, 0_i64] }, 1_i64] }
}

/// `$$NOW` is cut to the millisecond, at the grant as well: a lease is held through the whole of its
/// last one, or it would be up to 1 ms too short.
fn is_held() -> Document {
    doc! { "$and": [has_type("$holder", &["string"]), { "$gte": ["$expires_at", "$$NOW"] }] }
}

/// As [`Metadata`] and the names check it.
const MAX_METADATA: i32 = 4096;
const MAX_NAME: i32 = 255;

/// What an upsert begins with.
fn is_only_a_name() -> Document {
    doc! { "$eq": [{ "$size": { "$objectToArray": "$$ROOT" } }, 1] }
}

/// Whether a document is a record of ours, whole, and for libraries as old as this one. `document`
/// checks the same when it reads; here it keeps the server from writing into anything else.
fn is_fit(resource: &ResourceName) -> Document {
    let grows = |field: &str| {
        let in_range = doc! { "$and": [{ "$gte": [field, 0] }, { "$lt": [field, i64::MAX] }] };
        when(has_type(field, &["int", "long"]), in_range, false)
    };
    let attempt = when(
        has_type("$attempt", &["binData"]),
        doc! { "$eq": [{ "$binarySize": "$attempt" }, 16] },
        has_type("$attempt", &["null"]),
    );
    let metadata = when(
        has_type("$metadata", &["string"]),
        doc! { "$lte": [{ "$strLenBytes": "$metadata" }, MAX_METADATA] },
        has_type("$metadata", &["null"]),
    );
    let entry = doc! { "$and": [
        grows("$$entry.token"),
        is_name("$$entry.holder"),
        has_type("$$entry.since", &["date"]),
    ] };
    let entries = doc! { "$map": { "input": "$history", "as": "entry", "in": entry } };
    doc! { "$and": [
        { "$eq": ["$scope", { "$literal": resource.scope().as_prefix() }] },
        grows("$token"),
        grows("$version"),
        grows("$ttl"),
        when(has_type("$holder", &["null"]), true, is_name("$holder")),
        attempt,
        has_type("$expires_at", &["date"]),
        has_type("$since", &["date"]),
        has_type("$closing", &["bool"]),
        metadata,
        when(has_type("$history", &["array"]), doc! { "$allElementsTrue": [entries] }, false),
        when(
            has_type("$min_reader", &["int", "long"]),
            doc! { "$lte": ["$min_reader", READER as i32] },
            false,
        ),
    ] }
}

fn is_name(field: &str) -> Document {
    let length = doc! { "$strLenBytes": field };
    let has_control = doc! { "$regexMatch": { "input": field, "regex": "\\p{Cc}" } };
    let is_name = doc! { "$and": [
        { "$gte": [length.clone(), 1] },
        { "$lte": [length, MAX_NAME] },
        { "$not": [has_control] },
    ] };
    when(has_type(field, &["string"]), is_name, false)
}

fn has_type(field: &str, types: &[&str]) -> Document {
    doc! { "$in": [{ "$type": field }, types] }
}

/// Evaluates only one of the two, so that neither meets a value that would fail the command.
fn when(condition: Document, then: impl Into<Bson>, otherwise: impl Into<Bson>) -> Document {
    doc! { "$cond": [condition, then.into(), otherwise.into()] }
}
