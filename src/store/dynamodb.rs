use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use aws_sdk_dynamodb::{Client, config::retry::RetryConfig};
use futures::{StreamExt as _, stream};

mod conditional_update;
mod failure;
mod fencing;
mod item;
mod purge;
mod requests;
mod table;

use self::{failure::RequestResult, requests::DynamoOperation};
use super::{
    AcquireOutcome, EvictionMode, InstructOutcome, LeaseStore, Operation, ReleaseOutcome,
    RenewOutcome, StoreError, observed::ExpiryObserver, request_limiter::RequestLimiter,
};
use crate::{
    clock::BootClock,
    lease::{
        Bid, EndReason, FencingToken, Instruction, Lease, LeaseRecord, ReleaseTarget, ResourceName,
        Scope,
    },
};

const KIND: &str = "dynamodb";

/// Half of the requests that the store sends at once, so that others get their turn, too.
const RENEWALS_IN_FLIGHT: usize = 32;

/// Leases in a table of Amazon DynamoDB.
///
/// # Set-up
///
/// Give the leases a separate table; *The table* below says how to create it. The store uses the
/// credentials, the endpoint and the HTTP client of your client, and turns retries off in its own copy. Keep
/// one store per process: it and its clones share the client and their observations (see *Clock*).
///
/// ```no_run
/// # use tenure::DynamoStore;
/// # async fn example(client: aws_sdk_dynamodb::Client) -> Result<(), tenure::StoreError> {
/// let store = DynamoStore::new(client, "leases");
/// store.create_table_if_missing().await?; // or create it with your infrastructure tools, see below
/// # Ok(())
/// # }
/// ```
///
/// # Clock
///
/// None. A challenger *observes*: it counts the holder's whole ttl on its own [`BootClock`], from the arrival
/// of the reply in which it first saw the present token and version. It takes over on the condition that both
/// are unchanged. Every write increases the version. So clocks need not agree on the time; over one ttl, they
/// must run at the same rate to within the [`margin`](crate::Timing::margin).
///
/// The price: a lease is taken over later.
///
/// - After a crash, the lease is free one ttl after the last renewal *was seen*, up to one poll later than it
///   was made.
/// - A process that has just started counts a whole ttl.
/// - If a renewal was delayed on its way and is applied after its sender has timed out, the whole ttl is
///   counted again.
/// - After an eviction with [`EvictionMode::Close`], the whole ttl is counted again. A repeated eviction starts
///   it once more.
///
/// The store keeps 100,000 observations, including those of leases that it holds. If there are more leases, one
/// without an observation is not taken over from a dead holder until another observation is dropped.
///
/// # Atomic primitive
///
/// One conditional `UpdateItem`. If the store does not know that the lease is held, it sends the bid without
/// reading first, on the condition that the lease is free. If the condition fails, DynamoDB returns the
/// item (`ReturnValuesOnConditionCheckFailure`; an old DynamoDB Local does not, which costs one more read). The
/// store then decides on that item, and writes on the condition that token and version are unchanged.
///
/// An instruction leaves token and version unchanged. So every write that takes a lease is also on the condition
/// that the resource is not paused, and that the lease was not handed over to another candidate. A renewal is on the
/// condition that no instruction stands; if one does, a second write renews the lease and returns the instruction.
///
/// The token is raised by the server, from what the item has then. If there is no item, it begins at this machine's
/// time of day ([`FencingToken::first_at`]). The history keeps the token of each acquisition, so you may raise the
/// token of an item by hand.
///
/// Unknown attributes are kept. An item that is damaged, or is not a record, is
/// [`Corrupt`](super::StoreErrorKind::Corrupt), and nothing is written into it, with these exceptions:
///
/// - A bid for a free lease checks only the token, the version, `min_reader`, the pause and the hand-over, because
///   it replaces everything else.
/// - A renewal checks only those, the holder and whether the lease is closing. It writes the ttl and the version.
/// - Entries of the history that cannot be read are left out.
/// - A release that names no token does not notice a token with a fraction, because no condition can test it.
///
/// # Requests
///
/// | operation | requests |
/// | --- | --- |
/// | acquire a free lease | 1 write; if this store has been polling it, 1 read before it |
/// | acquire a held lease (a poll) | 1 read; the first time, 1 write that is refused |
/// | acquire a lease whose holder is dead | 1 write |
/// | renew, release, evict, instruct | 1 write |
/// | renew while an instruction stands | 2 writes, the first of which is refused |
/// | [`renew_many`](LeaseStore::renew_many) | as many as single renewals, at most 32 at once |
/// | the same, with the result `Lost` or `NotHeld` | 1 write that is refused |
/// | read | 1 read |
/// | list | 1 query per MB |
/// | purge | 1 query per MB, and 1 conditional `DeleteItem` per deleted record, at most 8 at once |
///
/// In `renew_many`, each lease has its own outcome, and the limit counts from the call for all of them: with a round
/// trip of 10 ms, 32 at once are 3,200 renewals per second.
///
/// A purge of more records than it can delete in time ends with an error: give the store a longer
/// [`call_limit`](Self::call_limit), or call it again.
///
/// Reads are strongly consistent. Races with other writers add requests, within
/// [`call_limit`](Self::call_limit).
///
/// If a request gets no answer within [`call_limit`](Self::call_limit), the store reads an item that does not
/// exist. That read may take longer; later requests use the connection that it opens.
///
/// # What it costs
///
/// A record without metadata and without a pause stays under 1 KB (with names of 40 bytes), so a write costs one
/// unit, and so does a read. With the default [`Timing`](crate::Timing), 30 days, and on-demand prices of the region us-east-1
/// since November 2024 (0.625 USD per million writes, 0.125 USD per million reads):
///
/// - the leader: one renewal per 5 s, 518,400 writes, 0.32 USD per resource and month;
/// - each follower: one poll per 3 s, 864,000 reads, 0.11 USD per resource and month;
/// - three replicas: 0.324 + 2 × 0.108 = 0.54 USD per resource and month.
///
/// Doubling the ttl halves the cost. Metadata that makes the item larger than 1 KB doubles the cost of writes.
///
/// # Least privileges
///
/// ```json
/// {
///   "Version": "2012-10-17",
///   "Statement": [{
///     "Effect": "Allow",
///     "Action": ["dynamodb:GetItem", "dynamodb:UpdateItem", "dynamodb:Query"],
///     "Resource": "arn:aws:dynamodb:REGION:ACCOUNT:table/TABLE"
///   }]
/// }
/// ```
///
/// Only `list` and `purge` need `Query`. `purge` also needs `dynamodb:DeleteItem`, and is the only operation that
/// does: leave it out if you never purge. `prepare` also needs `dynamodb:DescribeTable`;
/// [`create_table_if_missing`](Self::create_table_if_missing) needs that and `dynamodb:CreateTable`.
///
/// # The table
///
/// The partition key is `scope` and the sort key is `name`, both strings. The record of `jobs/nightly` has the
/// scope `/jobs/` and the name `nightly`. (Keys cannot be empty. So every scope begins with `/`, and if a
/// resource's name ends with `/`, its sort key is `/`.)
///
/// ```sh
/// aws dynamodb create-table --table-name leases --billing-mode PAY_PER_REQUEST \
///   --attribute-definitions AttributeName=scope,AttributeType=S AttributeName=name,AttributeType=S \
///   --key-schema AttributeName=scope,KeyType=HASH AttributeName=name,KeyType=RANGE
/// ```
///
/// # What each error means
///
/// | kind | what happened | what to do |
/// | --- | --- | --- |
/// | [`Unavailable`](super::StoreErrorKind::Unavailable) | the endpoint cannot be reached, a read got no answer, or another request wrote at the same moment | check the network, the region and the endpoint |
/// | [`Unknown`](super::StoreErrorKind::Unknown) | a write got no answer, or DynamoDB failed (5xx) | the lock asks again |
/// | [`Throttled`](super::StoreErrorKind::Throttled) | the table's capacity is used up | use on-demand billing, or add capacity |
/// | [`Denied`](super::StoreErrorKind::Denied) | no credentials, expired ones, or a missing privilege | see *Least privileges*; check the machine's clock, too |
/// | [`Misconfigured`](super::StoreErrorKind::Misconfigured) | no such table, other keys, or no usable region or endpoint | see *The table* |
/// | [`Corrupt`](super::StoreErrorKind::Corrupt) | the item is damaged, or is not a record | the message names the attribute |
/// | [`Unsupported`](super::StoreErrorKind::Unsupported) | the record needs a newer version of this library | update it |
///
/// # What can be lost
///
/// Nothing that was granted: DynamoDB answers when a write is in two of three places. Outside the guarantee:
///
/// - A restored backup takes tokens back: raise the tokens of its items to the present time.
/// - An item that is deleted while its lease is held frees the lease at once. **Do not enable time to live.** The
///   token of the next record is the time of day, so it is greater unless clocks differ by more than the deletion
///   lies back.
/// - A global table whose replicas are eventually consistent has one leader per region: use one region.
/// - A caching endpoint (DAX) returns old records.
#[derive(Clone)]
pub struct DynamoStore {
    client: Client,
    table: Arc<str>,
    call_limit: Duration,
    observer: Arc<ExpiryObserver>,
    limiter: RequestLimiter,
}

