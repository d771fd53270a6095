use std::time::Duration;

use rand::{RngExt as _, rngs::SmallRng};

use crate::timing::Timing;

/// Random times of one candidate that [`Timing`] accepts: often the defaults for its ttl, often the longest
/// `renew_every` or `call_timeout` that it accepts.
pub(super) fn random(rng: &mut SmallRng) -> Timing {
    loop {
        let ttl = between(LEAST_TTL, MOST_TTL, rng);
        let timing = if rng.random_bool(0.2) {
            Timing::builder().ttl(ttl)
        } else {
            let part = |least, rng: &mut SmallRng| ttl.mul_f64(logarithmic(least, 1.0, rng));
            let margin = part(0.01, rng);
            let slowest = ttl.saturating_sub(margin) / 2;
            let call_timeout = if rng.random_bool(0.2) {
                slowest
            } else {
                part(0.05, rng)
            };
            let latest = ttl.saturating_sub(call_timeout + margin);
            let renew_every = if rng.random_bool(0.2) {
                latest
            } else {
                part(0.1, rng)
            };
            Timing::builder()
                .ttl(ttl)
                .poll_every(part(0.1, rng))
                .call_timeout(call_timeout)
                .margin(margin)
                .renew_every(renew_every)
                .yield_for(ttl.mul_f64(rng.random_range(0.0..2.0)))
        };
        if let Ok(timing) = timing.build() {
            return timing;
        }
    }
}

const LEAST_TTL: Duration = Duration::from_secs(4);
const MOST_TTL: Duration = Duration::from_secs(20);

fn between(least: Duration, most: Duration, rng: &mut SmallRng) -> Duration {
    let seconds = logarithmic(least.as_secs_f64(), most.as_secs_f64(), rng);
    Duration::from_secs_f64(seconds)
}

/// Uniform in the logarithm: as likely between 1 and 2 as between 2 and 4.
fn logarithmic(least: f64, most: f64, rng: &mut SmallRng) -> f64 {
    least * (most / least).powf(rng.random_range(0.0..=1.0))
}
