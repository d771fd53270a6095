//! What each change writes.

use std::{borrow::Cow, fmt::Write as _, sync::LazyLock};

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    super::item::{self, HistoryPart},
    Values, millis,
};
use crate::{
    lease::{Bid, EndReason, FencingToken, Instruction, LeaseRecord, Metadata, PauseRecord},
    store::{
        observed::{RecordChange, WriteCondition},
        record::READER,
    },
};

use std::time::SystemTime;

/// An acquisition, without what depends on the bid. The server evaluates the right-hand sides on the item before
/// the update. The token is written twice, because somebody may raise that of the record by hand.
static TAKE: LazyLock<String> = LazyLock::new(|| {
    let token = "if_not_exists(#token, :before_first) + :one";
    let [line, line_token, end] = HistoryPart::ALL.map(|part| part.name(0));
    let mut set = format!(
        "SET holder = :candidate, attempt = :bid, ttl_ms = :ttl, since_ms = :since, \
         touched_ms = :since, closing = :false, edition = if_not_exists(edition, :first), \
         min_reader = if_not_exists(min_reader, :reader), #token = {token}, \
         {line} = :line, {line_token} = {token}, {end} = :none"
    );
    for index in 1..LeaseRecord::HISTORY {
        for part in HistoryPart::ALL {
            let (newer, older) = (part.name(index - 1), part.name(index));
            // Writing to a String cannot fail.
            let _ = write!(set, ", {older} = if_not_exists({newer}, :none)");
        }
    }
    set
});

pub(super) fn expression(
    change: &RecordChange,
    guard: &WriteCondition,
    values: &mut Values,
) -> Cow<'static, str> {
    match change {
        RecordChange::Instruct { instruction, at } => {
            let is_new = matches!(guard, WriteCondition::Edition(0));
            return instruct(instruction, is_new, *at, values).into();
        }
        _ => values.number(":one", 1),
    }
    match change {
        RecordChange::Take { bid, since, .. } => take(bid, *since, values).into(),
        RecordChange::Regrant { bid } => extend(millis(bid.ttl), values).into(),
        RecordChange::Extend { ttl } => extend(millis(*ttl), values).into(),
        RecordChange::Release { reason, at } => {
            values.set(":false", AttributeValue::Bool(false));
            let ended = end(*reason, *at, values);
            let update = "SET closing = :false, touched_ms = :at";
            format!("{update}{ended} REMOVE holder ADD version :one").into()
        }
        // `closing` stays set after a forced eviction, so that the former holder can tell it from an expiry.
        RecordChange::Close { at } | RecordChange::Free { at } => {
            values.set(":true", AttributeValue::Bool(true));
            let ended = end(Some(EndReason::Evicted), *at, values);
            let frees = matches!(change, RecordChange::Free { .. });
            let remove = if frees { " REMOVE holder" } else { "" };
            let update = "SET closing = :true, touched_ms = :at";
            format!("{update}{ended}{remove} ADD version :one").into()
        }
        RecordChange::Instruct { .. } => Cow::Borrowed(""),
    }
}

fn extend(ttl: u64, values: &mut Values) -> &'static str {
    values.number(":ttl", ttl);
    "SET ttl_ms = :ttl ADD version :one"
}

fn take(bid: &Bid, since: SystemTime, values: &mut Values) -> String {
    let first = FencingToken::first_at(since).get();
    values.number(":first", first);
    values.number(":before_first", first.saturating_sub(1));
    values.text(":candidate", bid.candidate.as_str());
    values.set(":bid", item::attempt(bid.attempt));
    values.number(":ttl", millis(bid.ttl));
    values.set(":since", item::since_1970(since));
    values.set(":false", AttributeValue::Bool(false));
    values.number(":reader", READER);
    values.set(":line", item::line(&bid.candidate, since));
    values.set(":none", AttributeValue::Null(true));
    let mut update = TAKE.clone();
    let mut remove = " REMOVE hand_over".to_owned();
    match bid.metadata.as_ref().map(Metadata::as_str) {
        Some(metadata) => {
            values.text(":metadata", metadata);
            update.push_str(", metadata = :metadata");
        }
        None => remove.push_str(", metadata"),
    }
    if bid.internal {
        values.set(":true", AttributeValue::Bool(true));
        update.push_str(", internal = :true");
    } else {
        remove.push_str(", internal");
    }
    update + &remove + " ADD version :one"
}

/// Notes how the last acquisition ended.
fn end(reason: Option<EndReason>, at: SystemTime, values: &mut Values) -> String {
    values.set(":at", item::since_1970(at));
    let Some(reason) = reason else {
        return String::new();
    };
    values.set(":end", item::end(reason, at));
    format!(", {} = :end", HistoryPart::End.name(0))
}

/// It never changes the version of a record that exists.
fn instruct(
    instruction: &Instruction,
    is_new: bool,
    at: SystemTime,
    values: &mut Values,
) -> &'static str {
    values.set(":at", item::since_1970(at));
    match instruction {
        Instruction::HandOver { to, .. } => {
            values.text(":to", to.as_str());
            "SET hand_over = :to, touched_ms = :at"
        }
        Instruction::Pause { note, .. } => {
            let note = note.clone();
            values.set(":pause", item::pause(&PauseRecord { note, since: at }));
            values.number(":one", 1);
            if !is_new {
                return "SET pause = :pause, touched_ms = :at ADD edition :one";
            }
            values.number(":first", FencingToken::first_at(at));
            values.number(":zero", 0);
            values.number(":reader", READER);
            values.set(":false", AttributeValue::Bool(false));
            "SET pause = :pause, touched_ms = :at, edition = :first, version = :one, #token = :first, \
             ttl_ms = :zero, since_ms = :zero, closing = :false, min_reader = :reader"
        }
        Instruction::Resume { .. } => {
            values.number(":one", 1);
            "SET touched_ms = :at REMOVE pause ADD edition :one"
        }
    }
}
