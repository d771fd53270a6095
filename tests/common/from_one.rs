use std::time::SystemTime;

use tenure::clock::{Clock, Moment};

/// A clock whose time of day stands still in 1970: the first tokens of a memory store are 1, as tests expect.
#[derive(Clone, Debug)]
pub(crate) struct FromOne<C>(pub(crate) C);

impl<C: Clock> Clock for FromOne<C> {
    fn now(&self) -> Moment {
        self.0.now()
    }

    fn wall(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }
}
