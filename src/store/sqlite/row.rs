use std::{
    error::Error,
    time::{Duration, SystemTime},
};

use rusqlite::{Connection, OptionalExtension as _, ToSql, types::ValueRef};

use super::failure::{Failure, RequestResult};
use crate::{
    clock::Moment,
    lease::{
        AttemptId, CandidateId, FencingToken, HistoryEntry, LeaseRecord, Metadata, Note,
        PauseRecord, ResourceName, Scope,
    },
    store::{
        StoreErrorKind,
        record::{READER, StoredRecord},
    },
};

macro_rules! columns {
    () => {
        "name, token, version, holder, attempt, ttl, expires_at, clock, closing, edition, internal, \
         touched, pause_note, pause_since, hand_over, since, metadata, history, scope, min_reader"
    };
}

const FIND: &str = concat!("SELECT ", columns!(), " FROM tenure_leases WHERE name = ?1");
const LIST: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM tenure_leases WHERE scope = ?1 ORDER BY name"
);
const INSERT: &str = concat!(
    "INSERT INTO tenure_leases (",
    columns!(),
    ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, \
     ?20)"
);
/// Sets only our columns: columns that others added keep their values.
const UPDATE: &str = "UPDATE tenure_leases SET token = ?2, version = ?3, holder = ?4, attempt = ?5, \
     ttl = ?6, expires_at = ?7, clock = ?8, closing = ?9, edition = ?10, internal = ?11, touched = ?12, \
     pause_note = ?13, pause_since = ?14, hand_over = ?15, since = ?16, metadata = ?17, history = ?18 \
     WHERE name = ?1";

/// A row of the table. `record.expires_at` is on the clock that `clock` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LeaseRow {
    pub(super) record: StoredRecord,
    pub(super) clock: String,
    min_reader: i64,
}

impl LeaseRow {
    /// The row of a resource that was never acquired.
    pub(super) fn new() -> Self {
        Self {
            record: StoredRecord::default(),
            clock: String::new(),
            min_reader: i64::from(READER),
        }
    }

    pub(super) fn find(
        connection: &Connection,
        resource: &ResourceName,
    ) -> RequestResult<Option<Self>> {
        let found = connection
            .prepare_cached(FIND)?
            .query_row([resource.as_str()], |row| Ok(Self::decode(row)))
            .optional()?;
        let Some((name, row)) = found.transpose()? else {
            return Ok(None);
        };
        if name == *resource {
            Ok(Some(row))
        } else {
            Err(Failure::misconfigured(format!(
                "the table `tenure_leases` returned {name:?} for {resource:?}: give its column `name` the \
                 collation BINARY"
            )))
        }
    }

    pub(super) fn list(
        connection: &Connection,
        scope: &Scope,
    ) -> RequestResult<Vec<(ResourceName, Self)>> {
        let mut statement = connection.prepare_cached(LIST)?;
        let mut rows = statement.query([scope.as_prefix()])?;
        let mut listed = Vec::new();
        while let Some(row) = rows.next()? {
            listed.push(Self::decode(row)?);
        }
        // A database in UTF-16 orders text differently.
        listed.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(listed)
    }

    /// Refuses to write a record that only a newer library may write.
    pub(super) fn check_reader(&self, resource: &ResourceName) -> RequestResult<()> {
        if self.min_reader > i64::from(READER) {
            Err(Failure::unsupported(resource.as_str(), self.min_reader))
        } else {
            Ok(())
        }
    }

