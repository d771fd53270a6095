//! How long a lease lives and how often it is renewed and asked for.

use std::time::Duration;

use thiserror::Error;

use crate::duration::human;

/// The spread of the poll delay: a poll comes up to this part of `poll_every` later.
pub const POLL_JITTER: f64 = 0.2;

const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// The times of an election, checked as a whole.
///
/// ```
/// # use std::time::Duration;
/// # use tenure::Timing;
/// let timing = Timing::builder().ttl(Duration::from_secs(3)).build()?;
/// assert_eq!(timing.renew_every(), Duration::from_secs(1));
/// # Ok::<(), tenure::InvalidTiming>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timing {
    ttl: Duration,
    renew_every: Duration,
    poll_every: Duration,
    margin: Duration,
    call_timeout: Duration,
    yield_for: Duration,
}

/// Why times do not go together.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidTiming {
    /// A time is so short that the lock would do nothing but ask.
    #[error("{name} of {} is too short: at least {} is needed", human(*given), human(*min))]
    TooShort {
        /// Which time.
        name: &'static str,
        /// What was given.
        given: Duration,
        /// The least that is allowed.
        min: Duration,
    },
    /// A time is absurdly long.
    #[error("{name} of {} is too long: at most {} is allowed", human(*given), human(*max))]
    TooLong {
        /// Which time.
        name: &'static str,
        /// What was given.
        given: Duration,
        /// The most that is allowed.
        max: Duration,
    },
    /// The first renewal would come when the holder no longer believes in its lease.
    #[error(
        "renew_every of {} plus margin of {} leaves nothing of a ttl of {}: renew more often or \
         lengthen the ttl",
        human(*renew_every),
        human(*margin),
        human(*ttl)
    )]
    RenewsTooLate {
        /// The time between renewals.
        renew_every: Duration,
        /// The margin.
        margin: Duration,
        /// The ttl.
        ttl: Duration,
    },
    /// A grant that takes as long as a request may would come too late to be taken.
    #[error(
        "call_timeout of {} is more than a ttl of {} less twice a margin of {} leaves: a grant that \
         took so long would not be taken; shorten them or lengthen the ttl",
        human(*call_timeout),
        human(*ttl),
        human(*margin)
    )]
    GrantsTooLate {
        /// The time limit of a request.
        call_timeout: Duration,
        /// The ttl.
        ttl: Duration,
        /// The margin.
        margin: Duration,
    },
    /// A lock that may be held for less than its ttl.
    #[error(
        "max_hold of {} is shorter than the ttl of {}: lengthen it or shorten the ttl",
        human(*max_hold),
        human(*ttl)
    )]
    HeldTooShort {
        /// The longest time that the lock may be held.
        max_hold: Duration,
        /// The ttl.
        ttl: Duration,
    },
    /// The ttl is shorter than the store can keep.
    #[error(
        "a ttl of {} is below the minimum of the {store} store, {}: lengthen the ttl",
        human(*ttl),
        human(*min)
    )]
    BelowStoreMinimum {
        /// What was given.
        ttl: Duration,
        /// The store's minimum.
        min: Duration,
        /// The store's kind.
        store: &'static str,
    },
}

impl Timing {
    /// Times that follow from a ttl of 15 s, unless they are set.
    pub fn builder() -> TimingBuilder {
        TimingBuilder::default()
    }

    /// How long a lease lives in the store without renewal.
    #[must_use]
    pub const fn ttl(&self) -> Duration {
        self.ttl
    }

    /// The time between the renewals of a leader.
    #[must_use]
    pub const fn renew_every(&self) -> Duration {
        self.renew_every
    }

    /// The time between the bids of a follower.
    #[must_use]
    pub const fn poll_every(&self) -> Duration {
        self.poll_every
    }

    /// How much earlier than the ttl the holder stops believing in its lease.
    #[must_use]
    pub const fn margin(&self) -> Duration {
        self.margin
    }

    /// The time limit of one store request.
    #[must_use]
    pub const fn call_timeout(&self) -> Duration {
        self.call_timeout
    }

    /// How long a planned step-down keeps the lease renewed while the subscribers stop.
    #[must_use]
    pub const fn yield_for(&self) -> Duration {
        self.yield_for
    }

    /// Checks the ttl against the minimum of a store.
    ///
    /// # Errors
    /// [`InvalidTiming::BelowStoreMinimum`].
    pub fn check_minimum(&self, store: &'static str, min: Duration) -> Result<(), InvalidTiming> {
        let ttl = self.ttl;
        match ttl < min {
            true => Err(InvalidTiming::BelowStoreMinimum { ttl, min, store }),
            false => Ok(()),
        }
    }

    pub(crate) fn check_max_hold(&self, max_hold: Duration) -> Result<(), InvalidTiming> {
        let ttl = self.ttl;
        within("max_hold", max_hold)?;
        match max_hold < ttl {
            true => Err(InvalidTiming::HeldTooShort { max_hold, ttl }),
            false => Ok(()),
        }
    }

    pub(crate) fn check_at_least_for(at_least_for: Duration) -> Result<(), InvalidTiming> {
        within("at_least_for", at_least_for)
    }

    /// The least time between two bids: an eighth of `poll_every`.
    pub(crate) fn floor(&self) -> Duration {
        self.poll_every / 8
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self::builder()
            .build()
            .expect("the defaults go together, as a test asserts")
    }
}

/// Sets the times of a [`Timing`]; what is not set follows from the ttl.
#[derive(Clone, Copy, Debug, Default)]
#[must_use = "a builder does nothing until build() is called"]
pub struct TimingBuilder {
    ttl: Option<Duration>,
    renew_every: Option<Duration>,
    poll_every: Option<Duration>,
    margin: Option<Duration>,
    call_timeout: Option<Duration>,
    yield_for: Option<Duration>,
}

