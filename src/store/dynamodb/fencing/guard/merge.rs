//! Adds the guard to the expressions of a request.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::store::fencing::TokenGuard;

const NAME: &str = "tenure_fencing_token";

/// The name and the value that the guard adds, under placeholders that the request does not use.
pub(super) struct Additions {
    name: String,
    value: String,
    pub(super) token: AttributeValue,
}

impl Additions {
    /// Adds the name and the value to those of the request.
    pub(super) fn new(
        guard: &TokenGuard,
        names: &mut HashMap<String, String>,
        values: &mut HashMap<String, AttributeValue>,
    ) -> Self {
        let mut word = NAME.to_owned();
        while names.contains_key(&format!("#{word}")) || values.contains_key(&format!(":{word}")) {
            word.push('_');
        }
        let (name, value) = (format!("#{word}"), format!(":{word}"));
        let token = AttributeValue::N(guard.lease.token.to_string());
        names.insert(name.clone(), guard.field.clone());
        values.insert(value.clone(), token.clone());
        Self { name, value, token }
    }

    /// The condition of the request, if there is one, and the guard. `None` if the parentheses of that
    /// condition do not match.
    pub(super) fn condition(&self, own: Option<&str>) -> Option<String> {
        let Self { name, value, .. } = self;
        let guard = format!("(attribute_not_exists({name}) OR {name} <= {value})");
        match own {
            Some(own) if !is_closed(own) => None,
            Some(own) => Some(format!("({own}) AND {guard}")),
            None => Some(guard),
        }
    }

    /// The update with the assignment of the token added.
    pub(super) fn update(&self, own: &str) -> String {
        let assignment = format!("{} = {}", self.name, self.value);
        match end_of_set(own) {
            Some(end) => format!("{} {assignment},{}", &own[..end], &own[end..]),
            None => format!("SET {assignment} {own}"),
        }
    }
}

/// Where the assignments begin: after the word SET, unless that is the name of an attribute. A word opens a
/// section if it is the first, or if it follows a complete operand.
fn end_of_set(update: &str) -> Option<usize> {
    let is_part = |c: char| c.is_alphanumeric() || "_#:.-".contains(c);
    let mut opens = true;
    let mut rest = update;
    while let Some(next) = rest.chars().next() {
        let length = if is_part(next) {
            rest.find(|c: char| !is_part(c)).unwrap_or(rest.len())
        } else {
            next.len_utf8()
        };
        let word = &rest[..length];
        rest = &rest[length..];
        let is_plain = next.is_alphabetic() && !word.contains('.');
        opens = match next {
            _ if opens && is_plain => {
                if word.eq_ignore_ascii_case("SET") {
                    return Some(update.len() - rest.len());
                }
                false
            }
            // A closing bracket ends an operand, as a word does.
            ')' | ']' => true,
            _ if is_part(next) && word != "-" => true,
            _ if next.is_whitespace() => opens,
            _ => false,
        };
    }
    None
}

