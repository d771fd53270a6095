use std::task::{Context as TaskContext, Poll};

use super::LockActor;

/// What a lock finds out about the holder of the lease.
impl LockActor {
    /// Gives the leadership up if its holder has resigned.
    pub(super) fn poll_resignation(&mut self, cx: &mut TaskContext<'_>) {
        let leadership = self.election.leadership();
        if let Some(Poll::Ready(hold_off)) = leadership.map(|it| it.poll_resigned(cx)) {
            self.election.resign(hold_off, self.clock.now());
        }
    }

    /// Says that another process leads under the id of this candidate.
    pub(super) fn warn_of_same_candidate(&mut self) {
        if let Some(token) = self.election.poll_same_candidate() {
            lock_event!(
                warn,
                "tenure.same_candidate_id",
                self.config(),
                token = token.get(),
                "another process contends for the resource as the same candidate, and leads: the two exclude each \
                 other, but nobody can tell them apart; give each process an id of its own"
            );
        }
    }

    /// Logs a new deadline of the lease, and its end.
    pub(super) fn log_lease(&mut self) {
        let now = self.clock.now();
        self.lease_events
            .follow(self.election.config(), self.election.term(), now);
    }
}