impl DynamoStore {
    /// A store that keeps its leases in this table. It works on a copy of the client that does not retry.
    #[must_use]
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        let config = client.config().to_builder();
        // If a write was applied, its own retry would fail the condition.
        let config = config.retry_config(RetryConfig::disabled());
        let client = Client::from_conf(config.build());
        let table = table.into().into();
        Self {
            limiter: requests::limiter(&client, &table),
            client,
            table,
            call_limit: Duration::from_secs(2),
            observer: Arc::new(ExpiryObserver::new(Arc::new(BootClock))),
        }
    }

    /// Sets how long an operation may take, including all its requests. Default 2 s.
    ///
    /// A write that takes longer is [`Unknown`](super::StoreErrorKind::Unknown). A read, or a write that was
    /// certainly not sent, is [`Unavailable`](super::StoreErrorKind::Unavailable). If a call has a shorter
    /// limit, like the calls of a lock, that one counts. The SDK itself has no such limit.
    ///
    /// The SDK loads credentials within a request, and starts again with the next one. So if your client's
    /// provider takes longer than the limit, no request ever gets credentials. With
    /// [`open_store`](crate::open_store), loading continues between requests.
    #[must_use]
    pub fn call_limit(mut self, limit: Duration) -> Self {
        self.call_limit = limit;
        self
    }

    fn in_context<T>(
        &self,
        operation: Operation,
        answer: RequestResult<T>,
    ) -> Result<T, StoreError> {
        let place = || format!("table `{}`", self.table);
        answer.map_err(|failure| failure.of(KIND, operation, &place()))
    }
}