impl TimingBuilder {
    /// How long a lease lives in the store without renewal. Default 15 s, 1 ms to 366 days; each store
    /// has a minimum of its own. After a crash the resource is without a leader for up to a ttl.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// The time between renewals. Default ttl / 3, at least 1 ms, less than ttl − margin. It may come up to a tenth early, so that many
    /// leases of one process do not renew at one instant.
    pub fn renew_every(mut self, every: Duration) -> Self {
        self.renew_every = Some(every);
        self
    }

    /// The time between the bids of a follower, each up to [`POLL_JITTER`] of it later. Default
    /// ttl / 5, at least 1 ms. After a release the next leader is found within about this time.
    pub fn poll_every(mut self, every: Duration) -> Self {
        self.poll_every = Some(every);
        self
    }

    /// How much earlier than the ttl the holder stops believing in its lease. Default ttl / 10, at
    /// least 1 ms. It must exceed what the store's clock and the holder's can drift apart over one ttl.
    pub fn margin(mut self, margin: Duration) -> Self {
        self.margin = Some(margin);
        self
    }

    /// The time limit of one store request. Default ttl / 5, at least 1 ms, at most ttl − 2 · margin.
    pub fn call_timeout(mut self, limit: Duration) -> Self {
        self.call_timeout = Some(limit);
        self
    }

    /// How long a planned step-down keeps the lease renewed while the subscribers stop. Default one
    /// ttl. Zero gives nobody time: the lease is always left to expire.
    pub fn yield_for(mut self, limit: Duration) -> Self {
        self.yield_for = Some(limit);
        self
    }

    /// Checks the times as a whole.
    ///
    /// # Errors
    /// [`InvalidTiming`] names the times that conflict.
    pub fn build(self) -> Result<Timing, InvalidTiming> {
        let ttl = self.ttl.unwrap_or(Duration::from_secs(15));
        let timing = Timing {
            ttl,
            renew_every: self.renew_every.unwrap_or(ttl / 3),
            poll_every: self.poll_every.unwrap_or(ttl / 5),
            margin: self.margin.unwrap_or(ttl / 10),
            call_timeout: self.call_timeout.unwrap_or(ttl / 5),
            yield_for: self.yield_for.unwrap_or(ttl),
        };
        timing.check()?;
        Ok(timing)
    }
}

impl Timing {
    fn check(&self) -> Result<(), InvalidTiming> {
        let times = [
            ("ttl", self.ttl),
            ("renew_every", self.renew_every),
            ("poll_every", self.poll_every),
            ("margin", self.margin),
            ("call_timeout", self.call_timeout),
            ("yield_for", self.yield_for),
        ];
        for (name, given) in times {
            // Zero gives nobody time to stop, which may be wanted.
            if name != "yield_for" || given > LONGEST {
                within(name, given)?;
            }
        }
        let Self {
            ttl,
            renew_every,
            margin,
            call_timeout,
            ..
        } = *self;
        if renew_every + margin >= ttl {
            return Err(InvalidTiming::RenewsTooLate {
                renew_every,
                margin,
                ttl,
            });
        }
        if call_timeout + margin * 2 > ttl {
            return Err(InvalidTiming::GrantsTooLate {
                call_timeout,
                ttl,
                margin,
            });
        }
        Ok(())
    }
}

fn within(name: &'static str, given: Duration) -> Result<(), InvalidTiming> {
    let (min, max) = (SHORTEST, LONGEST);
    if given < min {
        return Err(InvalidTiming::TooShort { name, given, min });
    }
    match given > max {
        true => Err(InvalidTiming::TooLong { name, given, max }),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn defaults_follow_from_a_ttl_of_15_s() {
        let timing = Timing::default();
        assert_eq!(timing.ttl(), secs(15));
        assert_eq!(timing.renew_every(), secs(5));
        assert_eq!(timing.poll_every(), secs(3));
        assert_eq!(timing.margin(), Duration::from_millis(1500));
        assert_eq!(timing.call_timeout(), secs(3));
        assert_eq!(timing.yield_for(), secs(15));
    }

    #[test]
    fn an_error_names_both_numbers_that_conflict() {
        let error = |builder: TimingBuilder| builder.build().unwrap_err().to_string();
        let builder = Timing::builder().ttl(secs(10));
        assert_eq!(
            error(Timing::builder().ttl(secs(0))),
            "ttl of 0 s is too short: at least 1 ms is needed"
        );
        let text = error(builder.renew_every(secs(8)).margin(secs(2)));
        assert!(
            text.contains("8 s") && text.contains("2 s") && text.contains("10 s"),
            "{text}"
        );
        assert!(builder.call_timeout(secs(8)).build().is_ok());
        let text = error(builder.call_timeout(secs(9)));
        assert!(text.contains("9 s") && text.contains("10 s"), "{text}");
        let text = error(builder.yield_for(secs(400 * 86_400)));
        assert!(text.contains("yield_for"), "{text}");
        assert!(builder.yield_for(secs(0)).build().is_ok());
        assert!(builder.margin(secs(0)).build().is_err());
    }

    #[test]
    fn a_ttl_below_the_minimum_of_the_store_is_refused() {
        let timing = Timing::builder().ttl(secs(1)).build().unwrap();
        assert!(timing.check_minimum("etcd", secs(1)).is_ok());
        let error = timing
            .check_minimum("etcd", secs(2))
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "a ttl of 1 s is below the minimum of the etcd store, 2 s: lengthen the ttl"
        );
    }
}
