use std::time::Duration;

use mongodb::{
    bson::{Bson, Document, doc},
    options::UpdateModifications,
};

use super::{binary, by_name, extended, is_unexpired, stored_token, writable};
use crate::{
    lease::{EndReason, FencingToken, Lease, ReleaseTarget, ResourceName},
    store::EvictionMode,
};

/// A filter that matches only if the change is allowed, and the change.
pub(in super::super) type FilteredUpdate = (Document, UpdateModifications);

pub(in super::super) fn renew(lease: &Lease, ttl: Duration) -> FilteredUpdate {
    let mut filter = by_lease(lease);
    filter.insert("closing", false);
    filter.insert("$expr", is_unexpired());
    (filter, vec![doc! { "$set": extended(ttl) }].into())
}

/// A write that only raises the version, with the filter of a renewal. A read alone would not conflict with a
/// takeover.
pub(in super::super) fn confirm(lease: &Lease) -> FilteredUpdate {
    let (filter, _) = renew(lease, Duration::ZERO);
    // Without a `$set`, which must not be empty before MongoDB 5.0.
    (filter, doc! { "$inc": { "version": 1_i64 } }.into())
}

pub(in super::super) fn release(
    claim: &ReleaseTarget,
    reason: Option<EndReason>,
) -> FilteredUpdate {
    let mut filter = match claim {
        ReleaseTarget::Lease(lease) => by_lease(lease),
        ReleaseTarget::Attempt { resource, attempt } => {
            let mut filter = writable(by_name(resource));
            filter.insert("attempt", binary(*attempt));
            filter.insert("holder", doc! { "$type": "string" });
            filter
        }
        ReleaseTarget::Holder { resource, holder } => {
            let mut filter = writable(by_name(resource));
            filter.insert("holder", holder.as_str());
            filter
        }
    };
    if reason.is_some() {
        filter.insert(LAST, doc! { "$type": "object" });
    }
    let change = doc! { "holder": null, "key": null, "closing": false };
    (filter, ended(change, reason))
}

pub(in super::super) fn evict(
    resource: &ResourceName,
    token: FencingToken,
    eviction: EvictionMode,
) -> FilteredUpdate {
    let mut filter = writable(by_name(resource));
    filter.insert("token", stored_token(token));
    filter.insert("holder", doc! { "$type": "string" });
    filter.insert("$expr", is_unexpired());
    filter.insert(LAST, doc! { "$type": "object" });
    // A forced eviction sets it, too, so that the former holder can tell the eviction from an expiry.
    let mut change = doc! { "closing": true };
    if eviction == EvictionMode::Force {
        change.insert("holder", Bson::Null);
        change.insert("key", Bson::Null);
    }
    (filter, ended(change, Some(EndReason::Evicted)))
}

/// The last acquisition, in which its end is noted.
const LAST: &str = "last";

/// A plain update, because a pipeline costs more. It notes how the acquisition ended.
fn ended(mut change: Document, reason: Option<EndReason>) -> UpdateModifications {
    let mut now = doc! { "touched": true };
    if let Some(reason) = reason {
        change.insert("last.ended_reason", reason.as_str());
        now.insert("last.ended_at", true);
    }
    doc! { "$set": change, "$currentDate": now, "$inc": { "version": 1_i64 } }.into()
}

fn by_lease(lease: &Lease) -> Document {
    let mut filter = writable(by_name(&lease.resource));
    filter.insert("token", stored_token(lease.token));
    filter.insert("holder", lease.holder.as_str());
    filter
}
