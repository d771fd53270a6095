//! Decodes an item as a record, or says why it is not one.
//!
//! DynamoDB has no clock, so an item has no moment of expiry. It has the ttl, and the version that shows an
//! observer whether the holder has renewed.

use std::{
    collections::HashMap,
    fmt::Display,
    time::{Duration, SystemTime},
};

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};

use crate::{
    clock::Moment,
    lease::{
        AttemptId, CandidateId, FencingToken, HistoryEntry, LeaseRecord, Metadata, ResourceName,
        Scope,
    },
    store::{
        StoreErrorKind,
        failure::{Failure, RequestResult},
        observed::TableRecord,
        record::{READER, StoredRecord},
    },
};

pub(super) type Item = HashMap<String, AttributeValue>;

/// The partition key: a `/` and the scope's prefix, because a key cannot be empty.
pub(super) const SCOPE: &str = "scope";
/// The sort key: the last part of the name. If that is empty, it is `/`, which no last part contains.
pub(super) const NAME: &str = "name";

/// The greatest number in a record, so that the next one fits too.
pub(super) const MOST: u64 = u64::MAX - 1;

pub(super) fn scope_key(scope: &Scope) -> AttributeValue {
    AttributeValue::S(format!("/{}", scope.as_prefix()))
}

pub(super) fn name_key(resource: &ResourceName) -> AttributeValue {
    let last = &resource.as_str()[resource.scope().as_prefix().len()..];
    AttributeValue::S(if last.is_empty() { "/" } else { last }.to_owned())
}

pub(super) fn attempt(attempt: AttemptId) -> AttributeValue {
    AttributeValue::B(Blob::new(attempt.get().to_be_bytes()))
}

/// One entry of the history. Its token is not stored: every acquisition raises the token by 1 and adds one entry,
/// so it follows from the record's token.
pub(super) fn line(holder: &CandidateId, since: SystemTime) -> AttributeValue {
    AttributeValue::M(HashMap::from([
        (
            "holder".to_owned(),
            AttributeValue::S(holder.as_str().to_owned()),
        ),
        ("since_ms".to_owned(), since_1970(since)),
    ]))
}

pub(super) fn since_1970(moment: SystemTime) -> AttributeValue {
    let since = moment.duration_since(SystemTime::UNIX_EPOCH);
    AttributeValue::N(since.unwrap_or_default().as_millis().to_string())
}

/// The attribute of a line of the history, the newest of which is the first.
pub(super) fn line_name(index: usize) -> String {
    format!("history_{}", index + 1)
}

/// A decoded item.
#[derive(Debug)]
pub(super) struct DecodedItem {
    pub(super) name: ResourceName,
    pub(super) found: TableRecord,
}

impl DecodedItem {
    pub(super) fn decode(item: &Item) -> RequestResult<Self> {
        let fields = Fields(item);
        let min_reader = fields.number("min_reader");
        match (fields.record(), min_reader) {
            (Ok((name, record)), Ok(min_reader)) => Ok(Self {
                name,
                found: TableRecord { record, min_reader },
            }),
            // A newer library may have written another format.
            (_, Ok(min_reader)) if min_reader > u64::from(READER) => {
                Err(Failure::unsupported(&fields.id(), min_reader))
            }
            (Err(damage), _) | (_, Err(damage)) => Err(fields.corrupt(&damage)),
        }
    }
}

type DecodeResult<T> = Result<T, String>;

struct Fields<'a>(&'a Item);

