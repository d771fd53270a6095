use std::time::Duration;

use rand::{RngExt as _, rngs::SmallRng};

/// What becomes of one request and its reply.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fate {
    /// After how long the store applies it; `None` if it is lost or never answered.
    pub(super) applied: Option<Duration>,
    /// When a second copy is applied, whose answer nobody gets.
    pub(super) again: Option<Duration>,
    /// How long the reply takes; `None` if it is lost.
    pub(super) answered: Option<Duration>,
    /// After how long the client sees an error of the connection, if it does.
    pub(super) error: Option<Duration>,
}

/// How bad the network is for one run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Network {
    call_timeout: Duration,
    loss: f64,
    late: f64,
    duplicates: f64,
    errors: f64,
}

impl Network {
    pub(super) fn new(call_timeout: Duration, rng: &mut SmallRng) -> Self {
        let mut chance = |most: f64| match rng.random_bool(0.5) {
            true => rng.random_range(0.0..most),
            false => 0.0,
        };
        Self {
            call_timeout,
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

    fn delay(&self, rng: &mut SmallRng) -> Duration {
        // Late means later than its sender waits, up to several ttl.
        let most = if rng.random_bool(self.late) {
            20.0
        } else {
            0.3
        };
        self.call_timeout.mul_f64(rng.random_range(0.001..most))
    }

    pub(super) fn fate(&self, store_up: bool, rng: &mut SmallRng) -> Fate {
        let applied = (store_up && !rng.random_bool(self.loss)).then(|| self.delay(rng));
        let answered = (!rng.random_bool(self.loss)).then(|| self.delay(rng));
        let again = rng
            .random_bool(self.duplicates)
            .then(|| self.delay(rng) * 2);
        let broken = applied.is_none() || answered.is_none();
        let error = (broken && rng.random_bool(self.errors)).then(|| self.delay(rng));
        Fate {
            applied,
            again: again.filter(|_| store_up),
            answered,
            error,
        }
    }
}
