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
        AcquisitionEnd, AttemptId, CandidateId, EndReason, FencingToken, HistoryEntry, LeaseRecord,
        Metadata, Note, PauseRecord, ResourceName, Scope,
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

pub(super) fn since_1970(moment: SystemTime) -> AttributeValue {
    AttributeValue::N(millis_since_1970(moment).to_string())
}

fn millis_since_1970(moment: SystemTime) -> u128 {
    let since = moment.duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or_default().as_millis()
}

/// A pause as a map. An empty note is left out, because old versions of DynamoDB Local refuse empty strings.
pub(super) fn pause(pause: &PauseRecord) -> AttributeValue {
    let mut map = HashMap::from([("since_ms".to_owned(), since_1970(pause.since))]);
    if !pause.note.as_str().is_empty() {
        let note = AttributeValue::S(pause.note.as_str().to_owned());
        map.insert("note".to_owned(), note);
    }
    AttributeValue::M(map)
}

/// The parts of an entry of the history, each an attribute. The names are short, because 24 of them have to fit into
/// 1 KB with the rest: above it, every renewal costs twice as much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HistoryPart {
    /// `h1` to `h8`: since when, in Unix milliseconds, a space, and the holder.
    Line,
    /// `t1` to `t8`: the token. It is a part of its own because the server computes it.
    Token,
    /// `e1` to `e8`: when the acquisition ended, a space, and the reason; null if that is not known.
    End,
}

impl HistoryPart {
    pub(super) const ALL: [Self; 3] = [Self::Line, Self::Token, Self::End];

    /// The attribute of this part of an entry. The newest entry has the index 0.
    pub(super) fn name(self, index: usize) -> String {
        let letter = match self {
            Self::Line => 'h',
            Self::Token => 't',
            Self::End => 'e',
        };
        format!("{letter}{}", index + 1)
    }
}

pub(super) fn line(holder: &CandidateId, since: SystemTime) -> AttributeValue {
    at_a_time(since, holder.as_str())
}

pub(super) fn end(reason: EndReason, at: SystemTime) -> AttributeValue {
    at_a_time(at, reason.as_str())
}

fn at_a_time(moment: SystemTime, what: &str) -> AttributeValue {
    AttributeValue::S(format!("{} {what}", millis_since_1970(moment)))
}

/// A time of day that is a number of milliseconds since 1970, and not too far away.
fn moment(millis: u64) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis))
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
        let edition = self.number("edition")?;
        if edition == 0 {
            return Err("`edition` is 0".to_owned());
        }
        let closing = self.boolean("closing")?;
        let hand_over = self.optional("hand_over", Self::text)?;
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
            since: self.moment("since_ms")?,
            closing,
            pause: self.optional("pause", Self::pause)?,
            hand_over: hand_over
                .map(|to| named("hand_over", CandidateId::new(to)))
                .transpose()?,
            edition,
            internal: self
                .optional("internal", Self::boolean)?
                .unwrap_or_default(),
            touched: self.moment("touched_ms")?,
            metadata: metadata
                .map(|text| named("metadata", Metadata::new(text)))
                .transpose()?,
            history: self.history(),
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

    fn moment(&self, field: &'static str) -> DecodeResult<SystemTime> {
        let millis = self.number(field)?;
        moment(millis).ok_or_else(|| format!("`{field}` is a time too far away"))
    }

    fn pause(&self, field: &'static str) -> DecodeResult<PauseRecord> {
        let fields = match self.0.get(field) {
            Some(AttributeValue::M(map)) => Fields(map),
            other => return Err(mistyped(field, other, "a map")),
        };
        let inner = |damage| format!("`{field}`: {damage}");
        let note = fields.optional("note", Self::text).map_err(inner)?;
        Ok(PauseRecord {
            note: named("pause", Note::new(note.unwrap_or_default()))?,
            since: fields.moment("since_ms").map_err(inner)?,
        })
    }

    /// The oldest first. An entry that cannot be read is left out: nothing depends on it, and a bid moves the
    /// entries without reading them.
    fn history(&self) -> Vec<HistoryEntry> {
        let entries = (0..LeaseRecord::HISTORY).rev();
        entries.filter_map(|index| self.entry(index)).collect()
    }

    fn entry(&self, index: usize) -> Option<HistoryEntry> {
        let part = |part: HistoryPart| self.0.get(&part.name(index));
        let AttributeValue::N(token) = part(HistoryPart::Token)? else {
            return None;
        };
        let (since, holder) = split(part(HistoryPart::Line)?)?;
        let ended = part(HistoryPart::End).and_then(split);
        Some(HistoryEntry {
            token: FencingToken::new(token.parse().ok()?),
            holder: CandidateId::new(holder).ok()?,
            since,
            ended: ended.map(|(at, reason)| AcquisitionEnd {
                at,
                reason: EndReason::from_name(reason),
            }),
        })
    }

    fn boolean(&self, field: &'static str) -> DecodeResult<bool> {
        match self.0.get(field) {
            Some(AttributeValue::Bool(value)) => Ok(*value),
            other => Err(mistyped(field, other, "a boolean")),
        }
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

/// A time of day and a text.
fn split(value: &AttributeValue) -> Option<(SystemTime, &str)> {
    let AttributeValue::S(text) = value else {
        return None;
    };
    let (millis, what) = text.split_once(' ')?;
    Some((moment(millis.parse().ok()?)?, what))
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
