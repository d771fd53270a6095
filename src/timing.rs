//! How long a lease lives and how often it is renewed and asked for.

mod invalid;

pub use invalid::InvalidTiming;

use std::time::Duration;

/// The spread of the poll delay: a poll comes up to this part of `poll_every` later.
pub const POLL_JITTER: f64 = 0.2;

const DEFAULT_TTL: Duration = Duration::from_secs(15);
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// The times of an election, checked as a whole.
///
/// ```
/// # use std::time::Duration;
/// # use tenure::Timing;
/// let timing = Timing::builder().ttl(Duration::from_secs(3)).build()?;
/// assert_eq!(timing.renew_every(), Duration::from_secs(1));
/// # Ok::<(), tenure::timing::InvalidTiming>(())
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
        if ttl < min {
            return Err(InvalidTiming::BelowStoreMinimum { ttl, min, store });
        }
        Ok(())
    }

    pub(crate) fn check_max_hold(&self, max_hold: Duration) -> Result<(), InvalidTiming> {
        let ttl = self.ttl;
        check_range("max_hold", max_hold, SHORTEST)?;
        if max_hold < ttl {
            return Err(InvalidTiming::HeldTooShort { max_hold, ttl });
        }
        Ok(())
    }

    pub(crate) fn check_min_hold(min_hold: Duration) -> Result<(), InvalidTiming> {
        check_range("min_hold", min_hold, SHORTEST)
    }

    /// When a renewal is answered at the latest, counted from when the one before it was sent, if that one
    /// was answered before this one was due.
    fn slow_renewal_answered_after(&self) -> Duration {
        if mutant!(NoRoomForSlowRenewals) {
            return self.renew_every;
        }
        self.renew_every + self.call_timeout
    }

    /// The same, if the one before it was slow, too: this one is sent when that one has been answered.
    fn second_slow_renewal_answered_after(&self) -> Duration {
        if mutant!(SecondSlowRenewalIgnored) {
            return self.call_timeout;
        }
        self.call_timeout * 2
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
    /// How long a lease lives in the store without renewal.
    ///
    /// Default 15 s, at least 10 ms, at most 366 days; each store has a minimum of its own. After a crash
    /// the resource is without a leader for up to a ttl.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// The time between renewals. A renewal comes up to a tenth of it early, so that the leases of one
    /// process do not renew at one instant.
    ///
    /// Default ttl / 3, or what margin and call_timeout leave of the ttl if that is less, down to
    /// ttl / 10. At least 1 ms; renew_every + margin + call_timeout must not exceed the ttl, so that a
    /// slow renewal does not lose the lease.
    ///
    /// If call_timeout is longer, a renewal may have to wait for the answer to the one before.
    pub fn renew_every(mut self, every: Duration) -> Self {
        self.renew_every = Some(every);
        self
    }

    /// The time between the bids of a follower, each up to [`POLL_JITTER`] of it later. After a release
    /// the next leader is found within about this time.
    ///
    /// Default ttl / 5, at least 1 ms, at most one ttl.
    pub fn poll_every(mut self, every: Duration) -> Self {
        self.poll_every = Some(every);
        self
    }

    /// How much earlier than the ttl the holder stops believing in its lease. It must exceed what the
    /// store's clock and the holder's can drift apart over one ttl.
    ///
    /// Default ttl / 10, at least 1 ms.
    pub fn margin(mut self, margin: Duration) -> Self {
        self.margin = Some(margin);
        self
    }

    /// The time limit of one store request.
    ///
    /// Default ttl / 5, or what renew_every and margin leave of the ttl if that is less, down to
    /// ttl / 10. At least 1 ms. None of these may exceed the ttl: renew_every + margin + call_timeout,
    /// margin + 2 · call_timeout, call_timeout + 2 · margin.
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
    /// [`InvalidTiming`] names the times that conflict, of those that were set and the ttl.
    pub fn build(self) -> Result<Timing, InvalidTiming> {
        let ttl = self.ttl.unwrap_or(DEFAULT_TTL);
        self.check_ranges(ttl)?;
        let margin = self.margin.unwrap_or(ttl / 10);
        let least = (ttl / 10).max(SHORTEST);
        let call_timeout = self.call_timeout.unwrap_or_else(|| {
            let renew_every = self.renew_every.unwrap_or(least);
            let left = ttl.saturating_sub(margin + renew_every.max(margin));
            left.clamp(least, ttl / 5)
        });
        let renew_every = self.renew_every.unwrap_or_else(|| {
            let left = ttl.saturating_sub(margin + call_timeout);
            left.clamp(least, ttl / 3)
        });
        let timing = Timing {
            ttl,
            renew_every,
            poll_every: self.poll_every.unwrap_or(ttl / 5),
            margin,
            call_timeout,
            yield_for: self.yield_for.unwrap_or(ttl),
        };
        self.check_together(&timing)?;
        Ok(timing)
    }

    fn check_ranges(&self, ttl: Duration) -> Result<(), InvalidTiming> {
        check_range("ttl", ttl, self.least_ttl())?;
        for (name, given, min) in [
            ("renew_every", self.renew_every, SHORTEST),
            ("poll_every", self.poll_every, SHORTEST),
            ("margin", self.margin, SHORTEST),
            ("call_timeout", self.call_timeout, SHORTEST),
            // Zero gives nobody time to stop, which may be wanted.
            ("yield_for", self.yield_for, Duration::ZERO),
        ] {
            if let Some(given) = given {
                check_range(name, given, min)?;
            }
        }
        Ok(())
    }

    /// The least ttl from which no time that was not set becomes too short.
    fn least_ttl(&self) -> Duration {
        let part = match (self.margin, self.call_timeout, self.poll_every) {
            (None, _, _) => 10,
            (_, None, _) | (_, _, None) => 5,
            _ => 3,
        };
        SHORTEST * part
    }

    fn check_together(&self, timing: &Timing) -> Result<(), InvalidTiming> {
        let (ttl, margin) = (timing.ttl, timing.margin);
        if timing.slow_renewal_answered_after() + margin > ttl {
            return Err(InvalidTiming::RenewsTooLate {
                renew_every: self.renew_every,
                margin: self.margin,
                call_timeout: self.call_timeout,
                ttl,
            });
        }
        if timing.second_slow_renewal_answered_after() + margin > ttl {
            return Err(InvalidTiming::SlowRenewalsTooLate {
                margin: self.margin,
                call_timeout: self.call_timeout,
                ttl,
            });
        }
        if timing.call_timeout + margin * 2 > ttl {
            return Err(InvalidTiming::GrantsTooLate {
                margin: self.margin,
                call_timeout: self.call_timeout,
                ttl,
            });
        }
        let poll_every = timing.poll_every;
        if poll_every > ttl {
            return Err(InvalidTiming::PollsTooRarely { poll_every, ttl });
        }
        Ok(())
    }
}

fn check_range(name: &'static str, given: Duration, min: Duration) -> Result<(), InvalidTiming> {
    let max = LONGEST;
    if given < min {
        return Err(InvalidTiming::TooShort { name, given, min });
    }
    if given > max {
        return Err(InvalidTiming::TooLong { name, given, max });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
