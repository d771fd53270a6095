//! What the records of a group say.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::lease::FencingToken;

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
    /// The slot of the last owner.
    pub(crate) last: Option<u32>,
}