impl fmt::Debug for DynamoStore {
    /// Shows only the name of the table, because the client holds the credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DynamoStore").field(&self.table).finish()
    }
}

#[async_trait]
impl LeaseStore for DynamoStore {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn location(&self) -> String {
        self.table.to_string()
    }

    /// 100 ms, because a write waits for two of three places, some of them over a network.
    fn min_ttl(&self) -> Duration {
        Duration::from_millis(100)
    }

    /// On a runtime of tokio: the client's connections are tasks of the application's runtime.
    fn runs_in_callers_task(&self) -> bool {
        tokio::runtime::Handle::try_current().is_ok()
    }

    async fn prepare(&self) -> Result<(), StoreError> {
        self.in_context(Operation::Prepare, self.check_table().await)
    }

    async fn acquire(&self, bid: &Bid, limit: Duration) -> Result<AcquireOutcome, StoreError> {
        let call = DynamoOperation::new(self, limit);
        let done = self.observer.acquire(&call, bid, SystemTime::now()).await;
        self.in_context(Operation::Acquire, done)
    }

    async fn renew(
        &self,
        lease: &Lease,
        ttl: Duration,
        limit: Duration,
    ) -> Result<RenewOutcome, StoreError> {
        let done = self
            .observer
            .renew(&DynamoOperation::new(self, limit), lease, ttl)
            .await;
        self.in_context(Operation::Renew, done)
    }

