use std::sync::Arc;

use crate::{
    clock::Clock,
    lease::{CandidateId, Metadata, ResourceName},
    timing::Timing,
};

#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) resource: ResourceName,
    pub(crate) candidate: CandidateId,
    pub(crate) timing: Timing,
    pub(crate) metadata: Option<Metadata>,
    /// For each [`Leadership`](crate::leadership::Leadership). The election itself does not read it.
    pub(crate) clock: Arc<dyn Clock>,
}
