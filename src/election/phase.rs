use super::{stepping_down::SteppingDown, term::Term};

#[derive(Debug)]
pub(super) enum Phase {
    Following,
    Leading(Term),
    Yielding(SteppingDown),
}

impl Phase {
    pub(super) fn term(&mut self) -> Option<&mut Term> {
        match self {
            Self::Leading(term) => Some(term),
            Self::Yielding(yielding) => Some(&mut yielding.term),
            Self::Following => None,
        }
    }

    /// The term whose lease is to be renewed.
    pub(super) fn renewing(&mut self) -> Option<&mut Term> {
        match self {
            Self::Leading(term) => Some(term),
            Self::Yielding(yielding) => yielding.renewing(),
            Self::Following => None,
        }
    }
}
