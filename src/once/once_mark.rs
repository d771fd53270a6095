use std::{cmp::Ordering, fmt, time::SystemTime};

use thiserror::Error;

use crate::lease::{CandidateId, FencingToken, LeaseRecord};

/// What a process that held the guard has written: that the work is done, or open again after a reset.
///
/// It is written as the *holder* of an acquisition, because a record keeps the holders of its last
/// acquisitions: a mark that arrives late is added beside the newer one and does not replace it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OnceMark {
    pub(super) state: MarkState,
    /// The token of the guard under which it was written.
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
    pub(super) mark: OnceMark,
    pub(super) at: SystemTime,
}

/// Why no mark could be read from a record.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum UnreadableMark {
    #[error("{0} has acquired it, which is not a mark")]
    Foreign(CandidateId),
    #[error("its history does not contain its last acquisition")]
    NoHistory,
}

impl OnceMark {
    /// The mark as the holder under which it is written.
    pub(super) fn to_holder(&self) -> CandidateId {
        CandidateId::new(self.to_string())
            .expect("the id of a guard leaves room for a word and a number")
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
        // Only what `to_holder` writes: no sign, no leading zero.
        (mark.to_string() == holder.as_str()).then_some(mark)
    }

    /// The mark that counts: the one with the largest token, whatever was written after it.
    pub(super) fn read_from(record: &LeaseRecord) -> Result<DatedMark, UnreadableMark> {
        if !ends_with_the_last_acquisition(record) {
            return Err(UnreadableMark::NoHistory);
        }
        let entries = record.history.iter().enumerate();
        let marks = entries.filter_map(|(index, acquired)| {
            let seen = DatedMark {
                mark: Self::parse(&acquired.holder)?,
                at: acquired.since,
            };
            Some((index, seen))
        });
        let newest = marks.max_by_key(|(_, seen)| seen.mark.token);
        // A foreign acquisition before that mark does not matter.
        let since = newest.as_ref().map_or(0, |(index, _)| *index);
        let foreign = record.history[since..]
            .iter()
            .rev()
            .find(|acquired| Self::parse(&acquired.holder).is_none());
        match (foreign, newest) {
            (None, Some((_, seen))) => Ok(seen),
            (Some(foreign), _) => Err(UnreadableMark::Foreign(foreign.holder.clone())),
            (None, None) => Err(UnreadableMark::NoHistory),
        }
    }
}

/// Whether the history ends with the last acquisition of the record. The two tokens differ if an operator has
/// raised that of the record after a restore; then the times of the acquisition must be equal.
fn ends_with_the_last_acquisition(record: &LeaseRecord) -> bool {
    let Some(last) = record.history.last() else {
        return false;
    };
    match last.token.cmp(&record.token) {
        Ordering::Equal => true,
        Ordering::Less => millis(last.since) == millis(record.since),
        Ordering::Greater => false,
    }
}

/// In milliseconds, because a store may keep no more of the times in a history.
fn millis(moment: SystemTime) -> Option<u128> {
    let since = moment.duration_since(SystemTime::UNIX_EPOCH);
    Some(since.ok()?.as_millis())
}

impl fmt::Display for OnceMark {
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
