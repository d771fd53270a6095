use async_trait::async_trait;

use super::change::{RecordChange, WriteCondition};
use crate::{
    lease::{FencingToken, ResourceName, StandingInstruction},
    store::{failure::RequestResult, record::StoredRecord},
};

/// What one operation needs of a database without a clock: conditional writes and reads of one record.
#[async_trait]
pub(crate) trait Table: Sync {
    /// Makes the change if the guard holds, and increases the version with it.
    async fn write(
        &self,
        resource: &ResourceName,
        change: &RecordChange,
        guard: &WriteCondition,
    ) -> RequestResult<WriteOutcome>;

    /// Reads the current record, never an older one.
    async fn get(&self, resource: &ResourceName) -> RequestResult<Option<TableRecord>>;
}

/// The outcome of a write.
#[derive(Debug)]
pub(crate) enum WriteOutcome {
    Done(Written),
    /// The guard did not hold, or an instruction refuses the bid. The record is given, if the database returns it.
    Refused(Option<TableRecord>),
}

/// The record after a write, as far as it is needed.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) version: u64,
    /// Known after a [`RecordChange::Take`].
    pub(crate) token: Option<FencingToken>,
    /// Known after a [`RecordChange::Instruct`].
    pub(crate) edition: Option<u64>,
    /// What stands in the record after a [`RecordChange::Extend`]; none if the condition says so.
    pub(crate) instruction: Option<StandingInstruction>,
}

/// A record as it was read. Its `expires_at` has no meaning until the record is observed.
#[derive(Debug)]
pub(crate) struct TableRecord {
    pub(crate) record: StoredRecord,
    pub(crate) min_reader: u64,
}
