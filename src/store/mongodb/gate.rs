//! What is sent after the server has refused the credentials.

use std::{
    future::IntoFuture,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use mongodb::{Client, bson::doc, error::Error};

use super::{
    failure::{Access, Answer, Failure, is_of_credentials},
    limit::Limit,
    primary,
};

/// Closed from a refusal of the credentials until something gets through.
///
/// The driver takes a server that has refused them for unknown until its next heartbeat, and holds
/// requests back so long. A write that runs out of time there would be `Unknown`, without a word of the
/// credentials. While it is closed a `ping` goes first, which needs no privilege: if that does not come
/// through, the write was surely not sent.
#[derive(Debug, Default)]
pub(super) struct Gate {
    closed: AtomicBool,
}

impl Gate {
    /// The answer to a request, unless it does not come in time.
    pub(super) async fn ask<T>(
        &self,
        client: &Client,
        limit: Limit,
        access: Access,
        request: impl IntoFuture<Output = Result<T, Error>>,
    ) -> Answer<Result<T, Error>> {
        if self.closed.load(Relaxed) {
            let admin = client.database("admin");
            let ping = admin.run_command(doc! { "ping": 1 });
            let ping = ping.selection_criteria(primary());
            match limit.keep(Access::Read, ping).await {
                Ok(Ok(_)) => self.closed.store(false, Relaxed),
                Ok(Err(error)) => return Err(Access::Read.failure(error)),
                Err(_) => return Err(Failure::locked_out(limit.whole())),
            }
        }
        let answer = limit.keep(access, request).await?;
        if answer.as_ref().is_err_and(is_of_credentials) {
            self.closed.store(true, Relaxed);
        }
        Ok(answer)
    }
}
