//! The connection of one observing client to the simulated store. The simulation takes each request out and
//! puts its reply in.

use std::{
    future::poll_fn,
    sync::{Mutex, PoisonError},
    task::Poll,
};

use async_trait::async_trait;

use crate::{
    lease::ResourceName,
    store::{
        failure::{Failure, RequestResult},
        observed::{RecordChange, Table, TableRecord, WriteCondition, WriteOutcome},
    },
};

#[derive(Clone, Debug)]
pub(super) enum TableRequest {
    Write(RecordChange, WriteCondition),
    Get,
}

#[derive(Debug)]
pub(super) enum TableReply {
    Written(WriteOutcome),
    Got(Option<TableRecord>),
    Failed(Failure),
}

#[derive(Debug, Default)]
pub(super) struct TablePort(Mutex<(Option<TableRequest>, Option<TableReply>)>);

impl TablePort {
    pub(super) fn asked(&self) -> Option<TableRequest> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .0
            .take()
    }

    pub(super) fn tell(&self, told: TableReply) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1 = Some(told);
    }

    async fn ask(&self, ask: TableRequest) -> TableReply {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0 = Some(ask);
        // The simulation polls it again when the reply is there.
        poll_fn(|_| {
            match self
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .1
                .take()
            {
                Some(told) => Poll::Ready(told),
                None => Poll::Pending,
            }
        })
        .await
    }
}

#[async_trait]
impl Table for TablePort {
    async fn write(
        &self,
        _: &ResourceName,
        change: &RecordChange,
        guard: &WriteCondition,
    ) -> RequestResult<WriteOutcome> {
        match self
            .ask(TableRequest::Write(change.clone(), guard.clone()))
            .await
        {
            TableReply::Written(written) => Ok(written),
            TableReply::Failed(failure) => Err(failure),
            TableReply::Got(_) => unreachable!("the store answers what it was asked"),
        }
    }

    async fn get(&self, _: &ResourceName) -> RequestResult<Option<TableRecord>> {
        match self.ask(TableRequest::Get).await {
            TableReply::Got(found) => Ok(found),
            TableReply::Failed(failure) => Err(failure),
            TableReply::Written(_) => unreachable!("the store answers what it was asked"),
        }
    }
}
