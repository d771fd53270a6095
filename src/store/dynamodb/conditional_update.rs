//! Builds the changes of a record, each with a condition that the server checks in the same step.
//!
//! A bid is written without a read, so that a free lease costs one request. So each entry of the history is its
//! own attribute: the server can move attributes, but cannot shorten a list.

use std::{
    collections::{BTreeSet, HashMap},
    time::{Duration, SystemTime},
};

use aws_sdk_dynamodb::types::AttributeValue;

use super::item;
use crate::{
    lease::{Bid, CandidateId, FencingToken, LeaseRecord, Metadata, ReleaseTarget},
    store::{
        observed::{RecordChange, WriteCondition},
        record::READER,
    },
};

/// An update expression and its condition, with what they refer to.
#[derive(Debug)]
pub(super) struct ConditionalUpdate {
    pub(super) update: String,
    pub(super) condition: String,
    pub(super) names: HashMap<String, String>,
    pub(super) values: HashMap<String, AttributeValue>,
}

impl ConditionalUpdate {
    pub(super) fn new(change: &RecordChange, guard: &WriteCondition) -> Self {
        let mut values = Values(HashMap::new());
        let update = update(change, &mut values);
        let condition = condition(guard, &mut values);
        let names = names(&[&update, &condition]);
        let values = values.0;
        Self {
            update,
            condition,
            names,
            values,
        }
    }
}

/// A condition alone, with what it refers to.
#[derive(Debug)]
pub(super) struct ConditionExpression {
    pub(super) text: String,
    pub(super) names: HashMap<String, String>,
    pub(super) values: HashMap<String, AttributeValue>,
}

impl ConditionExpression {
    pub(super) fn new(guard: &WriteCondition) -> Self {
        let mut values = Values(HashMap::new());
        let text = condition(guard, &mut values);
        let names = names(&[&text]);
        let values = values.0;
        Self {
            text,
            names,
            values,
        }
    }
}

/// The value of each `:name`.
struct Values(HashMap<String, AttributeValue>);

impl Values {
    fn set(&mut self, name: &str, value: AttributeValue) {
        self.0.insert(name.to_owned(), value);
    }

    fn text(&mut self, name: &str, text: &str) {
        self.set(name, AttributeValue::S(text.to_owned()));
    }

    fn number(&mut self, name: &str, number: impl ToString) {
        self.set(name, AttributeValue::N(number.to_string()));
    }
}

fn update(change: &RecordChange, values: &mut Values) -> String {
    values.number(":one", 1);
    match change {
        RecordChange::Take { bid, since } => take(bid, *since, values),
        RecordChange::Extend { ttl } => {
            values.number(":ttl", millis(*ttl));
            "SET #ttl_ms = :ttl ADD #version :one".to_owned()
        }
        RecordChange::Release => {
            values.set(":false", AttributeValue::Bool(false));
            "SET #closing = :false REMOVE #holder ADD #version :one".to_owned()
        }
        RecordChange::Close => {
            values.set(":true", AttributeValue::Bool(true));
            "SET #closing = :true ADD #version :one".to_owned()
        }
        // `closing` stays set, so that the former holder can tell an eviction from an expiry.
        RecordChange::Free => {
            values.set(":true", AttributeValue::Bool(true));
            "SET #closing = :true REMOVE #holder ADD #version :one".to_owned()
        }
    }
}

fn take(bid: &Bid, since: SystemTime, values: &mut Values) -> String {
    values.text(":candidate", bid.candidate.as_str());
    values.set(":bid", item::attempt(bid.attempt));
    values.number(":ttl", millis(bid.ttl));
    values.set(":since", item::since_1970(since));
    values.set(":false", AttributeValue::Bool(false));
    values.number(":reader", READER);
    values.set(":line", item::line(&bid.candidate, since));
    values.set(":none", AttributeValue::Null(true));
    let mut set = "SET #holder = :candidate, #attempt = :bid, #ttl_ms = :ttl, #since_ms = :since, \
                   #closing = :false, #min_reader = if_not_exists(#min_reader, :reader), \
                   #history_1 = :line"
        .to_owned();
    // The server evaluates the right-hand sides on the item before the update.
    for index in 1..LeaseRecord::HISTORY {
        let (newer, older) = (item::line_name(index - 1), item::line_name(index));
        set.push_str(&format!(", #{older} = if_not_exists(#{newer}, :none)"));
    }
    let remove = match bid.metadata.as_ref().map(Metadata::as_str) {
        Some(metadata) => {
            values.text(":metadata", metadata);
            set.push_str(", #metadata = :metadata");
            ""
        }
        None => "REMOVE #metadata ",
    };
    format!("{set} {remove}ADD #token :one, #version :one")
}

