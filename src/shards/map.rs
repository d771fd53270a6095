//! The legal steps of an entry of the map. Whatever an assigner or a member believes, it writes nothing else.

use super::format::{Entry, Session};
use crate::lease::FencingToken;

/// What somebody wants to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The assigner gives the shard to a session.
    Assign(Session),
    /// The assigner asks the owner to hand the shard over.
    Move(Session),
    /// The assigner takes that back.
    Withdraw,
    /// The owner gives the shard to `next`, or to nobody: its actor has acknowledged the loss.
    HandOver,
    /// The owner owns the shard again, under a new token: the plan was withdrawn after its actor had stopped.
    Retake,
    /// The owner waits for the acknowledgement no longer.
    Detach,
    /// The owner gives the shard to `next`, or to nobody: its actor has not acknowledged an earlier loss of the shard.
    GiveBack,
    /// The actor of a session has acknowledged at last.
    Acknowledged,
}

/// What the writer knows, and what never becomes untrue.
pub(crate) struct Facts<'a> {
    /// Its own session.
    pub(crate) me: Session,
    /// Whether a session was fenced or released.
    pub(crate) is_dead: &'a dyn Fn(Session) -> bool,
    /// Whether a whole ttl has passed since it saw that the shard was detached, under its present token.
    pub(crate) may_take: bool,
    /// The token of the owner that this write makes.
    pub(crate) token: FencingToken,
}

impl Step {
    /// The entry after the step; `None` if the step is not legal.
    pub(crate) fn apply(self, entry: &Entry, facts: &Facts<'_>) -> Option<Entry> {
        let mine = entry.owner == Some(facts.me);
        let mut after = entry.clone();
        match self {
            Self::Assign(to) => {
                let free = match entry.owner {
                    None => true,
                    Some(owner) => (facts.is_dead)(owner) || (entry.detached && facts.may_take),
                };
                if entry.detached {
                    // Its actor has not acknowledged.
                    after.avoid.extend(entry.owner);
                }
                after.avoid.retain(|session| !(facts.is_dead)(*session));
                if !free || (facts.is_dead)(to) || after.avoid.contains(&to) {
                    return None;
                }
                after.own(to, facts)?;
            }
            Self::Move(next) => {
                let owner = entry.owner?;
                let fit = next != owner && !(facts.is_dead)(next) && !entry.avoid.contains(&next);
                if entry.detached || !fit {
                    return None;
                }
                after.next = Some(next);
            }
            Self::Withdraw => {
                after.next.take()?;
            }
            Self::HandOver if mine => after.leave(facts)?,
            Self::GiveBack if mine => {
                after.leave(facts)?;
                after.avoid.insert(facts.me);
            }
            Self::Retake if mine && entry.next.is_none() => after.own(facts.me, facts)?,
            Self::Detach if mine && !entry.detached => after.detached = true,
            Self::Acknowledged if entry.avoid.contains(&facts.me) => {
                after.avoid.remove(&facts.me);
            }
            _ => return None,
        }
        Some(after)
    }
}

impl Entry {
    /// A new owner, under a new token.
    fn own(&mut self, owner: Session, facts: &Facts<'_>) -> Option<()> {
        if self.token.is_some_and(|token| token >= facts.token) {
            return None;
        }
        self.owner = Some(owner);
        self.token = Some(facts.token);
        self.next = None;
        self.detached = false;
        self.last = None;
        Some(())
    }

    /// The owner gives it to `next`, or to nobody.
    fn leave(&mut self, facts: &Facts<'_>) -> Option<()> {
        let left = self.owner?;
        match self.next {
            Some(next) => self.own(next, facts),
            None => {
                self.owner = None;
                self.detached = false;
                self.last = Some(left.slot);
                Some(())
            }
        }
    }
}

#[cfg(test)]
mod tests;
