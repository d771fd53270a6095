use std::{sync::Arc, time::Duration};

use super::{Leadership, LeadershipControl, Reason};
use crate::{clock::Clock, lease::Lease};

/// A leadership that a test grants, renews, lets lapse and ends, without a lock and without a store.
///
/// With it, a test sends [`BecameLeader`](crate::BecameLeader) to an actor, and everything that the actor asks of
/// the [`Leadership`] is answered as in production. To let the lease lapse, move the clock: as after a freeze,
/// nobody is told. Dropping it ends the leadership with [`Reason::Expired`].
///
/// # Examples
///
/// ```
/// use std::{sync::Arc, time::Duration};
/// use tenure::{
///     FencingToken, Reason,
///     lease::{CandidateId, Lease, ResourceName},
///     testing::{ManualClock, TestLeadership},
/// };
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let lease = Lease {
///     resource: ResourceName::new("jobs/reports")?,
///     holder: CandidateId::new("replica-1")?,
///     token: FencingToken::new(7),
/// };
/// let clock = ManualClock::new();
/// let granted = TestLeadership::grant(lease, Duration::from_secs(15), Arc::new(clock.clone()));
/// let leadership = granted.leadership().clone(); // for `BecameLeader { leadership }`
/// assert!(leadership.is_current());
///
/// clock.advance(Duration::from_secs(15));
/// assert!(!leadership.is_current());
///
/// granted.end(Reason::StoreLost);
/// assert_eq!(leadership.lost().await, Reason::StoreLost);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TestLeadership {
    control: LeadershipControl,
    clock: Arc<dyn Clock>,
}

impl TestLeadership {
    /// Grants this lease for so long from now on.
    ///
    /// For a test in paused time, give it a [`TokioClock`](crate::testing::TokioClock).
    #[must_use]
    pub fn grant(lease: Lease, lasts: Duration, clock: Arc<dyn Clock>) -> Self {
        let deadline = clock.now() + lasts;
        let control = LeadershipControl::new(lease, deadline, clock.clone());
        Self { control, clock }
    }

    /// The leadership, to clone for the code under test.
    #[must_use]
    pub fn leadership(&self) -> &Leadership {
        self.control.leadership()
    }

    /// Lets it last so long from now on, if that is longer than it does. False if it has lapsed: a lapsed
    /// leadership does not come back.
    pub fn renew(&self, lasts: Duration) -> bool {
        let now = self.clock.now();
        self.control.extend(now + lasts, now)
    }

    /// The hold-off with which the code under test has [resigned](Leadership::resign); `None` if it has not.
    ///
    /// Nothing follows from it here: [end](Self::end) the leadership with [`Reason::Resigned`].
    #[must_use]
    pub fn resigned(&self) -> Option<Duration> {
        self.control.resigned()
    }

    /// Says that the leadership ends, and lets it stay current, as a planned step-down does until the subscribers
    /// have acknowledged.
    pub fn begin_step_down(&mut self) {
        self.control.notify_lost(&Reason::SteppedDown);
    }

    /// Ends the leadership for this reason, unless a step-down has begun before: then it ends for that.
    pub fn end(mut self, reason: Reason) {
        self.control.notify_lost(&reason);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;
    use crate::{
        lease::{CandidateId, FencingToken, ResourceName},
        testing::ManualClock,
    };

    const SECOND: Duration = Duration::from_secs(1);

    fn granted() -> (TestLeadership, Leadership, ManualClock) {
        let clock = ManualClock::new();
        let lease = Lease {
            resource: ResourceName::new("r").unwrap(),
            holder: CandidateId::new("a").unwrap(),
            token: FencingToken::new(7),
        };
        let granted = TestLeadership::grant(lease, SECOND * 2, Arc::new(clock.clone()));
        let leadership = granted.leadership().clone();
        (granted, leadership, clock)
    }

    #[test]
    fn it_lapses_with_its_clock_and_does_not_come_back() {
        let (granted, leadership, clock) = granted();
        clock.advance(SECOND);
        assert!(granted.renew(SECOND * 2));
        assert_eq!(leadership.remaining(), SECOND * 2);
        clock.advance(SECOND * 2);
        assert!(!granted.renew(SECOND) && !leadership.is_current());
        assert!(leadership.lost().now_or_never().is_none(), "nobody is told");
    }

    #[test]
    fn a_step_down_is_told_before_the_leadership_ends() {
        let (mut granted, leadership, _clock) = granted();
        granted.begin_step_down();
        assert!(leadership.is_current());
        granted.end(Reason::StoreLost);
        assert!(!leadership.is_current());
        assert_eq!(leadership.lost().now_or_never(), Some(Reason::SteppedDown));
    }

    #[test]
    fn it_shows_that_the_code_under_test_has_resigned() {
        let (granted, leadership, _clock) = granted();
        assert_eq!(granted.resigned(), None);
        leadership.resign(SECOND * 30);
        leadership.resign(SECOND);
        assert_eq!(
            granted.resigned(),
            Some(SECOND * 30),
            "only the first counts"
        );
        assert!(leadership.is_current(), "until it is ended");
        granted.end(Reason::Resigned);
        assert_eq!(leadership.lost().now_or_never(), Some(Reason::Resigned));
    }

    #[test]
    fn a_leadership_that_has_lapsed_cannot_resign() {
        let (granted, leadership, clock) = granted();
        clock.advance(SECOND * 2);
        leadership.resign(SECOND);
        assert_eq!(granted.resigned(), None);
    }

    #[test]
    fn dropping_it_ends_the_leadership() {
        let (granted, leadership, _clock) = granted();
        drop(granted);
        assert!(!leadership.is_current());
        assert_eq!(leadership.lost().now_or_never(), Some(Reason::Expired));
    }
}
