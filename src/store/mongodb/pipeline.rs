//! The filters and pipelines that are sent. The pipelines decide on the server, by its clock.
//!
//! Every string from outside is wrapped in `$literal`, because an expression takes a string that begins with `$`
//! for the path of a field.
//!
//! A request checks only what it reads or counts up, because the server spends more time on a check of the whole
//! record than on the write. The rest is checked when `document` reads the record.

mod batch;
mod bid;
mod change;
mod instruction;

pub(super) use self::{
    batch::{Instructed, purge, renew_many, renewal_key},
    bid::acquire,
    change::{FilteredUpdate, confirm, evict, release, renew},
    instruction::{hand_over, pause, pause_absent, resume},
};

use std::time::Duration;

use mongodb::bson::{Binary, Bson, Document, doc, spec::BinarySubtype};

use crate::{
    lease::{AttemptId, FencingToken, LeaseRecord, ResourceName},
    store::record::READER,
};

/// The fields of a record. All other fields are kept.
pub(super) const FIELDS: [&str; 19] = [
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
    "pause",
    "hand_over",
    "edition",
    "internal",
    "touched",
    "metadata",
    "last",
    "history",
    "min_reader",
];

/// Who holds the lease under which token, as one value, so that a filter of many leases accepts no mixed pair. It is
/// null while the lease is free.
pub(super) const KEY: &str = "key";
/// The batch of renewals that has written the record last.
pub(super) const RENEWAL: &str = "renewal";

/// The time by the server's clock.
pub(super) const NOW: &str = "tenure_now";
/// Whether the document has only its name, so that it is not a record yet.
pub(super) const BARE: &str = "tenure_bare";

/// How many acquisitions before the last one a record keeps.
pub(super) const EARLIER: usize = LeaseRecord::HISTORY - 1;

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

/// A filter for the records that this version of the library may write, and whose version can grow.
fn writable(mut filter: Document) -> Document {
    filter.insert("min_reader", doc! { "$lte": READER as i32 });
    filter.insert("version", doc! { "$lt": i64::MAX });
    filter
}

/// A value as it is stored, or -1, which no document has, if it is too large to be stored or to grow.
fn stored(number: u64) -> i64 {
    let stored = i64::try_from(number).ok().filter(|it| *it < i64::MAX);
    stored.unwrap_or(-1)
}

fn stored_token(token: FencingToken) -> i64 {
    stored(token.get())
}

fn binary(attempt: AttemptId) -> Binary {
    Binary {
        subtype: BinarySubtype::Generic,
        bytes: attempt.get().to_be_bytes().to_vec(),
    }
}

/// The ttl in milliseconds, rounded up so that no challenger takes the lease early. The holder uses its own,
/// exact ttl.
pub(super) fn millis(ttl: Duration) -> i64 {
    // The largest ttl whose expiry still fits into a BSON date.
    const MOST: i64 = i64::MAX / 2;
    i64::try_from(ttl.as_nanos().div_ceil(1_000_000)).map_or(MOST, |millis| millis.min(MOST))
}

/// The fields that give a lease a whole ttl from now on.
fn extended(ttl: Duration) -> Document {
    doc! {
        "ttl": millis(ttl),
        "expires_at": { "$add": ["$$NOW", millis(ttl)] },
        "version": { "$add": [{ "$ifNull": ["$version", 0_i64] }, 1_i64] },
    }
}

/// The first token of a record: milliseconds since 1970.
fn first_token() -> Document {
    doc! { "$toLong": "$$NOW" }
}

/// `$$NOW` is truncated to milliseconds, also at the grant. So a lease is held through its whole last
/// millisecond; otherwise it would be up to 1 ms too short.
fn is_unexpired() -> Document {
    doc! { "$gte": ["$expires_at", "$$NOW"] }
}

/// Whether the document has only its name, as an upsert starts with.
fn is_only_a_name() -> Document {
    doc! { "$eq": [{ "$size": { "$objectToArray": "$$ROOT" } }, 1] }
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
