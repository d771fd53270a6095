use std::{fmt, time::SystemTime};

use thiserror::Error;

use crate::lease::{CandidateId, FencingToken, LeaseRecord};

/// What a process under the guard has written: that the work is done, or to be done again.
///
/// It is the *holder* under which the marker was acquired, because a record keeps the holders of its
/// last acquisitions: a mark that arrives late stands beside the newer one, and does not replace it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CompletionMark {
    pub(super) state: MarkState,
    /// Of the guard under which it was written.
    pub(super) token: FencingToken,
    pub(super) by: CandidateId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MarkState {
    Done,
    Open,
}

/// A mark in a record, and when it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DatedMark {
    pub(super) mark: CompletionMark,
    pub(super) at: SystemTime,
}

/// Why a record is no marker.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum Unreadable {
    #[error("{0} has held it, which is no mark")]
    Foreign(CandidateId),
    #[error("its history does not have its last acquisition")]
    NoHistory,
}

impl CompletionMark {
    /// The holder that stands for it.
    pub(super) fn id(&self) -> CandidateId {
        CandidateId::new(self.to_string())
            .expect("the id of a guard is so short that a word and a number fit beside it")
    }

    fn parse(holder: &CandidateId) -> Option<Self> {
        let mut parts = holder.as_str().splitn(3, ' ');
        let state = match parts.next()? {
            "done" => MarkState::Done,
            "open" => MarkState::Open,
            _ => return None,
        };
        let mark = Self {
            state,
            token: FencingToken::new(parts.next()?.parse().ok()?),
            by: CandidateId::new(parts.next()?).ok()?,
        };
        // Nothing but what was written by `id`: no sign, no leading zero.
        (mark.to_string() == holder.as_str()).then_some(mark)
    }

    /// The mark that counts: the one that was written under the newest guard, whatever came after it.
    pub(super) fn of(record: &LeaseRecord) -> Result<DatedMark, Unreadable> {
        if !ends_with_the_last_acquisition(record) {
            return Err(Unreadable::NoHistory);
        }
        let marks = record.history.iter().filter_map(|acquired| {
            let seen = DatedMark {
                mark: Self::parse(&acquired.holder)?,
                at: acquired.since,
            };
            Some((acquired.token, seen))
        });
        let newest = marks.max_by_key(|(_, seen)| seen.mark.token);
        let since = newest.as_ref().map(|(token, _)| *token);
        // What others did with the name before counts no more once somebody has marked it.
        let foreign = record.history.iter().rev().find(|acquired| {
            Some(acquired.token) > since && Self::parse(&acquired.holder).is_none()
        });
        match (foreign, newest) {
            (None, Some((_, seen))) => Ok(seen),
            (Some(foreign), _) => Err(Unreadable::Foreign(foreign.holder.clone())),
            (None, None) => Err(Unreadable::NoHistory),
        }
    }
}

/// Whether no line is missing at the end of the history. Its token may be less than that of the record,
/// where an operator has raised that one after a restore; then the time of the acquisition tells.
fn ends_with_the_last_acquisition(record: &LeaseRecord) -> bool {
    let Some(last) = record.history.last() else {
        return false;
    };
    let was_raised = last.token < record.token && millis(last.since) == millis(record.since);
    last.token == record.token || was_raised
}

/// A history need not have more than milliseconds.
fn millis(moment: SystemTime) -> Option<u128> {
    let since = moment.duration_since(SystemTime::UNIX_EPOCH);
    Some(since.ok()?.as_millis())
}

impl fmt::Display for CompletionMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            MarkState::Done => "done",
            MarkState::Open => "open",
        };
        write!(f, "{state} {} {}", self.token, self.by)
    }
}

#[cfg(test)]
mod tests;
