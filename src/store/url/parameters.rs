use std::time::Duration;

use percent_encoding::percent_decode_str;

use super::misconfigured;
use crate::store::StoreError;

/// One `name=value` of a URL; the value is as it was written.
#[derive(Clone, Copy)]
pub(super) struct Parameter<'a> {
    pub(super) name: &'a str,
    pub(super) value: &'a str,
}

/// The parameters of a URL in their order, each name at most once.
pub(super) fn split<'a>(
    store: &'static str,
    query: &'a str,
) -> Result<Vec<Parameter<'a>>, StoreError> {
    let mut found: Vec<Parameter<'a>> = Vec::new();
    if query.is_empty() {
        return Ok(found);
    }
    for (index, pair) in query.split('&').enumerate() {
        let Some((name, value)) = pair.split_once('=') else {
            let message = format!("the parameter at place {} is no `name=value`", index + 1);
            return Err(misconfigured(store, message));
        };
        // MongoDB has one that may be repeated.
        let again = found.iter().any(|other| other.name == name);
        if again && !name.eq_ignore_ascii_case("readPreferenceTags") {
            let message = format!("{} is given twice", Parameter { name, value }.shown());
            return Err(misconfigured(store, message));
        }
        found.push(Parameter { name, value });
    }
    Ok(found)
}

impl Parameter<'_> {
    /// Its name for a message. What does not look like a name may be part of a password with an
    /// unencoded `?` or `&` in it.
    pub(super) fn shown(self) -> String {
        if self.is_plain() {
            format!("the parameter `{}`", self.name)
        } else {
            "a parameter with an odd name".to_owned()
        }
    }

    /// Whether the name consists of what names of parameters consist of.
    pub(super) fn is_plain(self) -> bool {
        let odd = |c: char| !c.is_ascii_alphanumeric() && !"_-.".contains(c);
        !self.name.is_empty() && self.name.len() <= 40 && !self.name.contains(odd)
    }

    /// The value without its percent-encoding. Nothing of it is shown.
    pub(super) fn decoded(self, store: &'static str) -> Result<String, StoreError> {
        let refuse = |what| misconfigured(store, format!("the value of {} {what}", self.shown()));
        if !is_encoded(self.value) {
            return Err(refuse(
                "has a `%` that two hexadecimal digits do not follow",
            ));
        }
        let decoded = percent_decode_str(self.value).decode_utf8();
        let decoded = decoded.map_err(|_| refuse("is not UTF-8"))?;
        if decoded.trim().is_empty() {
            Err(refuse("is empty"))
        } else {
            Ok(decoded.into_owned())
        }
    }

    /// A time of more than zero: a whole number and `ms` or `s`.
    pub(super) fn duration(self, store: &'static str) -> Result<Duration, StoreError> {
        let text = self.decoded(store)?;
        let (number, unit) = match text.strip_suffix("ms") {
            Some(number) => (number, Duration::from_millis(1)),
            None => (text.strip_suffix('s').unwrap_or(""), Duration::from_secs(1)),
        };
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let time = number
            .parse()
            .ok()
            .and_then(|count| unit.checked_mul(count));
        match time.filter(|time| is_number && !time.is_zero()) {
            Some(time) => Ok(time),
            None => {
                let message = format!(
                    "the value of {} is no time: write a whole number and its unit, like `500ms` or `5s`",
                    self.shown()
                );
                Err(misconfigured(store, message))
            }
        }
    }
}

/// Whether two hexadecimal digits follow each `%`.
pub(super) fn is_encoded(text: &str) -> bool {
    let mut parts = text.split('%');
    parts.next();
    parts.all(|part| {
        (part.as_bytes().get(..2)).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit))
    })
}
