//! What each change requires of the item.

use std::borrow::Cow;

use aws_sdk_dynamodb::types::AttributeValue;

use super::{super::item, Values};
use crate::{
    lease::{Bid, CandidateId, FencingToken, ReleaseTarget},
    store::{
        observed::{RecordChange, WriteCondition},
        record::{READER, StoredRecord},
    },
};

const ABSENT: &str = "attribute_not_exists(#scope)";

/// Whether the item is a record that this version of the library may write. A bid checks only this, because it
/// replaces everything else.
const OURS: &str = "#token BETWEEN :zero AND :max AND version BETWEEN :zero AND :max \
     AND min_reader BETWEEN :zero AND :reader";

/// Whether the other attributes are valid. It keeps the server from writing into a damaged record; `item` checks
/// the same and more when it reads.
const WHOLE: &str = "ttl_ms BETWEEN :zero AND :max AND since_ms BETWEEN :zero AND :max \
     AND touched_ms BETWEEN :zero AND :max AND edition BETWEEN :zero AND :max \
     AND attribute_type(closing, :boolean) \
     AND (attribute_not_exists(holder) OR attribute_type(holder, :string)) \
     AND (attribute_not_exists(metadata) OR attribute_type(metadata, :string)) \
     AND (attribute_not_exists(hand_over) OR attribute_type(hand_over, :string)) \
     AND (attribute_not_exists(attempt) OR attribute_type(attempt, :binary))";

/// A renewal checks only what it depends on, so that it stays short. The names and values that are needed to
/// check all would be half of the request.
const RENEWABLE_UNINSTRUCTED: &str = "#token = :token AND holder = :holder AND closing = :false \
     AND version BETWEEN :one AND :max AND min_reader BETWEEN :zero AND :reader \
     AND attribute_not_exists(pause) AND attribute_not_exists(hand_over)";

/// The condition of a change: that of its guard, and, if it grants a bid, that no instruction refuses it.
pub(super) fn of_write(
    change: &RecordChange,
    guard: &WriteCondition,
    values: &mut Values,
) -> Cow<'static, str> {
    let condition = expression(guard, values);
    // There is no instruction in an item that does not exist.
    let Some(bid) = change
        .bid()
        .filter(|_| !matches!(guard, WriteCondition::Absent))
    else {
        return condition;
    };
    let mut instructed = String::new();
    if !bid.internal {
        instructed.push_str(" AND attribute_not_exists(pause)");
    }
    if change.respects_hand_over() {
        instructed.push_str(" AND ");
        instructed.push_str(not_handed_over(bid, values));
    }
    // An item that does not exist fulfils those.
    format!("({condition}){instructed}").into()
}

fn not_handed_over(bid: &Bid, values: &mut Values) -> &'static str {
    // The update names it, too.
    values.text(":candidate", bid.candidate.as_str());
    let Some(waited) = bid.waited else {
        return "(attribute_not_exists(hand_over) OR hand_over = :candidate)";
    };
    values.number(":waited", waited);
    "(attribute_not_exists(hand_over) OR hand_over = :candidate OR #token = :waited)"
}

pub(super) fn expression(guard: &WriteCondition, values: &mut Values) -> Cow<'static, str> {
    let condition = match guard {
        WriteCondition::Absent | WriteCondition::Edition(0) => return ABSENT.into(),
        WriteCondition::RenewableUninstructed(lease) => {
            held_by(&lease.holder, lease.token, values);
            values.set(":false", AttributeValue::Bool(false));
            values.number(":one", 1);
            limits(values);
            return RENEWABLE_UNINSTRUCTED.into();
        }
        WriteCondition::Renewable(lease) => {
            held_by(&lease.holder, lease.token, values);
            values.set(":false", AttributeValue::Bool(false));
            "#token = :token AND holder = :holder AND closing = :false"
        }
        WriteCondition::Free(attempt) => {
            values.set(":attempt", item::attempt(*attempt));
            "attribute_not_exists(holder) AND \
                 (attribute_not_exists(attempt) OR attempt <> :attempt)"
        }
        WriteCondition::Unchanged { token, version } => {
            values.number(":token", token);
            values.number(":version", version);
            "#token = :token AND version = :version"
        }
        WriteCondition::HeldAs(ReleaseTarget::Lease(lease)) => {
            held_by(&lease.holder, lease.token, values);
            "#token = :token AND holder = :holder"
        }
        WriteCondition::HeldAs(ReleaseTarget::Attempt { attempt, .. }) => {
            values.set(":attempt", item::attempt(*attempt));
            "attribute_exists(holder) AND attempt = :attempt"
        }
        WriteCondition::HeldAs(ReleaseTarget::Holder { holder, .. }) => {
            values.text(":holder", holder.as_str());
            "holder = :holder"
        }
        WriteCondition::HeldUnder(token) => {
            values.number(":token", token);
            "attribute_exists(holder) AND #token = :token"
        }
        WriteCondition::Instructable(token) => {
            values.number(":token", token);
            "attribute_exists(holder) AND #token = :token AND attribute_not_exists(internal)"
        }
        WriteCondition::Edition(edition) => {
            values.number(":edition", edition);
            "edition = :edition AND attribute_not_exists(internal)"
        }
    };
    limits(values);
    match guard {
        WriteCondition::Free(_) => format!("{ABSENT} OR ({condition} AND {OURS})"),
        WriteCondition::Unchanged { .. } => format!("{condition} AND {OURS}"),
        _ => {
            values.text(":boolean", "BOOL");
            values.text(":string", "S");
            values.text(":binary", "B");
            format!("{condition} AND {OURS} AND {WHOLE}")
        }
    }
    .into()
}

/// The record is as it was read: nobody has acquired, released or instructed it since.
pub(super) fn of_purge(record: &StoredRecord, values: &mut Values) -> Cow<'static, str> {
    values.number(":token", record.token);
    values.number(":version", record.version);
    values.set(":touched", item::since_1970(record.touched));
    "#token = :token AND version = :version AND touched_ms = :touched AND attribute_not_exists(holder) \
     AND attribute_not_exists(pause) AND attribute_not_exists(internal)"
        .into()
}

fn limits(values: &mut Values) {
    values.number(":zero", 0);
    values.number(":max", item::MOST);
    values.number(":reader", READER);
}

fn held_by(holder: &CandidateId, token: FencingToken, values: &mut Values) {
    values.text(":holder", holder.as_str());
    values.number(":token", token);
}
