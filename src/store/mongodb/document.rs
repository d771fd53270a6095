//! Decodes a document as a record, or says why it is not one.

use std::{
    fmt::Display,
    time::{Duration, SystemTime},
};

use mongodb::bson::{Bson, DateTime, Document, spec::BinarySubtype};

use super::{
    failure::{Failure, RequestResult},
    pipeline::{BARE, EARLIER, NOW, RENEWAL},
};
use crate::{
    lease::{
        AcquisitionEnd, AttemptId, Bid, CandidateId, EndReason, FencingToken, HistoryEntry,
        LeaseRecord, Metadata, Note, PauseRecord, ResourceName, StandingInstruction,
    },
    store::{AcquireOutcome, StoreErrorKind, record::READER},
};

/// The outcome of a bid. `found` is the document after it.
pub(super) fn outcome(mut found: Document, bid: &Bid) -> RequestResult<AcquireOutcome> {
    let is_sent_twice = !found.contains_key(NOW);
    if is_sent_twice {
        // The driver has sent the bid twice, and the server repeats the document that it stored for the first
        // one, without the projection. It stores only writes, and a refusal is not a write, so this is a grant.
        found.insert(NOW, DateTime::MAX);
    }
    let Some(record) = record(&found, ReadPurpose::Write)? else {
        let message = "the server answered a bid with an empty record: the lock asks again";
        return Err(Failure::new(StoreErrorKind::Unknown, message));
    };
    // The server refuses an attempt of ours in all the other states; see `pipeline::acquire`. Two of them leave the
    // attempt the holder: a pause, and an expired lease that was handed over to another candidate.
    let is_mine = record.holder.as_ref() == Some(&bid.candidate) && !record.closing;
    let is_let = record.pause.is_none() || bid.internal;
    let is_mine = is_mine && is_let && (record.is_held() || is_sent_twice);
    let own_attempt = attempt(&found) == Some(bid.attempt);
    Ok(if is_mine && own_attempt {
        AcquireOutcome::Granted {
            token: record.token,
        }
    } else {
        AcquireOutcome::Refused(record)
    })
}

/// What a document is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadPurpose {
    Read,
    /// Also checks what the server needs to write it again. Every document that a bid or a filter refuses for its
    /// damage must fail here, too: the server leaves it as it is, which must not be taken for an answer.
    Write,
}

/// The record in a document that was read with `pipeline::view`; `None` if it has only a name.
pub(super) fn record(found: &Document, purpose: ReadPurpose) -> RequestResult<Option<LeaseRecord>> {
    if found.get(BARE) == Some(&Bson::Boolean(true)) {
        return Ok(None);
    }
    let fields = Fields(found);
    let min_reader = fields.number("min_reader");
    let is_newer = min_reader
        .as_ref()
        .is_ok_and(|min| *min > u64::from(READER));
    let checked = || match purpose {
        ReadPurpose::Read => Ok(()),
        ReadPurpose::Write => fields.check_to_write(),
    };
    let record = min_reader
        .and_then(|_| fields.record())
        .and_then(|record| checked().map(|()| record));
    match record {
        Ok(record) if purpose == ReadPurpose::Read || !is_newer => Ok(Some(record)),
        Ok(_) => Err(fields.unsupported()),
        // A newer library may have written another format.
        Err(_) if is_newer => Err(fields.unsupported()),
        Err(damage) => Err(fields.corrupt(&damage)),
    }
}

/// What a holder is asked to do, from the answer to its renewal.
pub(super) fn instruction(found: &Document) -> RequestResult<Option<StandingInstruction>> {
    let fields = Fields(found);
    let read = || {
        let (pause, to) = (fields.pause()?, fields.candidate("hand_over")?);
        Ok(StandingInstruction::of(pause.as_ref(), to.as_ref()))
    };
    read().map_err(|damage: String| fields.corrupt(&damage))
}

/// Which batch of renewals has written the record last.
pub(super) fn renewal(found: &Document) -> Option<AttemptId> {
    Fields(found).random_id(RENEWAL).ok().flatten()
}

/// The attempt that has written the record, or that has created it paused.
pub(super) fn attempt(found: &Document) -> Option<AttemptId> {
    Fields(found).random_id("attempt").ok().flatten()
}

