use std::time::Duration;

use percent_encoding::percent_decode_str;

use super::misconfigured;
use crate::store::StoreError;

/// One `name=value` of a URL. The value is still percent-encoded.
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
            let message = format!("parameter {} is not of the form `name=value`", index + 1);
            return Err(misconfigured(store, message));
        };
        // The only parameter of MongoDB that may be repeated.
        let again = found.iter().any(|other| other.name == name);
        if again && !name.eq_ignore_ascii_case("readPreferenceTags") {
            let message = format!("{} is set twice", Parameter { name, value }.shown());
            return Err(misconfigured(store, message));
        }
        found.push(Parameter { name, value });
    }
    Ok(found)
}

impl Parameter<'_> {
    /// The name for a message. If it does not look like a name, it is not shown: it may be part of a password
    /// with an unencoded `?` or `&`.
    pub(super) fn shown(self) -> String {
        if self.is_plain() {
            format!("the parameter `{}`", self.name)
        } else {
            "a parameter whose name has unusual characters".to_owned()
        }
    }

    /// Whether the name has only characters that are usual in parameter names.
    pub(super) fn is_plain(self) -> bool {
        let odd = |c: char| !c.is_ascii_alphanumeric() && !"_-.".contains(c);
        !self.name.is_empty() && self.name.len() <= 40 && !self.name.contains(odd)
    }

    /// The value without its percent-encoding. Errors do not show it.
    pub(super) fn decoded(self, store: &'static str) -> Result<String, StoreError> {
        let refuse = |what| misconfigured(store, format!("the value of {} {what}", self.shown()));
        if !is_encoded(self.value) {
            return Err(refuse("has a `%` without two hexadecimal digits after it"));
        }
        let decoded = percent_decode_str(self.value).decode_utf8();
        let decoded = decoded.map_err(|_| refuse("is not UTF-8"))?;
        if decoded.trim().is_empty() {
            Err(refuse("is empty"))
        } else {
            Ok(decoded.into_owned())
        }
    }

    /// The value as a duration of more than zero: a whole number and `ms` or `s`.
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
                    "the value of {} is not a duration: write a whole number and its unit, like `500ms` or `5s`",
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
