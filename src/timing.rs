//! The times of an election: how long a lease lives, and how often it is renewed and bid for.

mod invalid;

pub use invalid::InvalidTiming;

use std::time::Duration;

/// The jitter of polls: each is up to this part of `poll_every` later.
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
    /// Sets up times. Those that you do not set follow from the ttl, which is 15 s by default.
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

    /// How much earlier than the ttl a lease ends for its holder.
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
    /// [`InvalidTiming::BelowStoreMinimum`] if the ttl is shorter.
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

    /// The longest time from sending a renewal to the answer of the next one, if the first was answered before
    /// the next was due.
    fn slow_renewal_answered_after(&self) -> Duration {
        if mutant!(NoRoomForSlowRenewals) {
            return self.renew_every;
        }
        self.renew_every + self.call_timeout
    }

    /// The same if the first renewal was slow, too: the next is sent when the first is answered.
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

/// Sets the times of a [`Timing`]. Those that you do not set follow from the ttl.
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
    /// Default: 15 s; at least 10 ms, at most 366 days. Each store also has a minimum. After a crash, the resource
    /// has no leader for up to a ttl.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// The time between renewals. Each is up to a tenth of it early, so that the leases of one process are not all
    /// renewed at the same moment.
    ///
    /// Default: ttl / 3, or what margin and call_timeout leave of the ttl if that is less, but at least ttl / 10.
    /// At least 1 ms. renew_every + margin + call_timeout must not exceed the ttl, so that one slow renewal does
    /// not lose the lease.
    ///
    /// If call_timeout is longer than this, a renewal may have to wait for the answer to the one before.
    pub fn renew_every(mut self, every: Duration) -> Self {
        self.renew_every = Some(every);
        self
    }

    /// The time between the bids of a follower. Each is up to [`POLL_JITTER`] of it later. If the store pushes its
    /// changes, a follower bids only when the lease expires, up to a third of this later, and upon events. After a release, the
    /// next leader is elected within about this time.
    ///
    /// Default: ttl / 5; at least 1 ms, at most one ttl.
    pub fn poll_every(mut self, every: Duration) -> Self {
        self.poll_every = Some(every);
        self
    }

    /// How much earlier than the ttl a lease ends for its holder. It must exceed the time by which the clocks of
    /// the store and of the holder can drift apart over one ttl.
    ///
    /// Default: ttl / 10; at least 1 ms.
    pub fn margin(mut self, margin: Duration) -> Self {
        self.margin = Some(margin);
        self
    }

    /// The time limit of one store request.
    ///
    /// Default: ttl / 5, or what renew_every and margin leave of the ttl if that is less, but at least ttl / 10.
    /// At least 1 ms. None of these sums may exceed the ttl: renew_every + margin + call_timeout,
    /// margin + 2 · call_timeout, call_timeout + 2 · margin.
    pub fn call_timeout(mut self, limit: Duration) -> Self {
        self.call_timeout = Some(limit);
        self
    }

    /// How long a planned step-down keeps the lease renewed while the subscribers stop.
    ///
    /// Default: one ttl. With zero the subscribers have no time to stop, so the lease is always left to expire.
    pub fn yield_for(mut self, limit: Duration) -> Self {
        self.yield_for = Some(limit);
        self
    }

    /// Checks the times as a whole.
    ///
    /// # Errors
    /// [`InvalidTiming`] if times are out of range or conflict. It names the ttl, and those of the times that you
    /// have set.
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
            // Zero is allowed: the lease is then always left to expire.
            ("yield_for", self.yield_for, Duration::ZERO),
        ] {
            if let Some(given) = given {
                check_range(name, given, min)?;
            }
        }
        Ok(())
    }

    /// The least ttl with which no default becomes too short.
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