/// The edition in the answer to an instruction.
pub(super) fn edition(found: &Document) -> RequestResult<u64> {
    let fields = Fields(found);
    (fields.number("edition")).map_err(|damage| fields.corrupt(&damage))
}

type DecodeResult<T> = Result<T, String>;

struct Fields<'a>(&'a Document);

impl Fields<'_> {
    /// The name for messages, even if it is not valid.
    fn id(&self) -> String {
        let id = self.0.get("_id");
        id.map_or_else(String::new, |id| match id {
            Bson::String(name) => format!("{name:?}"),
            other => other.to_string(),
        })
    }

    fn unsupported(&self) -> Failure {
        let min_reader = self.number("min_reader").unwrap_or_default();
        Failure::unsupported(self.text("_id").unwrap_or("?"), min_reader)
    }

    fn corrupt(&self, damage: &str) -> Failure {
        let message = format!(
            "the document {} is damaged, or is not the record of a lease: {damage}: repair it, or give the \
             leases a separate collection",
            self.id()
        );
        Failure::new(StoreErrorKind::Corrupt, message)
    }

    fn record(&self) -> DecodeResult<LeaseRecord> {
        let name = named("_id", ResourceName::new(self.text("_id")?))?;
        if self.text("scope")? != name.scope().as_prefix() {
            return Err("`scope` is not the scope of its name".to_owned());
        }
        self.number("version")?;
        self.random_id("attempt")?;
        let mut record = LeaseRecord::new(name, FencingToken::new(self.number("token")?));
        record.holder = self.candidate("holder")?;
        record.ttl = Duration::from_millis(self.number("ttl")?);
        let remaining = self.remaining(record.ttl)?;
        if record.holder.is_some() {
            record.remaining = remaining;
        }
        record.since = self.moment("since")?;
        record.closing = self.boolean("closing")?;
        record.pause = self.pause()?;
        record.hand_over = self.candidate("hand_over")?;
        record.edition = self.number("edition")?;
        record.internal = self.boolean("internal")?;
        record.touched = self.moment("touched")?;
        record.metadata = self
            .optional("metadata", Self::text)?
            .map(|text| named("metadata", Metadata::new(text)))
            .transpose()?;
        record.history = self.history()?;
        Ok(record)
    }

    /// The time left until the end of the millisecond in which the lease expires.
    fn remaining(&self, ttl: Duration) -> DecodeResult<Duration> {
        let date = |field| match self.0.get(field) {
            Some(Bson::DateTime(date)) => Ok(date.timestamp_millis()),
            other => Err(mistyped(field, other, "a date")),
        };
        let left = date("expires_at")?.saturating_sub(date(NOW)?);
        let Ok(left) = u64::try_from(left) else {
            return Ok(Duration::ZERO);
        };
        let left = Duration::from_millis(left);
        // Never more than the ttl, even if the server's clock was set back.
        Ok((left + Duration::from_millis(1)).min(ttl).max(left))
    }

    fn random_id(&self, field: &'static str) -> DecodeResult<Option<AttemptId>> {
        match self.0.get(field) {
            Some(Bson::Null) => Ok(None),
            Some(Bson::Binary(binary)) if binary.subtype == BinarySubtype::Generic => {
                let bytes = <[u8; 16]>::try_from(&binary.bytes[..])
                    .map_err(|_| format!("`{field}` has {} bytes, not 16", binary.bytes.len()))?;
                Ok(Some(AttemptId::new(u128::from_be_bytes(bytes))))
            }
            other => Err(mistyped(field, other, "16 bytes")),
        }
    }

    fn pause(&self) -> DecodeResult<Option<PauseRecord>> {
        let pause = match self.0.get("pause") {
            Some(Bson::Null) => return Ok(None),
            Some(Bson::Document(pause)) => Fields(pause),
            other => return Err(mistyped("pause", other, "a document")),
        };
        let note = named("pause", Note::new(pause.text("note")?))?;
        let since = pause.moment("since")?;
        Ok(Some(PauseRecord { note, since }))
    }

    fn history(&self) -> DecodeResult<Vec<HistoryEntry>> {
        let entries = match self.0.get("history") {
            Some(Bson::Array(entries)) => entries,
            other => return Err(mistyped("history", other, "an array")),
        };
        let newest = entries.len().saturating_sub(EARLIER);
        let last = match self.0.get("last") {
            Some(Bson::Null) => None,
            Some(last) => Some(last),
            None => return Err(mistyped("last", None, "a document")),
        };
        entries[newest..]
            .iter()
            .chain(last)
            .map(acquisition)
            .collect()
    }

    /// Checks that every number that the server counts up can still grow.
    fn check_to_write(&self) -> DecodeResult<()> {
        for field in ["token", "version", "edition"] {
            if self.number(field)? >= GREATEST {
                return Err(format!("`{field}` is too large to grow"));
            }
        }
        Ok(())
    }

    fn candidate(&self, field: &'static str) -> DecodeResult<Option<CandidateId>> {
        self.optional(field, Self::text)?
            .map(|id| named(field, CandidateId::new(id)))
            .transpose()
    }

    fn boolean(&self, field: &'static str) -> DecodeResult<bool> {
        match self.0.get(field) {
            Some(Bson::Boolean(value)) => Ok(*value),
            other => Err(mistyped(field, other, "a boolean")),
        }
    }

    fn optional<'a, T>(
        &'a self,
        field: &'static str,
        read: impl FnOnce(&'a Self, &'static str) -> DecodeResult<T>,
    ) -> DecodeResult<Option<T>> {
        match self.0.get(field) {
            Some(Bson::Null) => Ok(None),
            _ => read(self, field).map(Some),
        }
    }

    fn text(&self, field: &'static str) -> DecodeResult<&str> {
        match self.0.get(field) {
            Some(Bson::String(text)) => Ok(text),
            other => Err(mistyped(field, other, "a string")),
        }
    }

    fn number(&self, field: &'static str) -> DecodeResult<u64> {
        let number = match self.0.get(field) {
            Some(Bson::Int64(number)) => *number,
            Some(Bson::Int32(number)) => i64::from(*number),
            other => return Err(mistyped(field, other, "an integer")),
        };
        u64::try_from(number).map_err(|_| format!("`{field}` is negative"))
    }

    /// How an acquisition has ended, if its holder or an operator has said so.
    fn ended(&self) -> DecodeResult<Option<AcquisitionEnd>> {
        if !self.0.contains_key("ended_reason") {
            return Ok(None);
        }
        let reason = EndReason::from_name(self.text("ended_reason")?);
        let at = self.moment("ended_at")?;
        Ok(Some(AcquisitionEnd { at, reason }))
    }

    fn moment(&self, field: &'static str) -> DecodeResult<SystemTime> {
        match self.0.get(field) {
            Some(Bson::DateTime(moment)) => {
                since_1970(*moment).ok_or_else(|| format!("`{field}` is a date too far away"))
            }
            other => Err(mistyped(field, other, "a date")),
        }
    }
}

/// The limit for numbers that the server increases.
const GREATEST: u64 = i64::MAX as u64;

fn acquisition(entry: &Bson) -> DecodeResult<HistoryEntry> {
    let Bson::Document(entry) = entry else {
        return Err(mistyped("history", Some(entry), "an array of documents"));
    };
    let fields = Fields(entry);
    Ok(HistoryEntry {
        token: FencingToken::new(fields.number("token")?),
        holder: named("history", CandidateId::new(fields.text("holder")?))?,
        since: fields.moment("since")?,
        ended: fields.ended()?,
    })
}

fn since_1970(moment: DateTime) -> Option<SystemTime> {
    let millis = u64::try_from(moment.timestamp_millis()).unwrap_or(0);
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis))
}

fn named<T>(field: &str, name: Result<T, impl Display>) -> DecodeResult<T> {
    name.map_err(|error| format!("`{field}`: {error}"))
}

fn mistyped(field: &str, found: Option<&Bson>, wanted: &str) -> String {
    match found {
        None => format!("`{field}` is missing"),
        Some(found) => format!("`{field}` is {:?}, not {wanted}", found.element_type()),
    }
}

#[cfg(test)]
mod tests;
