use std::time::Duration;

use rand::{RngExt as _, rngs::SmallRng};

/// What becomes of one message to the store and of its answer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fate {
    /// After how long it arrives; `None` if it is lost.
    pub(super) arrives: Option<Duration>,
    /// When a second copy arrives, whose answer nobody gets.
    pub(super) again: Option<Duration>,
    /// How long the answer takes; `None` if it is lost.
    pub(super) answered: Option<Duration>,
    /// After how long the sender sees an error of the connection, if it does.
    pub(super) error: Option<Duration>,
}

/// How bad the network is for one run. A chance of 0 is none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Network {
    pub(super) call_timeout: Duration,
    pub(super) loss: f64,
    pub(super) late: f64,
    pub(super) duplicates: f64,
    pub(super) errors: f64,
    /// A store that is down refuses connections at once.
    pub(super) refuses: bool,
}

impl Network {
    pub(super) fn new(call_timeout: Duration, rng: &mut SmallRng) -> Self {
        let mut chance = |most: f64| match rng.random_bool(0.5) {
            true => rng.random_range(0.0..most),
            false => 0.0,
        };
        let refuses = chance(1.0) > 0.0;
        Self {
            call_timeout,
            refuses,
            loss: chance(0.4),
            late: chance(0.3),
            duplicates: chance(0.3),
            errors: chance(0.5),
        }
    }

    /// The same without faults.
    pub(super) fn mended(self) -> Self {
        Self {
            loss: 0.0,
            late: 0.0,
            duplicates: 0.0,
            errors: 0.0,
            ..self
        }
    }

    pub(super) fn delay(&self, rng: &mut SmallRng) -> Duration {
        // Late means later than its sender waits, up to several ttl.
        let most = match rng.random_bool(self.late) {
            true => 20.0,
            false => 0.3,
        };
        self.call_timeout.mul_f64(rng.random_range(0.001..most))
    }

    pub(super) fn fate(&self, store_up: bool, rng: &mut SmallRng) -> Fate {
        if self.refuses && !store_up {
            return Fate {
                error: Some(Duration::from_millis(1)),
                ..Fate::default()
            };
        }
        let arrives = (store_up && !rng.random_bool(self.loss)).then(|| self.delay(rng));
        let answered = (!rng.random_bool(self.loss)).then(|| self.delay(rng));
        let again = rng
            .random_bool(self.duplicates)
            .then(|| self.delay(rng) * 2);
        let broken = arrives.is_none() || answered.is_none();
        let error = (broken && rng.random_bool(self.errors)).then(|| self.delay(rng));
        Fate {
            arrives,
            again: again.filter(|_| store_up),
            answered,
            error,
        }
    }
}
