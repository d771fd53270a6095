use std::time::Duration;

use mongodb::bson::{Document, doc};

use super::{RENEWAL, all, binary, extended, is_unexpired, millis, writable};
use crate::{
    lease::{AttemptId, CandidateId, Lease, ResourceName, Scope},
    store::record::READER,
};

/// Whether a batch renews the leases whose record has an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Instructed {
    /// Their holders have to be told, so they are left out.
    Spared,
    Renewed,
}

/// The filter and the change that renew many leases.
pub(in super::super) fn renew_many(
    leases: &[&Lease],
    ttl: Duration,
    renewal: AttemptId,
    instructed: Instructed,
) -> (Document, Vec<Document>) {
    let names: Vec<_> = leases.iter().map(|lease| lease.resource.as_str()).collect();
    let keys: Vec<_> = leases.iter().map(|lease| renewal_key(lease)).collect();
    // The names find the documents by their index; the keys say which of them are still held.
    let mut filter = writable(doc! { "_id": { "$in": names } });
    filter.insert("key", doc! { "$in": keys });
    filter.insert("closing", false);
    filter.insert("$expr", is_unexpired());
    if instructed == Instructed::Spared {
        filter.insert("pause", doc! { "$eq": null });
        filter.insert("hand_over", doc! { "$eq": null });
    }
    let mut change = extended(ttl);
    change.insert(RENEWAL, binary(renewal));
    (filter, vec![doc! { "$set": change }])
}

/// The `key` of a record while it is held under this lease.
pub(in super::super) fn renewal_key(lease: &Lease) -> String {
    key_without_token(&lease.resource, &lease.holder) + &lease.token.get().to_string()
}

/// Names have no control characters, so two different leases never have the same key.
pub(super) fn key_without_token(resource: &ResourceName, holder: &CandidateId) -> String {
    format!("{resource}\u{1f}{holder}\u{1f}")
}

/// A filter for the records that a purge deletes. A document that is not a record is spared.
pub(in super::super) fn purge(scope: &Scope, untouched_for: Duration) -> Document {
    // Longer than any clock has run, and short enough for a BSON date.
    const MOST: i64 = 1_000_000_000_000_000;
    let untouched_for = millis(untouched_for).min(MOST);
    let long_ago = doc! { "$subtract": ["$$NOW", untouched_for] };
    let expired = doc! { "$lt": ["$expires_at", "$$NOW"] };
    doc! {
        "scope": scope.as_prefix(),
        "token": { "$type": ["int", "long"] },
        "holder": { "$type": ["string", "null"] },
        "expires_at": { "$type": "date" },
        "touched": { "$type": "date" },
        "history": { "$type": "array" },
        "pause": { "$type": "null" },
        "internal": false,
        "min_reader": { "$lte": READER as i32 },
        "$expr": all(vec![
            doc! { "$lte": ["$touched", long_ago] },
            doc! { "$or": [{ "$eq": ["$holder", null] }, expired] },
        ]),
    }
}
