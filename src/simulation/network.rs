use std::time::Duration;

use rand::{RngExt as _, rngs::SmallRng};

use super::plan::StoreKind;

/// The delivery of one request to the store and of its reply.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Delivery {
    /// The time until the request arrives; `None` if it is lost.
    pub(super) arrives: Option<Duration>,
    /// The time until a second copy arrives, whose reply is dropped.
    pub(super) again: Option<Duration>,
    /// The time that the reply takes; `None` if it is lost.
    pub(super) answered: Option<Duration>,
    /// The time until the sender sees a connection error, if it does.
    pub(super) error: Option<Duration>,
}

/// The network of one run. Chances are from 0 to 1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Network {
    /// The longest time that a message takes if it is not late, as a part of the time limit of its
    /// request.
    pub(super) usual: f64,
    pub(super) loss: f64,
    pub(super) late: f64,
    pub(super) duplicates: f64,
    pub(super) errors: f64,
    /// Whether a store that is down refuses connections at once.
    pub(super) refuses: bool,
}

impl Network {
    pub(super) fn new(rng: &mut SmallRng) -> Self {
        let mut chance = |most: f64| {
            if rng.random_bool(0.5) {
                rng.random_range(0.0..most)
            } else {
                0.0
            }
        };
        let refuses = chance(1.0) > 0.0;
        Self {
            usual: 0.3,
            refuses,
            loss: chance(0.4),
            late: chance(0.3),
            duplicates: chance(0.3),
            errors: chance(0.5),
        }
    }

    /// The same network without faults. A request and its reply arrive just within the time limit, unless an
    /// operation needs several requests.
    pub(super) fn mended(self, store: StoreKind) -> Self {
        let observed = matches!(store, StoreKind::Observed { .. });
        Self {
            usual: if observed { self.usual } else { 0.45 },
            loss: 0.0,
            late: 0.0,
            duplicates: 0.0,
            errors: 0.0,
            ..self
        }
    }

    /// How long a message takes if its reply must come within `limit`.
    fn delay(&self, limit: Duration, rng: &mut SmallRng) -> Duration {
        // Late means later than that, up to several ttl.
        let most = if rng.random_bool(self.late) {
            20.0
        } else {
            self.usual
        };
        limit.mul_f64(rng.random_range(0.001..most))
    }

    pub(super) fn delivery(&self, limit: Duration, store_up: bool, rng: &mut SmallRng) -> Delivery {
        if self.refuses && !store_up {
            return Delivery {
                error: Some(Duration::from_millis(1)),
                ..Delivery::default()
            };
        }
        let arrives = (store_up && !rng.random_bool(self.loss)).then(|| self.delay(limit, rng));
        let answered = (!rng.random_bool(self.loss)).then(|| self.delay(limit, rng));
        let again = rng
            .random_bool(self.duplicates)
            .then(|| self.delay(limit, rng) * 2);
        let broken = arrives.is_none() || answered.is_none();
        let error = (broken && rng.random_bool(self.errors)).then(|| self.delay(limit, rng));
        Delivery {
            arrives,
            again: again.filter(|_| store_up),
            answered,
            error,
        }
    }
}
