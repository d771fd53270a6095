//! The way of one observing client to the store: what it asks is taken out here, and what the store
//! tells is put in.

use std::{
    future::poll_fn,
    sync::{Mutex, PoisonError},
    task::Poll,
};

use async_trait::async_trait;

use crate::{
    lease::ResourceName,
    store::{
        failure::{Answer, Failure},
        observed::{Change, Found, Guard, Table, Written},
    },
};

#[derive(Clone, Debug)]
pub(super) enum Ask {
    Write(Change, Guard),
    Get,
}

#[derive(Debug)]
pub(super) enum Told {
    Written(Written),
    Got(Option<Found>),
    Failed(Failure),
}

#[derive(Debug, Default)]
pub(super) struct Port(Mutex<(Option<Ask>, Option<Told>)>);

impl Port {
    pub(super) fn asked(&self) -> Option<Ask> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .0
            .take()
    }

    pub(super) fn tell(&self, told: Told) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1 = Some(told);
    }

    async fn ask(&self, ask: Ask) -> Told {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0 = Some(ask);
        // It is polled again when it was told.
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
impl Table for Port {
    async fn write(&self, _: &ResourceName, change: &Change, guard: &Guard) -> Answer<Written> {
        match self.ask(Ask::Write(change.clone(), guard.clone())).await {
            Told::Written(written) => Ok(written),
            Told::Failed(failure) => Err(failure),
            Told::Got(_) => unreachable!("the store answers what it was asked"),
        }
    }

    async fn get(&self, _: &ResourceName) -> Answer<Option<Found>> {
        match self.ask(Ask::Get).await {
            Told::Got(found) => Ok(found),
            Told::Failed(failure) => Err(failure),
            Told::Written(_) => unreachable!("the store answers what it was asked"),
        }
    }
}
