use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use aws_sdk_dynamodb::{Client, config::retry::RetryConfig};

mod conditional_update;
mod failure;
mod fencing;
mod item;
mod requests;
mod table;

use self::{failure::Answer, requests::Call};
use super::{
    AcquireOutcome, Eviction, LeaseStore, Operation, ReleaseOutcome, RenewOutcome, StoreError,
    observed::Observer, request_limiter::RequestLimiter,
};
use crate::{
    clock::BootClock,
    lease::{Bid, Claim, FencingToken, Lease, LeaseRecord, ResourceName, Scope},
};

const KIND: &str = "dynamodb";

/// Leases in a table of Amazon DynamoDB. Clones share the client and what was observed.
///
/// It takes a client of your own and leaves it as it is: the credentials, the endpoint and the HTTP
/// client are used, its retries are not. Give the leases a table of their own.
///
/// ```no_run
/// # use tenure::DynamoStore;
/// # async fn example(client: aws_sdk_dynamodb::Client) -> Result<(), tenure::StoreError> {
/// let store = DynamoStore::new(client, "leases");
/// store.create_table_if_missing().await?; // or let your infrastructure make it, see below
/// # Ok(())
/// # }
/// ```
///
/// # Clock
///
/// None. A challenger *observes*: it counts the holder's whole ttl on its own [`BootClock`], from the
/// arrival of the reply in which it first saw the present token and version, and takes over on the
/// condition that both are unchanged. Every write increases the version. So clocks need not agree on
/// the time at all; over one ttl they must run at the same rate to within the
/// [`margin`](crate::Timing::margin).
///
/// The price: after a crash the lease is free a ttl after the last renewal *was seen*, which is up to a
/// poll later than it was made; and a process that has just started counts a whole ttl. So it does, too,
/// after a renewal that had hung somewhere and is carried out when its sender has given up. What was
/// observed belongs to this value and its clones: keep one per process. It remembers 100,000
/// leases, its own among them; one more is not taken over from a dead holder until another is forgotten.
///
/// # Atomic primitive
///
/// One conditional `UpdateItem`. A bid for a lease that it does not know to be held is sent without a
/// look, and taken only if nobody holds it. Where the condition fails, the server returns the item as
/// it stands (`ReturnValuesOnConditionCheckFailure`; an old DynamoDB Local does not, and costs a read
/// more); what the rules make of that is written on the condition that token and version are unchanged.
///
/// Attributes that it does not know are kept. An item that is no record, or a damaged one, is
/// [`Corrupt`](super::StoreErrorKind::Corrupt), and nothing is written into it; with three exceptions. A bid
/// replaces everything but the token, the version and the history of a lease that nobody holds, so it
/// looks at no more than those; lines of the history that cannot be read are left out; and a token with a
/// fraction, which no condition can tell, is overlooked by a release that names none.
///
/// # Requests
///
/// | operation | requests |
/// | --- | --- |
/// | acquire, of a free lease | 1 write; 1 read before it where this store has been polling it |
/// | acquire, of a lease that is held: a poll | 1 read; the first one, 1 write that is refused |
/// | acquire, of a lease whose holder is gone | 1 write |
/// | renew, release, evict | 1 write |
/// | `Lost` or `NotHeld` | 1 write that is refused |
/// | read, list | 1 read, 1 query per MB |
///
/// A request that gets no answer within [`call_limit`](Self::call_limit) is followed by a read of an item
/// that is not there, which may take longer: the connection that is opened for it serves later requests.
///
/// Reads are strongly consistent. Races with other writers add requests, up to
/// [`call_limit`](Self::call_limit).
///
/// # What it costs
///
/// A record without metadata stays under 1 KB (names of 40 bytes), so a write is one unit and a read is
/// one. With the default [`Timing`](crate::Timing) and 30 days, at on-demand prices of the region
/// us-east-1 since November 2024 (0.625 USD per million writes, 0.125 per million reads):
///
/// - the leader: one renewal per 5 s, 518,400 writes, 0.32 USD per resource and month;
/// - each follower: one poll per 3 s, 864,000 reads, 0.11 USD per resource and month;
/// - three replicas: 0.324 + 2 × 0.108 = 0.54 USD per resource and month.
///
/// A ttl twice as long halves it. Metadata that takes the item above 1 KB doubles the writes.
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
/// `Query` is for `list` alone, `dynamodb:DescribeTable` for `prepare`, and with
/// `dynamodb:CreateTable` for [`create_table_if_missing`](Self::create_table_if_missing).
///
/// # The table
///
/// Partition key `scope`, sort key `name`, both strings: the record of `jobs/nightly` has the scope
/// `/jobs/` and the name `nightly`. (A `/` stands before every scope, and for a name that ends with one:
/// keys cannot be empty.)
///
/// ```sh
/// aws dynamodb create-table --table-name leases --billing-mode PAY_PER_REQUEST \
///   --attribute-definitions AttributeName=scope,AttributeType=S AttributeName=name,AttributeType=S \
///   --key-schema AttributeName=scope,KeyType=HASH AttributeName=name,KeyType=RANGE
/// ```
///
/// # What can be lost
///
/// Nothing that was granted: DynamoDB answers when a write is in two of three places. Outside the
/// guarantee:
///
/// - A restored backup, deleted items, and a time-to-live attribute on the table take tokens back.
///   **Switch no time to live on.**
/// - A global table whose replicas are eventually consistent has a leader per region: use one region.
/// - A caching endpoint (DAX) answers with old records.
#[derive(Clone)]
pub struct DynamoStore {
    client: Client,
    table: Arc<str>,
    call_limit: Duration,
    observer: Arc<Observer>,
    limiter: RequestLimiter,
}

