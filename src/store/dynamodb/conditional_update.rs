//! Builds the changes of a record, each with a condition that the server checks in the same step.
//!
//! A bid is written without a read, so that a free lease costs one request. So each entry of the history has its
//! own attributes: the server can move attributes, but cannot shorten a list.
//!
//! A lock renews all the time, so its texts are constants, and as short as they can be: the SDK signs every byte.

mod condition;
mod update;

use std::{borrow::Cow, collections::HashMap, time::Duration};

use aws_sdk_dynamodb::types::AttributeValue;

use super::item;
use crate::store::observed::{RecordChange, WriteCondition};

/// An update expression and its condition, with what they refer to.
#[derive(Debug)]
pub(super) struct ConditionalUpdate {
    pub(super) update: Cow<'static, str>,
    pub(super) condition: Cow<'static, str>,
    pub(super) names: HashMap<String, String>,
    pub(super) values: HashMap<String, AttributeValue>,
}

impl ConditionalUpdate {
    pub(super) fn new(change: &RecordChange, guard: &WriteCondition) -> Self {
        let mut values = Values::default();
        let update = update::expression(change, guard, &mut values);
        let condition = condition::of_write(change, guard, &mut values);
        Self {
            names: names(&[&update, &condition]),
            update,
            condition,
            values: values.0,
        }
    }
}

/// A condition alone, with what it refers to.
#[derive(Debug)]
pub(super) struct ConditionExpression {
    pub(super) text: Cow<'static, str>,
    pub(super) names: HashMap<String, String>,
    pub(super) values: HashMap<String, AttributeValue>,
}

impl ConditionExpression {
    pub(super) fn new(guard: &WriteCondition) -> Self {
        let mut values = Values::default();
        let text = condition::expression(guard, &mut values);
        Self::with(text, values)
    }

    /// The condition of a deletion: the record is as it was read, and may be deleted.
    pub(super) fn of_purge(record: &item::DecodedItem) -> Self {
        let mut values = Values::default();
        let text = condition::of_purge(&record.found.record, &mut values);
        Self::with(text, values)
    }

    fn with(text: Cow<'static, str>, values: Values) -> Self {
        Self {
            names: names(&[&text]),
            text,
            values: values.0,
        }
    }
}

/// The value of each `:name`. DynamoDB refuses one that no expression uses.
#[derive(Default)]
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

/// The ttl in milliseconds, rounded up so that no challenger takes the lease early. The holder uses its own,
/// exact ttl.
fn millis(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_nanos().div_ceil(1_000_000)).map_or(item::MOST, |ttl| ttl.min(item::MOST))
}

/// The attributes whose names are reserved words of DynamoDB, which expressions must not use as they are.
const RESERVED: [(&str, &str); 2] = [("#scope", item::SCOPE), ("#token", "token")];

/// Those of the reserved names that the expressions use. DynamoDB refuses one that none uses.
fn names(expressions: &[&str]) -> HashMap<String, String> {
    let used = |name: &str| expressions.iter().any(|text| text.contains(name));
    let names = RESERVED.iter().filter(|(name, _)| used(name));
    names
        .map(|(name, attribute)| ((*name).to_owned(), (*attribute).to_owned()))
        .collect()
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
    fn only_names_that_an_expression_uses_are_sent() {
        let token = [("#token".to_owned(), "token".to_owned())];
        assert_eq!(names(&["SET a = :a", "#token = :token"]), token.into());
        assert_eq!(names(&["SET a = :a", "b = :b"]), HashMap::new());
    }
}
