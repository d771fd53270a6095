//! The clock is read after the row, so that a row is never compared with an older moment.

use std::sync::Mutex;

use super::*;
use crate::{
    clock::Moment,
    mutants::{Mutant, with},
};

type Hook = Box<dyn FnOnce() + Send>;

/// A clock whose reader is delayed once, right after it has read the time.
#[derive(Clone)]
struct DelayedReads {
    clock: ManualClock,
    meanwhile: Arc<Mutex<Option<Hook>>>,
}

impl fmt::Debug for DelayedReads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DelayedReads")
    }
}

impl DelayedReads {
    fn new() -> Self {
        Self {
            clock: ManualClock::new(),
            meanwhile: Arc::default(),
        }
    }

    fn delay_once(&self, meanwhile: impl FnOnce() + Send + 'static) {
        *self.meanwhile.lock().unwrap() = Some(Box::new(meanwhile));
    }
}

impl Clock for DelayedReads {
    fn now(&self) -> Moment {
        let now = self.clock.now();
        let meanwhile = self.meanwhile.lock().unwrap().take();
        if let Some(meanwhile) = meanwhile {
            meanwhile();
        }
        now
    }
}

fn session(test_file: &TestFile, clock: Arc<dyn Clock>, identity: &str) -> Session {
    let identity = identity.into();
    let clock = HostClock {
        clock,
        identity,
        wall: early,
    };
    Session::open(&test_file.path(), clock, SECOND).unwrap()
}

/// A challenger is delayed by half a ttl while it observes a lease, and the holder renews meanwhile. Returns
/// whether the challenger waits for the whole ttl of that renewal.
fn challenger_waits_for_the_renewal() -> bool {
    let test_file = TestFile::new();
    let clock = DelayedReads::new();
    let mut holder = session(&test_file, Arc::new(clock.clock.clone()), "there");
    let mut challenger = session(&test_file, Arc::new(clock.clone()), "here");
    assert_eq!(holder.acquire(&bid("a", 1)).unwrap(), granted(1));
    let now = clock.clock.clone();
    clock.delay_once(move || {
        now.advance(TTL / 2);
        let renewed = holder.renew(&lease("a", 1), TTL).unwrap();
        assert_eq!(renewed, RenewOutcome::RENEWED);
    });
    refused(challenger.acquire(&bid("b", 2)).unwrap());
    clock.clock.advance(TTL / 2);
    let bid = challenger.acquire(&bid("b", 2)).unwrap();
    matches!(bid, AcquireOutcome::Refused(_))
}

#[test]
fn an_observation_does_not_begin_before_the_row_was_read() {
    assert!(challenger_waits_for_the_renewal());
    let early = Some(Mutant::ClockReadBeforeRow);
    assert!(
        !with(early, challenger_waits_for_the_renewal),
        "the test does not find the fault"
    );
}
