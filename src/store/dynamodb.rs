use std::{
    fmt,
    ops::ControlFlow,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use aws_sdk_dynamodb::{
    Client,
    config::retry::RetryConfig,
    operation::update_item::{UpdateItemError, UpdateItemOutput},
    types::{ReturnValue, ReturnValuesOnConditionCheckFailure},
};
use tokio::time::{Instant, timeout_at};

mod expression;
mod failure;
mod item;
mod table;

use self::{
    expression::{Change, Expression, Guard},
    failure::{Access, Answer, Failure},
    item::{Item, NAME, SCOPE, Stored},
};
use super::{
    AcquireOutcome, Eviction, LeaseStore, Operation, ReleaseOutcome, RenewOutcome, StoreError,
    StoreErrorKind, observed::Observations, record::StoredRecord,
};
use crate::{
    clock::{BootClock, Clock as _, Moment},
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
/// poll later than it was made; and a process that has just started counts a whole ttl. What was
/// observed belongs to this value and its clones: keep one per process. It remembers 100,000 leases.
///
/// # Atomic primitive
///
/// One conditional `UpdateItem`. A bid for a lease that it does not know to be held is sent without a
/// look, and taken only if nobody holds it. Where the condition fails, the server returns the item as
/// it stands (`ReturnValuesOnConditionCheckFailure`; an old DynamoDB Local does not, and costs a read
/// more); what the rules make of that is written on the condition that token and version are unchanged.
///
/// Attributes that it does not know are kept. An item that is no record, or a damaged one, is
/// [`Corrupt`](StoreErrorKind::Corrupt), and nothing is written into it; only lines of the history that
/// cannot be read are left out.
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
/// `Query` is for `list` alone, `dynamodb:DescribeTable` for `ensure`, and with
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
    seen: Arc<Mutex<Observations>>,
}

impl DynamoStore {
    /// Keeps leases in this table. The client stays as it is; the store's copy does not retry.
    #[must_use]
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        let config = client.config().to_builder();
        // A retry of a write that was applied would be refused for its own first copy.
        let config = config.retry_config(RetryConfig::disabled());
        Self {
            client: Client::from_conf(config.build()),
            table: table.into().into(),
            call_limit: Duration::from_secs(2),
            seen: Arc::new(Mutex::new(Observations::new())),
        }
    }

    /// How long an operation may take, with all its requests. Default 2 s.
    ///
    /// An operation whose write takes longer is [`Unknown`](StoreErrorKind::Unknown), one whose read
    /// does [`Unavailable`](StoreErrorKind::Unavailable). Keep it below the
    /// [`call_timeout`](crate::Timing::call_timeout) of the elections. The SDK by itself would wait for
    /// ever.
    #[must_use]
    pub fn call_limit(mut self, limit: Duration) -> Self {
        self.call_limit = limit;
        self
    }

    /// When an operation that begins now must have its answer.
    fn end(&self) -> Instant {
        Instant::now() + self.call_limit
    }

    async fn limited<T>(
        &self,
        access: Access,
        end: Instant,
        request: impl Future<Output = T>,
    ) -> Answer<T> {
        let answer = timeout_at(end, request).await;
        answer.map_err(|_| access.late(self.call_limit))
    }

    fn seen(&self) -> MutexGuard<'_, Observations> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a change, if the rules allow it.
    ///
    /// The first write goes out without a look, or with what an earlier look has told. When its guard
    /// refuses it, the rules decide on the item as it stands, and what they want is written on the
    /// condition that nothing has changed since.
    async fn change<T>(
        &self,
        resource: &ResourceName,
        first: Option<(Change, Guard)>,
        rules: impl Fn(&mut StoredRecord, Moment) -> ControlFlow<T, Change> + Send,
    ) -> Answer<Result<FencingToken, T>> {
        /// Each further one is lost to somebody else's write in between.
        const WRITES: usize = 4;
        let end = self.end();
        let mut next = first;
        for _ in 0..WRITES {
            let found = match next {
                None => self.get(resource, end).await?,
                Some((change, guard)) => {
                    match self.write(resource, &change, &guard, end).await? {
                        Written::Done { token } => return Ok(Ok(token)),
                        Written::Refused(Some(found)) => Some(found),
                        // There is no item, or the server does not return it.
                        Written::Refused(None) => self.get(resource, end).await?,
                    }
                }
            };
            let now = BootClock.now();
            let mut record = self.judge(resource, found, now)?;
            let guard = Guard::unchanged(&record);
            next = match rules(&mut record, now) {
                ControlFlow::Break(outcome) => return Ok(Err(outcome)),
                ControlFlow::Continue(change) => Some((change, guard)),
            };
        }
        Err(Failure::new(
            StoreErrorKind::Unavailable,
            "others write the record again and again at the same moment",
        ))
    }

    async fn write(
        &self,
        resource: &ResourceName,
        change: &Change,
        guard: &Guard,
        end: Instant,
    ) -> Answer<Written> {
        let Expression {
            update,
            condition,
            names,
            values,
        } = Expression::new(change, guard);
        let request = self
            .client
            .update_item()
            .table_name(&*self.table)
            .key(SCOPE, item::scope_key(&resource.scope()))
            .key(NAME, item::name_key(resource))
            .update_expression(update)
            .condition_expression(condition)
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values(Some(values))
            .return_values(ReturnValue::UpdatedNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let error = match self.limited(Access::Write, end, request.send()).await? {
            Ok(answer) => return self.written(resource, change, guard, &answer),
            Err(error) => error,
        };
        match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(refused)) => {
                Ok(Written::Refused(refused.item().cloned()))
            }
            _ => Err(Access::Write.failure(error)),
        }
    }

    /// What a write has come to; what it wrote is a sight like any other.
    fn written(
        &self,
        resource: &ResourceName,
        change: &Change,
        guard: &Guard,
        answer: &UpdateItemOutput,
    ) -> Answer<Written> {
        let number = |name: &str| -> Option<u64> {
            let value = answer.attributes()?.get(name)?;
            value.as_n().ok()?.parse().ok()
        };
        let incomplete = || {
            let message = "the answer to a write has no token or no version";
            Failure::new(StoreErrorKind::Unknown, message)
        };
        let token = match change {
            Change::Take { .. } => number("token").map(FencingToken::new),
            _ => guard.token(),
        };
        let version = number("version").ok_or_else(incomplete)?;
        let mut seen = self.seen();
        match change.ttl() {
            Some(ttl) => {
                let token = token.ok_or_else(incomplete)?;
                seen.free_at(resource, token, version, ttl, BootClock.now());
            }
            None => seen.forget(resource),
        }
        // Nobody asks for the token of what was released by its attempt.
        let token = token.unwrap_or(FencingToken::new(0));
        Ok(Written::Done { token })
    }

    async fn get(&self, resource: &ResourceName, end: Instant) -> Answer<Option<Item>> {
        let request = self
            .client
            .get_item()
            .table_name(&*self.table)
            .key(SCOPE, item::scope_key(&resource.scope()))
            .key(NAME, item::name_key(resource))
            .consistent_read(true);
        let answer = self.limited(Access::Read, end, request.send()).await?;
        let answer = answer.map_err(|error| Access::Read.failure(error))?;
        Ok(answer.item)
    }

    /// The record in an item that arrived just now, its expiry as observed by this store.
    fn judge(
        &self,
        resource: &ResourceName,
        found: Option<Item>,
        now: Moment,
    ) -> Answer<StoredRecord> {
        let Some(found) = found else {
            self.seen().forget(resource);
            return Ok(StoredRecord::default());
        };
        let stored = Stored::decode(&found)?;
        stored.check_reader()?;
        Ok(self.observe(resource, stored.record, now))
    }

    fn observe(
        &self,
        resource: &ResourceName,
        mut record: StoredRecord,
        now: Moment,
    ) -> StoredRecord {
        let mut seen = self.seen();
        match record.holder {
            Some(_) => {
                let (token, version) = (record.token, record.version);
                record.expires_at = seen.free_at(resource, token, version, record.ttl, now);
            }
            None => seen.forget(resource),
        }
        record
    }

    async fn bid(&self, bid: &Bid) -> Answer<AcquireOutcome> {
        let since = SystemTime::now();
        let take = || Change::Take {
            bid: bid.clone(),
            since,
        };
        let last = self.seen().last(&bid.resource);
        let first = match last {
            None => Some((take(), Guard::Free(bid.attempt))),
            // It is held: a read is cheaper than a write that is refused.
            Some((_, _, free_at)) if BootClock.now() < free_at => None,
            Some((token, version, _)) => Some((take(), Guard::Unchanged { token, version })),
        };
        let rules = |record: &mut StoredRecord, now| {
            let token = record.token;
            match record.acquire(bid, now, since) {
                outcome @ AcquireOutcome::Refused(_) => ControlFlow::Break(outcome),
                AcquireOutcome::Granted { token: granted } if granted == token => {
                    ControlFlow::Continue(Change::Extend { ttl: bid.ttl })
                }
                AcquireOutcome::Granted { .. } => ControlFlow::Continue(take()),
            }
        };
        let done = self.change(&bid.resource, first, rules).await?;
        Ok(done.map_or_else(|refused| refused, |token| AcquireOutcome::Granted { token }))
    }

    async fn extend(&self, lease: &Lease, ttl: Duration) -> Answer<RenewOutcome> {
        let extend = Change::Extend { ttl };
        let first = match self.may_have_lapsed(&lease.resource, lease.token) {
            true => None,
            false => Some((extend.clone(), Guard::Renewable(lease.clone()))),
        };
        let rules = |record: &mut StoredRecord, now| match record.renew(lease, ttl, now) {
            RenewOutcome::Renewed => ControlFlow::Continue(extend.clone()),
            lost @ RenewOutcome::Lost(_) => ControlFlow::Break(lost),
        };
        let done = self.change(&lease.resource, first, rules).await?;
        Ok(done.map_or_else(|lost| lost, |_| RenewOutcome::Renewed))
    }

    async fn give_back(&self, claim: &Claim) -> Answer<ReleaseOutcome> {
        let first = Some((Change::Release, Guard::Claimed(claim.clone())));
        let rules = |record: &mut StoredRecord, now| match record.release(claim, now) {
            ReleaseOutcome::Released => ControlFlow::Continue(Change::Release),
            not_held @ ReleaseOutcome::NotHeld(_) => ControlFlow::Break(not_held),
        };
        let done = self.change(claim.resource(), first, rules).await?;
        Ok(done.map_or_else(|not_held| not_held, |_| ReleaseOutcome::Released))
    }

    async fn oust(
        &self,
        resource: &ResourceName,
        token: FencingToken,
        eviction: Eviction,
    ) -> Answer<ReleaseOutcome> {
        let change = match eviction {
            Eviction::Close => Change::Close,
            Eviction::Force => Change::Free,
        };
        let first = match self.may_have_lapsed(resource, token) {
            true => None,
            false => Some((change.clone(), Guard::Led(token))),
        };
        let rules =
            |record: &mut StoredRecord, now| match record.evict(resource, token, eviction, now) {
                ReleaseOutcome::Released => ControlFlow::Continue(change.clone()),
                not_held @ ReleaseOutcome::NotHeld(_) => ControlFlow::Break(not_held),
            };
        let done = self.change(resource, first, rules).await?;
        Ok(done.map_or_else(|not_held| not_held, |_| ReleaseOutcome::Released))
    }

    /// Whether a lease has expired unless somebody has renewed it since it was last seen.
    fn may_have_lapsed(&self, resource: &ResourceName, token: FencingToken) -> bool {
        let last = self.seen().last(resource);
        last.is_some_and(|(seen, _, free_at)| seen == token && BootClock.now() >= free_at)
    }

    async fn look(&self, resource: &ResourceName) -> Answer<Option<LeaseRecord>> {
        let Some(found) = self.get(resource, self.end()).await? else {
            return Ok(None);
        };
        let now = BootClock.now();
        let record = self.observe(resource, Stored::decode(&found)?.record, now);
        Ok(record.seen(resource, now))
    }

    async fn look_into(&self, scope: &Scope) -> Answer<Vec<LeaseRecord>> {
        let end = self.end();
        let mut pages = self
            .client
            .query()
            .table_name(&*self.table)
            .key_condition_expression("#scope = :scope")
            .expression_attribute_names("#scope", SCOPE)
            .expression_attribute_values(":scope", item::scope_key(scope))
            .consistent_read(true)
            .into_paginator()
            .send();
        let mut records = Vec::new();
        while let Some(page) = self.limited(Access::Read, end, pages.next()).await? {
            let page = page.map_err(|error| Access::Read.failure(error))?;
            let now = BootClock.now();
            for found in page.items() {
                let Stored {
                    name, mut record, ..
                } = Stored::decode(found)?;
                let (token, version) = (record.token, record.version);
                record.expires_at = self.seen().peek(&name, token, version, record.ttl, now);
                records.extend(record.seen(&name, now));
            }
        }
        // The stand-in for an empty last part is not where that belongs.
        records.sort_by(|a, b| a.resource.cmp(&b.resource));
        Ok(records)
    }

    fn told<T>(&self, operation: Operation, answer: Answer<T>) -> Result<T, StoreError> {
        let place = || format!("table `{}`", self.table);
        answer.map_err(|failure| failure.of(KIND, operation, &place()))
    }
}

