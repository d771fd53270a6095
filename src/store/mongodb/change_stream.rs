//! The watch of the store: one change stream on the collection.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use futures::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use mongodb::{
    Collection,
    bson::{Bson, Document, doc},
    change_stream::ChangeStream,
    error::Error,
    options::ReadConcern,
};

use super::{
    KIND, MongoStore,
    failure::{is_unauthorized, is_without_change_streams},
    requests::primary,
};
use crate::{
    lease::ResourceName,
    store::{LeaseStore as _, StoreEvent},
};

/// What a store knows of its ability to push.
#[derive(Debug, Default)]
pub(super) struct PushState {
    /// The server has no change streams.
    impossible: AtomicBool,
    /// The log says that the locks poll, and why.
    told: AtomicBool,
}

pub(super) fn watch(
    store: &MongoStore,
    alive_every: Duration,
) -> Option<BoxStream<'static, StoreEvent>> {
    if store.push.impossible.load(Relaxed) {
        return None;
    }
    let watch = Watch {
        collection: store.collection.clone(),
        location: store.location(),
        push: store.push.clone(),
        alive_every,
        changes: None,
    };
    Some(stream::unfold(watch, Watch::next).boxed())
}

struct Watch {
    collection: Collection<Document>,
    location: String,
    push: Arc<PushState>,
    alive_every: Duration,
    /// `None` until it is open.
    changes: Option<ChangeStream<Document>>,
}

impl Watch {
    /// The next event. It ends with the first error that the driver cannot resume after: the caller opens another
    /// stream, and looks at all records then.
    async fn next(mut self) -> Option<(StoreEvent, Self)> {
        let Some(changes) = &mut self.changes else {
            return match open(&self.collection, self.alive_every).await {
                Ok(changes) => {
                    self.changes = Some(changes);
                    Some((StoreEvent::Alive, self))
                }
                Err(error) => {
                    self.refused(&error);
                    None
                }
            };
        };
        let begun = Instant::now();
        let event = match changes.next_if_any().await.ok()? {
            Some(change) => event(&change),
            None if changes.is_alive() => StoreEvent::Alive,
            None => return None,
        };
        // The driver has resumed the stream, or the process was stopped meanwhile.
        let is_late = begun.elapsed() > self.alive_every;
        Some((
            if is_late {
                StoreEvent::LookAtAll
            } else {
                event
            },
            self,
        ))
    }

    /// Says once for each store that its locks poll, if that does not pass by itself.
    fn refused(&self, error: &Error) {
        let is_impossible = is_without_change_streams(error);
        self.push.impossible.fetch_or(is_impossible, Relaxed);
        let is_lasting = is_impossible || is_unauthorized(error);
        if is_lasting && !self.push.told.swap(true, Relaxed) {
            event!(
                warn,
                "tenure.watch_refused",
                store = KIND,
                location = self.location.as_str(),
                error = %error,
                "{} does not push changes, so its locks poll",
                self.location
            );
        }
    }
}

/// Does not take one of the slots for requests, because it waits for changes most of the time.
async fn open(
    collection: &Collection<Document>,
    alive_every: Duration,
) -> Result<ChangeStream<Document>, Error> {
    // Half of it, so that the answer comes in time.
    let wait = (alive_every / 2).max(Duration::from_millis(1));
    let changes = collection
        .watch()
        .pipeline([doc! { "$match": is_news() }, doc! { "$project": seen() }])
        .max_await_time(wait)
        .read_concern(ReadConcern::majority())
        .selection_criteria(primary());
    Ok(changes.await?.with_type())
}

/// Whether a change is an event. A renewal changes other fields than these, except when its ttl is another one:
/// it may end the lease earlier.
///
/// All of them are named, though every other change writes `touched`, too: the time of a field that is written twice in
/// one millisecond does not change.
fn is_news() -> Document {
    const FIELDS: [&str; 8] = [
        "ttl",
        "token",
        "holder",
        "closing",
        "pause",
        "hand_over",
        "edition",
        "touched",
    ];
    let changed = FIELDS.map(|field| {
        let field = format!("updateDescription.updatedFields.{field}");
        doc! { field: { "$exists": true } }
    });
    let mut any = vec![doc! { "operationType": { "$ne": "update" } }];
    any.extend(changed);
    doc! { "$or": any }
}

/// The parts of a change that `event` reads.
fn seen() -> Document {
    let mut seen = doc! { "operationType": 1, "documentKey._id": 1 };
    for fields in ["fullDocument", "updateDescription.updatedFields"] {
        for field in ["token", "holder", "ttl", "since", "expires_at"] {
            seen.insert(format!("{fields}.{field}"), 1);
        }
    }
    seen
}

fn event(change: &Document) -> StoreEvent {
    let name = change
        .get_document("documentKey")
        .and_then(|key| key.get_str("_id"));
    let Ok(name) = name else {
        // The collection was dropped or renamed, or a document has another key than a name.
        return StoreEvent::LookAtAll;
    };
    let Ok(resource) = ResourceName::new(name) else {
        return StoreEvent::Alive;
    };
    match acquired_for(change) {
        Some(ttl) => StoreEvent::Acquired { resource, ttl },
        None => StoreEvent::Changed(resource),
    }
}

/// The ttl of the lease, if the change is its acquisition.
fn acquired_for(change: &Document) -> Option<Duration> {
    let (fields, millis) = match change.get_document("fullDocument") {
        Ok(whole) => (whole, whole.get_i64("ttl").ok()?),
        Err(_) => {
            let update = change.get_document("updateDescription").ok()?;
            let changed = update.get_document("updatedFields").ok()?;
            // Only an acquisition writes them at once, and the last two differ by the ttl.
            changed.get("token")?;
            let (since, expiry) = (
                changed.get_datetime("since"),
                changed.get_datetime("expires_at"),
            );
            let (since, expiry) = (since.ok()?, expiry.ok()?);
            (
                changed,
                expiry
                    .timestamp_millis()
                    .checked_sub(since.timestamp_millis())?,
            )
        }
    };
    let is_free = fields.get("holder") == Some(&Bson::Null);
    // The lease is held through its last millisecond.
    let millis = u64::try_from(millis)
        .ok()
        .filter(|ttl| *ttl > 0 && !is_free)?;
    Some(Duration::from_millis(millis.saturating_add(1)))
}
