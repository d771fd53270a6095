use std::fmt;

/// What must hold in every run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Property {
    /// The guarantee: answers of `is_current()` are ordered by acquisition.
    Exclusion,
    /// Nobody believes in a leadership for longer than its last confirmed request allows, counted from
    /// when that was sent.
    Deadline,
    /// A leadership that was seen to have ended does not come back.
    Final,
    /// Tokens grow, and belong to one acquisition each.
    Tokens,
    /// `BecameLeader` and `BecameFollower` alternate, and are about the same token.
    Told,
    /// Nothing begins, and nothing is released, before the subscribers have acknowledged.
    Acknowledged,
    /// Subscribers hear of an end as soon as a timer can tell them.
    OnTime,
    /// Nobody begins to lead with less than the margin left.
    Fresh,
    /// Each reason fits what has happened.
    Reasons,
    /// Trouble of the store that is shorter than the deadline changes nothing, and where there is none no
    /// lease is lost.
    Steady,
    /// Over any ttl no candidate sends more than four times what an undisturbed one does, and it waits
    /// between two bids.
    Rate,
    /// After the faults have stopped, one leads within the bound.
    Liveness,
    /// Nobody begins to lead while it is paused or held off.
    HeldBack,
    /// What others shall not have for a time is not given back before.
    Kept,
    /// What is no longer wanted is given back: the lease of a planned and clean end, and what an attempt
    /// may have been granted whose candidate stops contending. Nor is such an attempt bid again.
    GivenBack,
    /// The register takes no write with a token older than one that it has seen.
    StaleWrites,
    /// A record for newer libraries is not written.
    NewerRecords,
    /// Observers hear of each change once, in the order of tokens, and only of what was so.
    Order,
    /// After the faults have stopped, observers know the leader within their bound.
    Known,
    /// Nothing panics.
    NoPanic,
}

/// A property that does not hold, and how it was seen.
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
