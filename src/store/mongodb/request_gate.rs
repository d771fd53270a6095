//! Decides whether and when a request is sent.

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
    failure::{Access, Failure, RequestResult, TracedError, is_of_credentials},
    operation_deadline::OperationDeadline,
    requests::primary,
    servers::{RequestTrace, Servers},
};
use crate::store::request_limiter::RequestLimiter;

/// The default size of the driver's connection pool. More requests would only wait there, and the pool needs half
/// a second to drop each one that has timed out.
const PERMITS: usize = 10;

/// Sends the requests of a store to the driver.
///
/// After a server has refused the credentials, the driver treats it as unknown until its next heartbeat, and
/// holds requests back until then. A write that times out there would be `Unknown`, with an error that does not
/// name the credentials. So from a refusal until a request succeeds, the gate sends a `ping` first, which
/// needs no privilege: if that fails, the write was certainly not sent.
pub(super) struct RequestGate {
    credentials_refused: AtomicBool,
    client: Client,
    /// `None` if the client does not report its servers.
    servers: Option<Arc<Servers>>,
    limiter: RequestLimiter,
}

impl RequestGate {
    pub(super) fn new(client: &Client, servers: Option<Arc<Servers>>) -> Self {
        let probed = client.clone();
        Self {
            credentials_refused: AtomicBool::new(false),
            client: client.clone(),
            servers,
            limiter: RequestLimiter::new(PERMITS, move || {
                let client = probed.clone();
                async move { drop(ping(&client).await) }.boxed()
            }),
        }
    }

    /// Sends a request, and returns its answer if it comes in time. The request is made with the `maxTimeMS`
    /// that is left when it is sent.
    pub(super) async fn send<T, R>(
        &self,
        limit: OperationDeadline,
        access: Access,
        request: impl FnOnce(Duration) -> R,
    ) -> RequestResult<Result<T, TracedError>>
    where
        R: IntoFuture<Output = Result<T, Error>>,
    {
        let trace = RequestTrace::new(self.servers.clone());
        let Some(permit) = limit.wait(self.limiter.acquire(limit.whole())).await else {
            return Err(if self.credentials_refused.load(Relaxed) {
                Failure::locked_out(limit.whole())
            } else {
                Failure::held_back(limit.whole(), &trace)
            });
        };
        if self.credentials_refused.load(Relaxed) {
            match limit.wait(ping(&self.client)).await {
                Some(Ok(_)) => self.credentials_refused.store(false, Relaxed),
                Some(Err(error)) => {
                    permit.answered();
                    return Err(Access::Read.failure(TracedError { error, trace }));
                }
                None => return Err(Failure::locked_out(limit.whole())),
            }
        }
        let request = request(limit.max_time()).into_future();
        let Some(answer) = limit.wait(trace.follow(request)).await else {
            return Err(Failure::late(access, limit.whole(), &trace));
        };
        permit.answered();
        if answer.as_ref().is_err_and(is_of_credentials) {
            self.credentials_refused.store(true, Relaxed);
        }
        Ok(answer.map_err(|error| TracedError { error, trace }))
    }
}

/// Sends a `ping`, which only a server that takes writes answers.
pub(super) async fn ping(client: &Client) -> Result<Document, Error> {
    let admin = client.database("admin");
    let ping = admin.run_command(doc! { "ping": 1 });
    ping.selection_criteria(primary()).await
}
