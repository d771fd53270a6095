//! What the registers of a group say, as JSON. Fields that this version does not know are kept.

mod bucket;
mod head;

pub(crate) use bucket::{BUCKET, Bucket};
pub(crate) use head::Head;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use thiserror::Error;

use crate::lease::{FencingToken, RegisterValue};

/// The highest `min_reader` that this library understands.
const READER: u32 = 1;

/// One lease of a slot, by which a member takes part: the slot, and the token under which it is held. After a crash or
/// a lapse, a member has another session, also in the same slot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(from = "(u32, FencingToken)", into = "(u32, FencingToken)")]
pub(crate) struct Session {
    pub(crate) slot: u32,
    pub(crate) token: FencingToken,
}

impl From<(u32, FencingToken)> for Session {
    fn from((slot, token): (u32, FencingToken)) -> Self {
        Self { slot, token }
    }
}

impl From<Session> for (u32, FencingToken) {
    fn from(session: Session) -> Self {
        (session.slot, session.token)
    }
}

/// What the map says of one shard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) owner: Option<Session>,
    /// The token under which it is owned, or was owned last.
    pub(crate) token: Option<FencingToken>,
    /// Who is to own it next. The owner hands it over.
    pub(crate) next: Option<Session>,
    /// The owner waits for its actor no longer: the shard does not follow the session any more, and is free a ttl after
    /// this was seen.
    pub(crate) detached: bool,
    /// Whose actor has not acknowledged that it lost the shard.
    pub(crate) avoid: BTreeSet<Session>,
    /// The slot of the last owner, while there is none.
    pub(crate) last: Option<u32>,
}

/// A register that this library cannot read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum FormatError {
    /// It is not what it should be.
    #[error("{0}")]
    Damaged(String),
    /// A newer library has written it.
    #[error("it needs reader {needed}, and this library has {READER}: update the library")]
    Newer { needed: u32 },
}

impl FormatError {
    fn damaged(what: impl ToString) -> Self {
        Self::Damaged(what.to_string())
    }
}

/// Checks first whether this library understands the rest.
fn parse<T: DeserializeOwned>(text: &str) -> Result<T, FormatError> {
    #[derive(Deserialize)]
    struct Reader {
        min_reader: u32,
    }
    let reader: Reader = serde_json::from_str(text).map_err(FormatError::damaged)?;
    if reader.min_reader > READER {
        let needed = reader.min_reader;
        return Err(FormatError::Newer { needed });
    }
    serde_json::from_str(text).map_err(FormatError::damaged)
}

fn value(record: &impl Serialize) -> Result<RegisterValue, FormatError> {
    let text = serde_json::to_string(record).map_err(FormatError::damaged)?;
    RegisterValue::new(text).map_err(FormatError::damaged)
}

#[cfg(test)]
mod tests;
