use std::time::Duration;

/// The options of a mutex. The election of a leader uses the defaults.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct HoldOptions {
    /// Whether the candidate may acquire a lease that its own id already holds, with a new token.
    pub(crate) reentrant: bool,
    /// The longest time that one acquisition lasts.
    pub(crate) max_hold: Option<Duration>,
    /// How long no other candidate acquires the lease after a grant, however early it is released.
    pub(crate) min_hold: Duration,
    /// Whether it is a mutex. A hand-over or a pause does not end its acquisition, because the work under it would
    /// be dropped half-way; it only refuses the next one.
    pub(crate) is_mutex: bool,
    /// The shortest ttl that the store can keep.
    pub(crate) min_ttl: Duration,
}