    pub(super) fn write(
        &self,
        connection: &Connection,
        resource: &ResourceName,
        is_new: bool,
    ) -> RequestResult<()> {
        let damaged = |column| Damage::new(column, "cannot grow any more").of(resource.as_str());
        let record = &self.record;
        let number = |column, value| i64::try_from(value).map_err(|_| damaged(column));
        let token = number("token", record.token.get())?;
        let version = number("version", record.version)?;
        let edition = number("edition", record.edition)?;
        let holder = record.holder.as_ref().map(CandidateId::as_str);
        let hand_over = record.hand_over.as_ref().map(CandidateId::as_str);
        let attempt = record.attempt.map(|attempt| attempt.get().to_be_bytes());
        let attempt = attempt.as_ref().map(|bytes| &bytes[..]);
        let ttl = i64::try_from(record.ttl.as_nanos()).unwrap_or(i64::MAX);
        let expires_at = i64::try_from(record.expires_at.as_nanos()).unwrap_or(i64::MAX);
        let pause_note = record.pause.as_ref().map(|pause| pause.note.as_str());
        let pause_since = record.pause.as_ref().map(|pause| unix_millis(pause.since));
        let metadata = record.metadata.as_ref().map(Metadata::as_str);
        let history = serde_json::to_string(&record.history).map_err(|error| {
            Failure::unavailable("the history cannot be written as JSON").because(error)
        })?;
        let (since, touched) = (unix_millis(record.since), unix_millis(record.touched));
        let name = resource.as_str();
        let mut values: Vec<&dyn ToSql> = vec![
            &name,
            &token,
            &version,
            &holder,
            &attempt,
            &ttl,
            &expires_at,
            &self.clock,
            &record.closing,
            &edition,
            &record.internal,
            &touched,
            &pause_note,
            &pause_since,
            &hand_over,
            &since,
            &metadata,
            &history,
        ];
        let scope = resource.scope();
        let scope = scope.as_prefix();
        let statement = if is_new {
            values.extend([&scope as &dyn ToSql, &self.min_reader]);
            INSERT
        } else {
            UPDATE
        };
        let written = connection.prepare_cached(statement)?.execute(&values[..])?;
        match written {
            1 => Ok(()),
            _ => Err(Failure::misconfigured(format!(
                "writing the record of {resource} changed {written} rows: remove the triggers that were \
                 added to the table `tenure_leases`"
            ))),
        }
    }

    fn decode(row: &rusqlite::Row<'_>) -> RequestResult<(ResourceName, Self)> {
        let columns = Columns(row);
        let name = columns.name();
        let min_reader = columns
            .integer("min_reader")
            .map(|reader| reader.unwrap_or(1));
        match (columns.decode(), min_reader) {
            (Ok((name, record, clock)), Ok(min_reader)) => {
                let row = Self {
                    record,
                    clock,
                    min_reader,
                };
                Ok((name, row))
            }
            // A newer library may have written another format.
            (_, Ok(min_reader)) if min_reader > i64::from(READER) => {
                Err(Failure::unsupported(&name, min_reader))
            }
            (Err(damage), _) | (_, Err(damage)) => Err(damage.of(&name)),
        }
    }
}

/// What is wrong with a value in a row.
struct Damage {
    column: &'static str,
    what: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Damage {
    fn new(column: &'static str, what: impl Into<String>) -> Self {
        let what = what.into();
        Self {
            column,
            what,
            source: None,
        }
    }

    fn because(column: &'static str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let source = Some(source.into());
        let what = "is malformed".to_owned();
        Self {
            column,
            what,
            source,
        }
    }

    fn of(self, resource: &str) -> Failure {
        let message = format!(
            "the record of {resource:?} is damaged: its column `{}` {}; nothing was overwritten: \
             repair the row of `tenure_leases`",
            self.column, self.what
        );
        let failure = Failure::new(StoreErrorKind::Corrupt, message);
        match self.source {
            Some(source) => failure.because(source),
            None => failure,
        }
    }
}

type DecodeResult<T> = std::result::Result<T, Damage>;

struct Columns<'a>(&'a rusqlite::Row<'a>);

impl Columns<'_> {
    /// The name for messages, even if it is not valid.
    fn name(&self) -> String {
        match self.0.get_ref("name") {
            Ok(ValueRef::Text(name)) => String::from_utf8_lossy(name).into_owned(),
            _ => String::new(),
        }
    }

    fn decode(&self) -> DecodeResult<(ResourceName, StoredRecord, String)> {
        let name = ResourceName::new(self.required("name", Self::text)?)
            .map_err(|error| Damage::because("name", error))?;
        if self.required("scope", Self::text)? != name.scope().as_prefix() {
            return Err(Damage::new("scope", "is not the scope of its name"));
        }
        let version = self.required("version", Self::number)?;
        if version == 0 {
            return Err(Damage::new("version", "is 0"));
        }
        let holder = self.text("holder")?.map(CandidateId::new).transpose();
        let hand_over = self.text("hand_over")?.map(CandidateId::new).transpose();
        let metadata = self.text("metadata")?.map(Metadata::new).transpose();
        let record = StoredRecord {
            token: FencingToken::new(self.required("token", Self::number)?),
            version,
            holder: holder.map_err(|error| Damage::because("holder", error))?,
            attempt: self.attempt()?,
            ttl: Duration::from_nanos(self.required("ttl", Self::number)?),
            expires_at: Moment::from_nanos(self.required("expires_at", Self::number)?),
            since: self.time("since")?.unwrap_or(SystemTime::UNIX_EPOCH),
            closing: self.flag("closing")?,
            pause: self.pause()?,
            hand_over: hand_over.map_err(|error| Damage::because("hand_over", error))?,
            edition: self.required("edition", Self::number)?,
            internal: self.flag("internal")?,
            touched: self.required("touched", Self::time)?,
            metadata: metadata.map_err(|error| Damage::because("metadata", error))?,
            history: self.history()?,
        };
        Ok((name, record, self.required("clock", Self::text)?.to_owned()))
    }