impl DynamoStore {
    /// Keeps leases in this table. The client stays as it is; the store's copy does not retry.
    #[must_use]
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        let config = client.config().to_builder();
        // A retry of a write that was applied would be refused for its own first copy.
        let config = config.retry_config(RetryConfig::disabled());
        let client = Client::from_conf(config.build());
        let table = table.into().into();
        Self {
            limiter: requests::limiter(&client, &table),
            client,
            table,
            call_limit: Duration::from_secs(2),
            observer: Arc::new(Observer::new(Arc::new(BootClock))),
        }
    }

    /// How long an operation may take, with all its requests. Default 2 s.
    ///
    /// An operation whose write takes longer is [`Unknown`](super::StoreErrorKind::Unknown), one whose read
    /// does, or that was surely not sent, [`Unavailable`](super::StoreErrorKind::Unavailable). A call whose
    /// own limit is shorter, like those of a lock, keeps to that. The SDK by itself would wait for ever.
    ///
    /// The SDK loads credentials within a request, and begins anew with the next one: a provider that
    /// takes longer than the limit never has any. Those of [`open_store`](crate::open_store) go on.
    #[must_use]
    pub fn call_limit(mut self, limit: Duration) -> Self {
        self.call_limit = limit;
        self
    }

    fn told<T>(&self, operation: Operation, answer: Answer<T>) -> Result<T, StoreError> {
        let place = || format!("table `{}`", self.table);
        answer.map_err(|failure| failure.of(KIND, operation, &place()))
    }
}

impl fmt::Debug for DynamoStore {
    /// Only the name of the table: the client knows the credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DynamoStore").field(&self.table).finish()
    }
}

#[async_trait]
impl LeaseStore for DynamoStore {
    fn kind(&self) -> &'static str {
        KIND
    }

    /// 100 ms: a write waits for two of three places, some of them over a network.
    fn min_ttl(&self) -> Duration {
        Duration::from_millis(100)
    }

    async fn prepare(&self) -> Result<(), StoreError> {
        self.told(Operation::Prepare, self.check_table().await)
    }

    async fn acquire(&self, bid: &Bid, limit: Duration) -> Result<AcquireOutcome, StoreError> {
        let call = Call::new(self, limit);
        let done = self.observer.acquire(&call, bid, SystemTime::now()).await;
        self.told(Operation::Acquire, done)
    }

    async fn renew(
        &self,
        lease: &Lease,
        ttl: Duration,
        limit: Duration,
    ) -> Result<RenewOutcome, StoreError> {
        let done = self
            .observer
            .renew(&Call::new(self, limit), lease, ttl)
            .await;
        self.told(Operation::Renew, done)
    }

    async fn release(&self, claim: &Claim, limit: Duration) -> Result<ReleaseOutcome, StoreError> {
        let done = self.observer.release(&Call::new(self, limit), claim).await;
        self.told(Operation::Release, done)
    }

    async fn read(
        &self,
        resource: &ResourceName,
        limit: Duration,
    ) -> Result<Option<LeaseRecord>, StoreError> {
        let done = self.observer.read(&Call::new(self, limit), resource).await;
        self.told(Operation::Read, done)
    }

    async fn list(&self, scope: &Scope, limit: Duration) -> Result<Vec<LeaseRecord>, StoreError> {
        let found = self.told(Operation::List, Call::new(self, limit).query(scope).await)?;
        let records = found.into_iter();
        let records = records.filter_map(|item| self.observer.glance(&item.name, item.found));
        let mut records: Vec<_> = records.collect();
        // The stand-in for an empty last part is not where that belongs.
        records.sort_by(|a, b| a.resource.cmp(&b.resource));
        Ok(records)
    }

    async fn evict(
        &self,
        resource: &ResourceName,
        token: FencingToken,
        eviction: Eviction,
        limit: Duration,
    ) -> Result<ReleaseOutcome, StoreError> {
        let call = Call::new(self, limit);
        let done = self.observer.evict(&call, resource, token, eviction).await;
        self.told(Operation::Evict, done)
    }
}
