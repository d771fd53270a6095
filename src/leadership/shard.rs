use super::{FOLLOWS, Leadership, LeadershipControl, Reason};
use crate::{clock::Moment, lease::Lease, sync::Ordering};

/// The owner's part of the [`Leadership`] of a shard, which is held by the lease of a session: it has no deadline of its
/// own, so a renewal of the session moves one number for all shards, and a lapse that any reader sees ends all of them.
/// Dropping it ends the leadership.
#[derive(Debug)]
pub(crate) struct ShardControl(LeadershipControl);

impl ShardControl {
    /// The lease has the name and the token of the shard, and the holder of the session.
    pub(crate) fn new(lease: Lease, session: &Leadership) -> Self {
        let clock = session.0.clock.clone();
        let session = Some(session.clone());
        Self(LeadershipControl::with(lease, FOLLOWS, clock, session))
    }

    pub(crate) fn leadership(&self) -> &Leadership {
        self.0.leadership()
    }

    /// From now on, the leadership does not follow the renewals of the session: it ends at this moment, or with the
    /// session if that is earlier. Only the first call counts.
    pub(crate) fn fix(&self, deadline: Moment) {
        if mutant!(FixedShardFollowsItsSession) {
            return;
        }
        let cell = &self.leadership().0.deadline;
        // It fails if the leadership has ended, or is fixed already.
        let _ = cell.compare_exchange(
            FOLLOWS,
            deadline.as_nanos(),
            Ordering::SeqCst,
            Ordering::SeqCst,
        );
    }

    /// Ends the leadership for all clones, at once and finally.
    pub(crate) fn revoke(&self) {
        self.0.revoke();
    }

    /// Completes [`Leadership::lost`] with this reason.
    pub(crate) fn notify_lost(&mut self, reason: &Reason) {
        self.0.notify_lost(reason);
    }
}
