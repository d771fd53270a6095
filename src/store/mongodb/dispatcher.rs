//! When a request is sent, and whether.

use std::{
    future::IntoFuture,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use futures::FutureExt as _;
use mongodb::{
    Client,
    bson::{Document, doc},
    error::Error,
};

use super::{
    call_limit::CallLimit,
    failure::{Access, Answer, DriverError, Failure, is_of_credentials},
    primary,
    servers::{Servers, Trace},
};
use crate::store::request_limiter::RequestLimiter;

/// As many as the driver's pool has connections by default. More would only wait there, and it takes
/// half a second to get rid of each that is left behind.
const PLACES: usize = 10;

/// Closed from a refusal of the credentials until something gets through.
///
/// The driver takes a server that has refused them for unknown until its next heartbeat, and holds
/// requests back so long. A write that runs out of time there would be `Unknown`, without a word of the
/// credentials. While it is closed a `ping` goes first, which needs no privilege: if that does not come
/// through, the write was surely not sent.
pub(super) struct Dispatcher {
    closed: AtomicBool,
    client: Client,
    /// Only of a client that was made to tell of them.
    servers: Option<Arc<Servers>>,
    limiter: RequestLimiter,
}

impl Dispatcher {
    pub(super) fn new(client: &Client, servers: Option<Arc<Servers>>) -> Self {
        let probed = client.clone();
        Self {
            closed: AtomicBool::new(false),
            client: client.clone(),
            servers,
            limiter: RequestLimiter::new(PLACES, move || {
                let client = probed.clone();
                async move { drop(ping(&client).await) }.boxed()
            }),
        }
    }

    /// The answer to a request, unless it does not come in time. The request is made with the
    /// `maxTimeMS` that is left when it is sent.
    pub(super) async fn ask<T, R>(
        &self,
        limit: CallLimit,
        access: Access,
        request: impl FnOnce(Duration) -> R,
    ) -> Answer<Result<T, DriverError>>
    where
        R: IntoFuture<Output = Result<T, Error>>,
    {
        let trace = Trace::new(self.servers.clone());
        let Some(turn) = limit.wait(self.limiter.next(limit.whole())).await else {
            return Err(if self.closed.load(Relaxed) {
                Failure::locked_out(limit.whole())
            } else {
                Failure::held_back(limit.whole(), &trace)
            });
        };
        if self.closed.load(Relaxed) {
            match limit.wait(ping(&self.client)).await {
                Some(Ok(_)) => self.closed.store(false, Relaxed),
                Some(Err(error)) => {
                    turn.end();
                    return Err(Access::Read.failure(DriverError { error, trace }));
                }
                None => return Err(Failure::locked_out(limit.whole())),
            }
        }
        let request = request(limit.max_time()).into_future();
        let Some(answer) = limit.wait(trace.follow(request)).await else {
            return Err(Failure::late(access, limit.whole(), &trace));
        };
        turn.end();
        if answer.as_ref().is_err_and(is_of_credentials) {
            self.closed.store(true, Relaxed);
        }
        Ok(answer.map_err(|error| DriverError { error, trace }))
    }
}

/// Answered by a server that takes writes.
pub(super) async fn ping(client: &Client) -> Result<Document, Error> {
    let admin = client.database("admin");
    let ping = admin.run_command(doc! { "ping": 1 });
    ping.selection_criteria(primary()).await
}
