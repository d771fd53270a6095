use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::{
    CandidateId, EndReason, FencingToken, Metadata, PauseRecord, ResourceName, StandingInstruction,
};
use crate::duration::millis;

/// The record of a resource in a store, as read at one moment.
///
/// When serialized, durations are whole milliseconds under names that end in `_ms`, and times of day are
/// milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LeaseRecord {
    /// The resource.
    pub resource: ResourceName,
    /// The token of the last acquisition. It stays after a release.
    pub token: FencingToken,
    /// The candidate that holds the lease; `None` once it was released.
    ///
    /// If the lease has expired and no other candidate has acquired it, this still names the last holder: ask
    /// [`is_held`](Self::is_held).
    pub holder: Option<CandidateId>,
    /// The ttl of the lease, as its holder set it. Other candidates wait for this one, not for their own.
    #[serde(rename = "ttl_ms", with = "millis")]
    pub ttl: Duration,
    /// How long it takes until the lease expires, counted from the answer of the store; zero if it is free.
    ///
    /// With a store that has no clock (DynamoDB), it is how long the reader still has to observe the record
    /// before it may acquire the lease.
    #[serde(rename = "remaining_ms", with = "millis")]
    pub remaining: Duration,
    /// When the lease was acquired, by the store's wall clock. It is for people; Tenure decides nothing by it.
    #[serde(with = "unix_millis")]
    pub since: SystemTime,
    /// Whether an operator has evicted the holder. The lease is then not renewed, and no candidate acquires
    /// it before it expires.
    pub closing: bool,
    /// The pause that stands: nobody acquires the lease until it is resumed.
    pub pause: Option<PauseRecord>,
    /// Who is to lead next, if an operator has asked the holder to hand over. The next acquisition clears it.
    pub hand_over: Option<CandidateId>,
    /// Grows by 1 with each pause and resume; begins with the time at which the record was created, in Unix
    /// milliseconds. An operator's pause or resume names the edition that it has read.
    pub edition: u64,
    /// Whether it is a record of the library's own, such as the mark of a `Once`.
    pub internal: bool,
    /// When the lease was last acquired, released, evicted, or given an instruction, by the store's wall clock. A
    /// purge goes by it.
    #[serde(rename = "touched_ms", with = "unix_millis")]
    pub touched: SystemTime,
    /// What the last holder published.
    pub metadata: Option<Metadata>,
    /// The last acquisitions, at most [`LeaseRecord::HISTORY`] (8), the oldest first.
    pub history: Vec<HistoryEntry>,
}

/// One acquisition in the history of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// The token that was granted.
    pub token: FencingToken,
    /// The candidate that acquired the lease.
    pub holder: CandidateId,
    /// When it was acquired, by the store's wall clock.
    #[serde(with = "unix_millis")]
    pub since: SystemTime,
    /// How it ended; `None` if it has not ended, or if its holder could not say so, for instance after a crash.
    #[serde(default)]
    pub ended: Option<AcquisitionEnd>,
}

/// The end of an acquisition in the history of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcquisitionEnd {
    /// When it was released or evicted, by the store's wall clock.
    #[serde(with = "unix_millis")]
    pub at: SystemTime,
    /// Why it ended.
    pub reason: EndReason,
}

impl LeaseRecord {
    /// The number of acquisitions that a record keeps: 8.
    pub const HISTORY: usize = 8;

    /// A record without a holder. Stores fill in the rest.
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
            pause: None,
            hand_over: None,
            edition: 0,
            internal: false,
            touched: SystemTime::UNIX_EPOCH,
            metadata: None,
            history: Vec::new(),
        }
    }

    /// Whether a candidate held the lease when the store answered.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.holder.is_some() && !self.remaining.is_zero()
    }

    /// What the holder is asked to do. A pause wins over a hand-over.
    #[must_use]
    pub fn instruction(&self) -> Option<StandingInstruction> {
        StandingInstruction::of(self.pause.as_ref(), self.hand_over.as_ref())
    }
}

/// A time of day as milliseconds since 1970, which any program can read.
pub(super) mod unix_millis {
    use std::time::{Duration, SystemTime};

    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(crate) fn serialize<S: Serializer>(time: &SystemTime, to: S) -> Result<S::Ok, S::Error> {
        let since = time
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        to.serialize_u64(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SystemTime, D::Error> {
        let millis = u64::deserialize(from)?;
        let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis));
        time.ok_or_else(|| D::Error::custom("a time too far in the future"))
    }
}
