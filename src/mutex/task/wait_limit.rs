use std::time::Duration;

use crate::clock::Moment;

/// How long a caller waits for a lock that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mutex) enum WaitLimit {
    Once,
    Until { moment: Moment, after: Duration },
    Forever,
}