enum Written {
    /// The token is that of the record after the write.
    Done { token: FencingToken },
    /// The condition failed; the item is there, unless the server does not return it.
    Refused(Option<Item>),
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

    async fn ensure(&self) -> Result<(), StoreError> {
        self.told(Operation::Ensure, self.check_table().await)
    }

    async fn acquire(&self, bid: &Bid) -> Result<AcquireOutcome, StoreError> {
        self.told(Operation::Acquire, self.bid(bid).await)
    }

    async fn renew(&self, lease: &Lease, ttl: Duration) -> Result<RenewOutcome, StoreError> {
        self.told(Operation::Renew, self.extend(lease, ttl).await)
    }

    async fn release(&self, claim: &Claim) -> Result<ReleaseOutcome, StoreError> {
        self.told(Operation::Release, self.give_back(claim).await)
    }

    async fn read(&self, resource: &ResourceName) -> Result<Option<LeaseRecord>, StoreError> {
        self.told(Operation::Read, self.look(resource).await)
    }

    async fn list(&self, scope: &Scope) -> Result<Vec<LeaseRecord>, StoreError> {
        self.told(Operation::List, self.look_into(scope).await)
    }

    async fn evict(
        &self,
        resource: &ResourceName,
        token: FencingToken,
        eviction: Eviction,
    ) -> Result<ReleaseOutcome, StoreError> {
        let done = self.oust(resource, token, eviction).await;
        self.told(Operation::Evict, done)
    }
}
