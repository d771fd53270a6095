use std::time::Duration;

/// What a lock without subscribers may ask for besides; an election of leaders asks for nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct HoldOptions {
    /// Whether a lease that the candidate's own id holds may be taken, with a new token.
    pub(crate) reentrant: bool,
    /// How long one acquisition lasts at most, however often it could be renewed.
    pub(crate) max_hold: Option<Duration>,
    /// How long nobody else acquires the lease after it was granted, however early it is given back.
    pub(crate) min_hold: Duration,
    /// The shortest ttl that the store can keep.
    pub(crate) min_ttl: Duration,
}