impl Fields<'_> {
    /// The name for messages, even if it is not valid.
    fn id(&self) -> String {
        let scope = self.text(SCOPE).unwrap_or_default();
        let name = self.text(NAME).unwrap_or_default();
        let prefix = scope.strip_prefix('/').unwrap_or(scope);
        format!("{prefix}{}", if name == "/" { "" } else { name })
    }

    fn corrupt(&self, damage: &str) -> Failure {
        let message = format!(
            "the item of {:?} is damaged, or is not the record of a lease: {damage}; nothing was \
             overwritten: repair it, or give the leases a separate table",
            self.id()
        );
        Failure::new(StoreErrorKind::Corrupt, message)
    }

    fn record(&self) -> DecodeResult<(ResourceName, StoredRecord)> {
        let name = named(NAME, ResourceName::new(self.id()))?;
        let keys = [(SCOPE, scope_key(&name.scope())), (NAME, name_key(&name))];
        for (field, key) in keys {
            if self.0.get(field) != Some(&key) {
                return Err(format!("`{field}` is not the key of a record"));
            }
        }
        let token = self.number("token")?;
        let version = self.number("version")?;
        if version == 0 {
            return Err("`version` is 0".to_owned());
        }
        let closing = match self.0.get("closing") {
            Some(AttributeValue::Bool(closing)) => *closing,
            other => return Err(mistyped("closing", other, "a boolean")),
        };
        let holder = self.optional("holder", Self::text)?;
        let metadata = self.optional("metadata", Self::text)?;
        let record = StoredRecord {
            token: FencingToken::new(token),
            version,
            holder: holder
                .map(|holder| named("holder", CandidateId::new(holder)))
                .transpose()?,
            attempt: self.optional("attempt", Self::attempt)?,
            ttl: Duration::from_millis(self.number("ttl_ms")?),
            expires_at: Moment::default(),
            since: self.since()?,
            closing,
            metadata: metadata
                .map(|text| named("metadata", Metadata::new(text)))
                .transpose()?,
            history: self.history(token),
        };
        Ok((name, record))
    }

    fn attempt(&self, field: &'static str) -> DecodeResult<AttemptId> {
        let bytes = match self.0.get(field) {
            Some(AttributeValue::B(bytes)) => bytes.as_ref(),
            other => return Err(mistyped(field, other, "16 bytes")),
        };
        <[u8; 16]>::try_from(bytes)
            .map(|bytes| AttemptId::new(u128::from_be_bytes(bytes)))
            .map_err(|_| format!("`{field}` has {} bytes, not 16", bytes.len()))
    }

    fn since(&self) -> DecodeResult<SystemTime> {
        let since = Duration::from_millis(self.number("since_ms")?);
        SystemTime::UNIX_EPOCH
            .checked_add(since)
            .ok_or_else(|| "`since_ms` is a time too far away".to_owned())
    }

    /// The oldest first. An entry that cannot be read is left out: nothing depends on it, and a bid moves the
    /// entries without reading them.
    fn history(&self, token: u64) -> Vec<HistoryEntry> {
        let line = |index: usize| {
            let AttributeValue::M(line) = self.0.get(&line_name(index))? else {
                return None;
            };
            let fields = Fields(line);
            let age = u64::try_from(index).ok()?;
            Some(HistoryEntry {
                token: FencingToken::new(token.checked_sub(age)?),
                holder: CandidateId::new(fields.text("holder").ok()?).ok()?,
                since: fields.since().ok()?,
            })
        };
        (0..LeaseRecord::HISTORY).rev().filter_map(line).collect()
    }

    fn optional<'a, T>(
        &'a self,
        field: &'static str,
        read: impl FnOnce(&'a Self, &'static str) -> DecodeResult<T>,
    ) -> DecodeResult<Option<T>> {
        if self.0.contains_key(field) {
            read(self, field).map(Some)
        } else {
            Ok(None)
        }
    }

    fn text(&self, field: &'static str) -> DecodeResult<&str> {
        match self.0.get(field) {
            Some(AttributeValue::S(text)) => Ok(text),
            other => Err(mistyped(field, other, "a string")),
        }
    }

    fn number(&self, field: &'static str) -> DecodeResult<u64> {
        match self.0.get(field) {
            Some(AttributeValue::N(number)) => (number.parse().ok())
                .filter(|number| *number <= MOST)
                .ok_or_else(|| format!("`{field}` is {number}, not an integer from 0 to {MOST}")),
            other => Err(mistyped(field, other, "a number")),
        }
    }
}

fn named<T>(field: &str, name: Result<T, impl Display>) -> DecodeResult<T> {
    name.map_err(|error| format!("`{field}`: {error}"))
}

fn mistyped(field: &str, found: Option<&AttributeValue>, wanted: &str) -> String {
    let found = match found {
        None => "missing",
        Some(AttributeValue::B(_)) => "binary",
        Some(AttributeValue::Bool(_)) => "a boolean",
        Some(AttributeValue::L(_)) => "a list",
        Some(AttributeValue::M(_)) => "a map",
        Some(AttributeValue::N(_)) => "a number",
        Some(AttributeValue::Null(_)) => "null",
        Some(AttributeValue::S(_)) => "a string",
        Some(_) => "a set",
    };
    format!("`{field}` is {found}, not {wanted}")
}

#[cfg(test)]
mod tests;
