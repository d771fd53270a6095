use std::fmt;

/// A property that must hold in every run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Property {
    /// The guarantee: at any moment at most one acquisition is current, and they follow in order.
    Exclusion,
    /// A leadership ends at its deadline, counted from when its last confirmed request was sent.
    Deadline,
    /// A leadership that was seen to have ended never becomes current again.
    Final,
    /// Tokens grow, and each belongs to one acquisition.
    Tokens,
    /// `BecameLeader` and `BecameFollower` alternate, and are about the same token.
    Messages,
    /// No leadership begins and no lease is released before the subscribers have acknowledged.
    Acknowledged,
    /// Subscribers are told of an end as soon as a timer can fire.
    EndToldOnTime,
    /// No leadership begins with less than the margin left.
    EnoughTimeLeft,
    /// Each reason fits what has happened.
    Reasons,
    /// Store outages shorter than the deadline end no leadership; without an outage no lease is lost.
    SurvivesOutages,
    /// Over any ttl a candidate sends at most four times the undisturbed number of requests, and it waits
    /// between two bids.
    Rate,
    /// After the faults have stopped, there is a leader within the bound.
    Liveness,
    /// A candidate that is paused or held off does not begin to lead.
    NotWhilePaused,
    /// Nobody acquires the lease after an operator's pause was confirmed and before a resume was sent.
    PauseHolds,
    /// A lease is not released before its `min_hold` is over.
    MinHold,
    /// Leases that are no longer needed are released: after a planned and clean end, and after a candidate has
    /// stopped contending with an attempt that may have been granted. Such an attempt is not bid again.
    ReleasedWhenUnneeded,
    /// The register accepts no write with a token lower than one that it has seen.
    StaleWrites,
    /// A record of a newer format is not written.
    NewerRecords,
    /// Observers get each change once, in the order of tokens, and only changes that the store had.
    Order,
    /// After the faults have stopped, observers know the leader within their bound.
    ObserversKnow,
    /// Nothing panics.
    NoPanic,
}

/// A property that was violated, and what was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Violation {
    pub(super) property: Property,
    pub(super) text: String,
}

impl Violation {
    pub(super) fn new(property: Property, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { property, text }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.property, self.text)
    }
}
