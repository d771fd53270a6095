use std::{fmt, time::Duration};

use thiserror::Error;

use crate::duration::human;

/// Why times are refused. A time that is `None` was not set, so it follows from the ttl.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidTiming {
    /// A time is too short, or the ttl is so short that a time which follows from it would be too short.
    #[error(
        "{name} of {} is too short: at least {} is needed",
        human(*given),
        human(*min)
    )]
    TooShort {
        /// Which time.
        name: &'static str,
        /// What was given.
        given: Duration,
        /// The least that is allowed.
        min: Duration,
    },
    /// A time is too long.
    #[error(
        "{name} of {} is too long: at most {} is allowed",
        human(*given),
        human(*max)
    )]
    TooLong {
        /// Which time.
        name: &'static str,
        /// What was given.
        given: Duration,
        /// The most that is allowed.
        max: Duration,
    },
    /// renew_every + margin + call_timeout exceed the ttl: a renewal that takes `call_timeout` would be answered
    /// after the deadline.
    #[error(fmt = renews_too_late)]
    RenewsTooLate {
        /// The time between renewals.
        renew_every: Option<Duration>,
        /// The margin.
        margin: Option<Duration>,
        /// The time limit of a request.
        call_timeout: Option<Duration>,
        /// The ttl.
        ttl: Duration,
    },
    /// margin + 2 · call_timeout exceed the ttl: if two renewals in a row take `call_timeout`, the second is sent
    /// when the first is answered, and would be answered after the deadline.
    #[error(fmt = slow_renewals_too_late)]
    SlowRenewalsTooLate {
        /// The margin.
        margin: Option<Duration>,
        /// The time limit of a request.
        call_timeout: Option<Duration>,
        /// The ttl.
        ttl: Duration,
    },
    /// call_timeout + 2 · margin exceed the ttl: a grant that takes `call_timeout` would come too late to be taken.
    #[error(fmt = grants_too_late)]
    GrantsTooLate {
        /// The margin.
        margin: Option<Duration>,
        /// The time limit of a request.
        call_timeout: Option<Duration>,
        /// The ttl.
        ttl: Duration,
    },
    /// A follower would bid less than once per ttl.
    #[error(
        "poll_every of {} is longer than the ttl of {}: poll more often or lengthen the ttl",
        human(*poll_every),
        human(*ttl)
    )]
    PollsTooRarely {
        /// The time between the bids of a follower.
        poll_every: Duration,
        /// The ttl.
        ttl: Duration,
    },
    /// `max_hold` is shorter than the ttl.
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
    /// The ttl is below the minimum of the store.
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

fn renews_too_late(
    renew_every: &Option<Duration>,
    margin: &Option<Duration>,
    call_timeout: &Option<Duration>,
    ttl: &Duration,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    let times = [
        ("renew_every", "", *renew_every),
        ("margin", "", *margin),
        ("call_timeout", "", *call_timeout),
    ];
    write_too_much_of_ttl(f, &times, *ttl, "one slow renewal would lose the lease")
}

fn slow_renewals_too_late(
    margin: &Option<Duration>,
    call_timeout: &Option<Duration>,
    ttl: &Duration,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    let times = [
        ("margin", "", *margin),
        ("call_timeout", " (counted twice)", *call_timeout),
    ];
    write_too_much_of_ttl(
        f,
        &times,
        *ttl,
        "two slow renewals in a row would lose the lease",
    )
}

fn grants_too_late(
    margin: &Option<Duration>,
    call_timeout: &Option<Duration>,
    ttl: &Duration,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    let times = [
        ("margin", " (counted twice)", *margin),
        ("call_timeout", "", *call_timeout),
    ];
    write_too_much_of_ttl(
        f,
        &times,
        *ttl,
        "a slow grant would come too late to be taken",
    )
}

/// Writes that times add up to more than the ttl. Of times that were not set, it writes only the names.
fn write_too_much_of_ttl(
    f: &mut fmt::Formatter<'_>,
    times: &[(&str, &str, Option<Duration>)],
    ttl: Duration,
    consequence: &str,
) -> fmt::Result {
    let set = times.iter().filter_map(|(name, note, time)| {
        let time = human((*time)?);
        Some(format!("{name} of {time}{note}"))
    });
    let set: Vec<_> = set.collect();
    let unset = times.iter().filter(|(.., time)| time.is_none());
    let unset: Vec<_> = unset.map(|(name, ..)| (*name).to_owned()).collect();
    let (verb, them) = if set.len() == 1 {
        ("leaves", "it")
    } else {
        ("leave", "them")
    };
    let (given, ttl) = (listed(&set), human(ttl));
    if unset.is_empty() {
        return write!(
            f,
            "{given} add up to more than the ttl of {ttl}, so {consequence}: shorten {them} or \
             lengthen the ttl"
        );
    }
    write!(
        f,
        "{given} {verb} too little of the ttl of {ttl} for {}, so {consequence}: shorten {them} or \
         lengthen the ttl",
        listed(&unset)
    )
}

/// `a`, `a and b`, `a, b and c`.
fn listed(items: &[String]) -> String {
    match items {
        [all @ .., last] if !all.is_empty() => format!("{} and {last}", all.join(", ")),
        items => items.concat(),
    }
}