/// Whether the item is a record that this version of the library may write. A bid checks only this, because it
/// replaces everything else.
const OURS: &str = "#token BETWEEN :zero AND :max AND #version BETWEEN :zero AND :max \
     AND #min_reader BETWEEN :zero AND :reader";

/// Whether the other attributes are valid. It keeps the server from writing into a damaged record; `item` checks
/// the same and more when it reads.
const WHOLE: &str = "#ttl_ms BETWEEN :zero AND :max AND #since_ms BETWEEN :zero AND :max \
     AND attribute_type(#closing, :boolean) \
     AND (attribute_not_exists(#holder) OR attribute_type(#holder, :string)) \
     AND (attribute_not_exists(#metadata) OR attribute_type(#metadata, :string)) \
     AND (attribute_not_exists(#attempt) OR attribute_type(#attempt, :binary))";

fn condition(guard: &WriteCondition, values: &mut Values) -> String {
    const ABSENT: &str = "attribute_not_exists(#scope)";
    let condition = match guard {
        WriteCondition::Absent => return ABSENT.to_owned(),
        WriteCondition::Free(attempt) => {
            values.set(":attempt", item::attempt(*attempt));
            "attribute_not_exists(#holder) AND \
                 (attribute_not_exists(#attempt) OR #attempt <> :attempt)"
        }
        WriteCondition::Unchanged { token, version } => {
            values.number(":token", token);
            values.number(":version", version);
            "#token = :token AND #version = :version"
        }
        WriteCondition::Renewable(lease) => {
            held_by(&lease.holder, lease.token, values);
            values.set(":false", AttributeValue::Bool(false));
            "#token = :token AND #holder = :holder AND #closing = :false"
        }
        WriteCondition::HeldAs(ReleaseTarget::Lease(lease)) => {
            held_by(&lease.holder, lease.token, values);
            "#token = :token AND #holder = :holder"
        }
        WriteCondition::HeldAs(ReleaseTarget::Attempt { attempt, .. }) => {
            values.set(":attempt", item::attempt(*attempt));
            "attribute_exists(#holder) AND #attempt = :attempt"
        }
        WriteCondition::HeldAs(ReleaseTarget::Holder { holder, .. }) => {
            values.text(":holder", holder.as_str());
            "#holder = :holder"
        }
        WriteCondition::HeldUnder(token) => {
            values.number(":token", token);
            "attribute_exists(#holder) AND #token = :token"
        }
    };
    values.number(":zero", 0);
    values.number(":max", item::MOST);
    values.number(":reader", READER);
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
}

fn held_by(holder: &CandidateId, token: FencingToken, values: &mut Values) {
    values.text(":holder", holder.as_str());
    values.number(":token", token);
}

/// The ttl in milliseconds, rounded up so that no challenger takes the lease early. The holder uses its own,
/// exact ttl.
fn millis(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_nanos().div_ceil(1_000_000)).map_or(item::MOST, |ttl| ttl.min(item::MOST))
}

/// The attribute of each `#name` in the expressions. They use no plain names, because many are reserved words.
fn names(expressions: &[&str]) -> HashMap<String, String> {
    let is_end = |c: char| !c.is_ascii_alphanumeric() && c != '_';
    let named = expressions.iter().flat_map(|text| text.split('#').skip(1));
    let names: BTreeSet<&str> = named
        .map(|rest| &rest[..rest.find(is_end).unwrap_or(rest.len())])
        .collect();
    let pair = |name: &str| (format!("#{name}"), name.to_owned());
    names.into_iter().map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ttl_is_rounded_up_to_the_millisecond() {
        assert_eq!(millis(Duration::from_micros(1_001)), 2);
        assert_eq!(millis(Duration::from_millis(15_000)), 15_000);
        assert_eq!(millis(Duration::MAX), u64::MAX - 1);
    }

    #[test]
    fn every_name_in_an_expression_is_used() {
        let found = names(&[
            "SET #a = :a, #b_1 = if_not_exists(#a, :x)",
            "#c<>:c AND #b_1",
        ]);
        let mut found: Vec<_> = found.into_iter().collect();
        found.sort();
        let expected = ["a", "b_1", "c"].map(|name| (format!("#{name}"), name.to_owned()));
        assert_eq!(found, expected);
    }
}