    fn attempt(&self) -> DecodeResult<Option<AttemptId>> {
        let bytes = match self.value("attempt")? {
            ValueRef::Null => return Ok(None),
            ValueRef::Blob(bytes) => bytes,
            other => return Err(mistyped("attempt", other, "BLOB")),
        };
        let bytes = <[u8; 16]>::try_from(bytes).map_err(|_| {
            Damage::new(
                "attempt",
                format!("has {} bytes instead of 16", bytes.len()),
            )
        })?;
        Ok(Some(AttemptId::new(u128::from_be_bytes(bytes))))
    }

    fn pause(&self) -> DecodeResult<Option<PauseRecord>> {
        let Some(note) = self.text("pause_note")? else {
            return Ok(None);
        };
        let note = Note::new(note).map_err(|error| Damage::because("pause_note", error))?;
        let since = self.required("pause_since", Self::time)?;
        Ok(Some(PauseRecord { note, since }))
    }

    fn flag(&self, column: &'static str) -> DecodeResult<bool> {
        match self.required(column, Self::number)? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(Damage::new(column, format!("is {other}, not 0 or 1"))),
        }
    }

    fn time(&self, column: &'static str) -> DecodeResult<Option<SystemTime>> {
        let Some(millis) = self.number(column)? else {
            return Ok(None);
        };
        let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis));
        time.map(Some)
            .ok_or_else(|| Damage::new(column, "is too far in the future"))
    }

    fn history(&self) -> DecodeResult<Vec<HistoryEntry>> {
        let Some(text) = self.text("history")? else {
            return Ok(Vec::new());
        };
        let mut history: Vec<HistoryEntry> =
            serde_json::from_str(text).map_err(|error| Damage::because("history", error))?;
        history.drain(..history.len().saturating_sub(LeaseRecord::HISTORY));
        Ok(history)
    }

    fn required<'a, T>(
        &'a self,
        column: &'static str,
        read: impl FnOnce(&'a Self, &'static str) -> DecodeResult<Option<T>>,
    ) -> DecodeResult<T> {
        read(self, column)?.ok_or_else(|| Damage::new(column, "is NULL"))
    }

    fn number(&self, column: &'static str) -> DecodeResult<Option<u64>> {
        let number = self.integer(column)?.map(u64::try_from).transpose();
        number.map_err(|_| Damage::new(column, "is negative"))
    }

    fn integer(&self, column: &'static str) -> DecodeResult<Option<i64>> {
        match self.value(column)? {
            ValueRef::Null => Ok(None),
            ValueRef::Integer(number) => Ok(Some(number)),
            other => Err(mistyped(column, other, "INTEGER")),
        }
    }

    fn text(&self, column: &'static str) -> DecodeResult<Option<&str>> {
        match self.value(column)? {
            ValueRef::Null => Ok(None),
            ValueRef::Text(text) => match std::str::from_utf8(text) {
                Ok(text) => Ok(Some(text)),
                Err(error) => Err(Damage::because(column, error)),
            },
            other => Err(mistyped(column, other, "TEXT")),
        }
    }

    fn value(&self, column: &'static str) -> DecodeResult<ValueRef<'_>> {
        self.0
            .get_ref(column)
            .map_err(|error| Damage::because(column, error))
    }
}

/// A time of day as the table keeps it.
pub(super) fn unix_millis(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}

fn mistyped(column: &'static str, found: ValueRef<'_>, wanted: &str) -> Damage {
    Damage::new(
        column,
        format!("is {} instead of {wanted}", found.data_type()),
    )
}
