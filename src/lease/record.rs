use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::{CandidateId, FencingToken, Metadata, ResourceName};
use crate::duration::millis;

/// What a store knows of a resource, as read at one moment.
///
/// Serialized, durations are whole milliseconds under names that end in `_ms`, and times of day are
/// milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LeaseRecord {
    /// The resource.
    pub resource: ResourceName,
    /// The token of the last acquisition.
    pub token: FencingToken,
    /// Who holds the lease; `None` once it was released.
    pub holder: Option<CandidateId>,
    /// The ttl that the holder asked for; challengers judge by this one, not by their own.
    #[serde(rename = "ttl_ms", with = "millis")]
    pub ttl: Duration,
    /// How long the lease had to live when the store answered; zero when it is free.
    ///
    /// A store without a clock of its own tells how long the reader still has to observe.
    #[serde(rename = "remaining_ms", with = "millis")]
    pub remaining: Duration,
    /// When the lease was acquired, by the store's wall clock. For people; nothing is decided by it.
    #[serde(with = "unix_millis")]
    pub since: SystemTime,
    /// Whether an operator has evicted the holder: it is not renewed and nobody acquires it before
    /// its standing expiry.
    pub closing: bool,
    /// What the holder published.
    pub metadata: Option<Metadata>,
    /// The last acquisitions, the oldest first, at most [`LeaseRecord::HISTORY`].
    pub history: Vec<PastAcquisition>,
}

/// One line of a record's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastAcquisition {
    /// The token that was granted.
    pub token: FencingToken,
    /// Who got it.
    pub holder: CandidateId,
    /// When, by the store's wall clock.
    #[serde(with = "unix_millis")]
    pub since: SystemTime,
}

impl LeaseRecord {
    /// How many acquisitions a record remembers.
    pub const HISTORY: usize = 8;

    /// A record that nobody holds. Stores fill in the rest.
    #[must_use]
    pub fn new(resource: ResourceName, token: FencingToken) -> Self {
        Self {
            resource,
            token,
            holder: None,
            ttl: Duration::ZERO,
            remaining: Duration::ZERO,
            since: SystemTime::UNIX_EPOCH,
            closing: false,
            metadata: None,
            history: Vec::new(),
        }
    }

    /// Whether somebody held the lease when the store answered.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.holder.is_some() && !self.remaining.is_zero()
    }
}

/// A time of day as milliseconds since 1970, which any program can read.
mod unix_millis {
    use std::time::{Duration, SystemTime};

    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(time: &SystemTime, to: S) -> Result<S::Ok, S::Error> {
        let since = time
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        to.serialize_u64(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SystemTime, D::Error> {
        let millis = u64::deserialize(from)?;
        let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis));
        time.ok_or_else(|| D::Error::custom("a time too far in the future"))
    }
}