/// Whether the parentheses match, so that a pair around the expression encloses all of it. Parentheses cannot
/// be inside of strings, because expressions have no string literals.
fn is_closed(expression: &str) -> bool {
    let mut open = 0_usize;
    for sign in expression.chars() {
        open = match sign {
            '(' => open + 1,
            ')' if open == 0 => return false,
            ')' => open - 1,
            _ => open,
        };
    }
    open == 0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::fixtures::lease;

    fn update(own: &str) -> String {
        let guard = TokenGuard::new(&lease("a", 3));
        Additions::new(&guard, &mut HashMap::new(), &mut HashMap::new()).update(own)
    }

    #[test]
    fn an_assignment_joins_those_that_are_there() {
        let ours = "#tenure_fencing_token = :tenure_fencing_token";
        for (own, expected) in [
            ("", format!("SET {ours} ")),
            ("SET a = :a", format!("SET {ours}, a = :a")),
            ("set a=:a-:b", format!("set {ours}, a=:a-:b")),
            (
                "\n SeT #s = list_append(#s, :l)",
                format!("\n SeT {ours}, #s = list_append(#s, :l)"),
            ),
            ("REMOVE a", format!("SET {ours} REMOVE a")),
            (
                "REMOVE a, b[0] SET c = :c",
                format!("REMOVE a, b[0] SET {ours}, c = :c"),
            ),
            (
                "ADD n :one SET c = :c",
                format!("ADD n :one SET {ours}, c = :c"),
            ),
            (
                "ADD #set :set DELETE d :e",
                format!("SET {ours} ADD #set :set DELETE d :e"),
            ),
            // Names that look like the word.
            ("REMOVE set", format!("SET {ours} REMOVE set")),
            (
                "REMOVE a.set, set[1]",
                format!("SET {ours} REMOVE a.set, set[1]"),
            ),
            (
                "REMOVE set SET set = :s",
                format!("REMOVE set SET {ours}, set = :s"),
            ),
            ("ADD set :set", format!("SET {ours} ADD set :set")),
            (
                "SET a = if_not_exists(set, :s) + :t REMOVE b",
                format!("SET {ours}, a = if_not_exists(set, :s) + :t REMOVE b"),
            ),
        ] {
            assert_eq!(update(own), expected, "{own:?}");
        }
    }

    #[test]
    fn a_condition_that_would_swallow_the_guard_is_refused() {
        let guard = TokenGuard::new(&lease("a", 3));
        let ours = Additions::new(&guard, &mut HashMap::new(), &mut HashMap::new());
        for own in ["a = :a) OR (b = :b", "(a = :a", "a = :a)", ")("] {
            assert_eq!(ours.condition(Some(own)), None, "{own}");
        }
        assert!(
            ours.condition(Some("(a = :a) OR (b IN (:b, :c))"))
                .is_some()
        );
        assert!(ours.condition(None).is_some());
    }

    #[test]
    fn names_that_are_taken_are_left_alone() {
        let guard = TokenGuard::new(&lease("a", 3)).field("mark");
        let mut names = HashMap::from([("#tenure_fencing_token".to_owned(), "x".to_owned())]);
        let value = AttributeValue::Bool(true);
        let mut values = HashMap::from([(":tenure_fencing_token_".to_owned(), value.clone())]);
        let ours = Additions::new(&guard, &mut names, &mut values);
        assert_eq!(
            ours.condition(Some("a = :b OR c = :d")).unwrap(),
            "(a = :b OR c = :d) AND (attribute_not_exists(#tenure_fencing_token__) OR \
             #tenure_fencing_token__ <= :tenure_fencing_token__)"
        );
        assert_eq!(names["#tenure_fencing_token"], "x");
        assert_eq!(names["#tenure_fencing_token__"], "mark");
        assert_eq!(values[":tenure_fencing_token_"], value);
        assert_eq!(
            values[":tenure_fencing_token__"],
            AttributeValue::N("3".to_owned())
        );
    }

    const OPERANDS: [&str; 8] = [
        "a", "#set", "set", "b.set", "set[0]", "_set", "sets", "Remove",
    ];

    /// Sections of an update, each with its word and its parts, in any order.
    fn sections() -> impl Strategy<Value = Vec<(&'static str, Vec<String>)>> {
        let operand = || proptest::sample::select(&OPERANDS[..]);
        let set = proptest::collection::vec((operand(), operand()), 1..4).prop_map(|pairs| {
            let part = |(to, from): (&str, &str)| match to.len() % 3 {
                0 => format!("{to}=if_not_exists({from},:set)-:b"),
                1 => format!("{to} = :set+{from}"),
                _ => format!("{to} = list_append ( :set , {from} )"),
            };
            ("SET", pairs.into_iter().map(part).collect::<Vec<_>>())
        });
        let remove = proptest::collection::vec(operand(), 1..4)
            .prop_map(|names| ("REMOVE", names.into_iter().map(str::to_owned).collect()));
        let add = proptest::collection::vec(operand(), 1..4).prop_map(|names| {
            (
                "ADD",
                names.iter().map(|name| format!("{name} :set")).collect(),
            )
        });
        let sections = (
            proptest::option::of(set),
            proptest::option::of(remove),
            proptest::option::of(add),
        );
        let sections = sections.prop_map(|(set, remove, add)| {
            [set, remove, add].into_iter().flatten().collect::<Vec<_>>()
        });
        sections.prop_shuffle()
    }

    fn text(sections: &[(&str, Vec<String>)]) -> String {
        let section = |(word, parts): &(&str, Vec<String>)| format!("{word} {}", parts.join(", "));
        sections.iter().map(section).collect::<Vec<_>>().join(" ")
    }

    proptest! {
        #[test]
        fn one_assignment_is_added_and_nothing_else_is_changed(sections in sections()) {
            let ours = "#tenure_fencing_token = :tenure_fencing_token".to_owned();
            let mut expected = sections.clone();
            match expected.iter_mut().find(|(word, _)| *word == "SET") {
                Some((_, parts)) => parts.insert(0, ours),
                None => expected.insert(0, ("SET", vec![ours])),
            }
            let merged = update(&text(&sections));
            prop_assert_eq!(merged.trim(), text(&expected));
        }

        #[test]
        fn no_text_makes_it_panic(own in "\\PC*") {
            update(&own);
        }
    }
}
