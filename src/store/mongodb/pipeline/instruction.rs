use mongodb::bson::{Bson, DateTime, Document, doc};

use super::{
    FilteredUpdate, binary, by_name, first_token, is_only_a_name, is_unexpired, stored,
    stored_token, when,
};
use crate::{
    lease::{AttemptId, CandidateId, FencingToken, Note, ResourceName},
    store::record::READER,
};

// None of them changes the version or the expiry.

pub(in super::super) fn hand_over(
    resource: &ResourceName,
    token: FencingToken,
    to: &CandidateId,
) -> FilteredUpdate {
    let mut filter = takes_instructions(resource);
    filter.insert("token", stored_token(token));
    filter.insert("holder", doc! { "$type": "string" });
    filter.insert("$expr", is_unexpired());
    let change = doc! {
        "$set": { "hand_over": to.as_str() },
        "$currentDate": { "touched": true },
    };
    (filter, change.into())
}

/// A pause of a record with this edition.
pub(in super::super) fn pause(
    resource: &ResourceName,
    note: &Note,
    edition: u64,
) -> FilteredUpdate {
    let change = doc! {
        "pause": paused(note),
        "edition": stored(edition) + 1,
        "touched": "$$NOW",
    };
    let filter = of_edition(resource, edition);
    (filter, vec![doc! { "$set": change }].into())
}

pub(in super::super) fn resume(resource: &ResourceName, edition: u64) -> FilteredUpdate {
    let change = doc! {
        "$set": { "pause": null, "edition": stored(edition) + 1 },
        "$currentDate": { "touched": true },
    };
    (of_edition(resource, edition), change.into())
}

/// An upsert that creates a paused record, and leaves one that is there as it is. Whether it did shows in the attempt: no
/// bid has this one.
pub(in super::super) fn pause_absent(
    resource: &ResourceName,
    note: &Note,
    attempt: AttemptId,
) -> Vec<Document> {
    let created = doc! {
        "_id": "$_id",
        "scope": { "$literal": resource.scope().as_prefix() },
        // As for an acquisition, so that the token never falls behind a record that was deleted.
        "token": first_token(),
        "version": 1_i64,
        "holder": null,
        "key": null,
        "attempt": binary(attempt),
        "ttl": 0_i64,
        "expires_at": DateTime::from_millis(0),
        "since": DateTime::from_millis(0),
        "closing": false,
        "pause": paused(note),
        "hand_over": null,
        "edition": first_token(),
        "internal": false,
        "touched": "$$NOW",
        "metadata": null,
        "last": null,
        "history": Bson::Array(vec![]),
        "min_reader": READER as i32,
    };
    vec![doc! { "$replaceWith": when(is_only_a_name(), created, "$$ROOT") }]
}

fn paused(note: &Note) -> Document {
    doc! { "note": { "$literal": note.as_str() }, "since": "$$NOW" }
}

fn takes_instructions(resource: &ResourceName) -> Document {
    let mut filter = by_name(resource);
    filter.insert("internal", false);
    filter.insert("min_reader", doc! { "$lte": READER as i32 });
    filter
}

/// A record that takes instructions and has the edition, if that can grow.
fn of_edition(resource: &ResourceName, edition: u64) -> Document {
    let mut filter = takes_instructions(resource);
    filter.insert("edition", stored(edition));
    filter
}