    async fn release(
        &self,
        claim: &ReleaseTarget,
        reason: Option<EndReason>,
        limit: Duration,
    ) -> Result<ReleaseOutcome, StoreError> {
        let call = DynamoOperation::new(self, limit);
        let now = SystemTime::now();
        let done = self.observer.release(&call, claim, reason, now).await;
        self.in_context(Operation::Release, done)
    }

    async fn read(
        &self,
        resource: &ResourceName,
        limit: Duration,
    ) -> Result<Option<LeaseRecord>, StoreError> {
        let done = self
            .observer
            .read(&DynamoOperation::new(self, limit), resource)
            .await;
        self.in_context(Operation::Read, done)
    }

    async fn list(&self, scope: &Scope, limit: Duration) -> Result<Vec<LeaseRecord>, StoreError> {
        let found = self.in_context(
            Operation::List,
            DynamoOperation::new(self, limit).query(scope).await,
        )?;
        let records = found.into_iter();
        let records = records.filter_map(|item| self.observer.seen(&item.name, item.found));
        let mut records: Vec<_> = records.collect();
        // The query sorts an empty last part by its placeholder.
        records.sort_by(|a, b| a.resource.cmp(&b.resource));
        Ok(records)
    }

    async fn evict(
        &self,
        resource: &ResourceName,
        token: FencingToken,
        eviction: EvictionMode,
        limit: Duration,
    ) -> Result<ReleaseOutcome, StoreError> {
        let call = DynamoOperation::new(self, limit);
        let now = SystemTime::now();
        let done = self
            .observer
            .evict(&call, resource, token, eviction, now)
            .await;
        self.in_context(Operation::Evict, done)
    }

    async fn instruct(
        &self,
        resource: &ResourceName,
        instruction: &Instruction,
        limit: Duration,
    ) -> Result<InstructOutcome, StoreError> {
        let call = DynamoOperation::new(self, limit);
        let now = SystemTime::now();
        let done = self
            .observer
            .instruct(&call, resource, instruction, now)
            .await;
        self.in_context(Operation::Instruct, done)
    }

    async fn purge(
        &self,
        scope: &Scope,
        untouched_for: Duration,
        limit: Duration,
    ) -> Result<u64, StoreError> {
        let since = SystemTime::now().checked_sub(untouched_for);
        let since = since.unwrap_or(SystemTime::UNIX_EPOCH);
        let done = DynamoOperation::new(self, limit).purge(scope, since).await;
        self.in_context(Operation::Purge, done)
    }

    /// Single requests, at most 32 at once. The limit counts from the call for all of them.
    async fn renew_many(
        &self,
        leases: &[(Lease, Duration)],
        limit: Duration,
    ) -> Vec<Result<RenewOutcome, StoreError>> {
        let call = &DynamoOperation::new(self, limit);
        let renewals = (0..leases.len()).map(|index| async move {
            let (lease, ttl) = &leases[index];
            let done = self.observer.renew(call, lease, *ttl).await;
            (index, self.in_context(Operation::Renew, done))
        });
        // Unordered, so that one that hangs holds up no other.
        let renewals = stream::iter(renewals).buffer_unordered(RENEWALS_IN_FLIGHT);
        let mut renewals: Vec<_> = renewals.collect().await;
        renewals.sort_unstable_by_key(|(index, _)| *index);
        renewals.into_iter().map(|(_, outcome)| outcome).collect()
    }
}
