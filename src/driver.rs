//! What lock actors and guards share to drive an election: the request in flight, the timer, the change hints of
//! the store, and the log. All decisions are the election's.

mod call;
mod lease_events;
mod os_attempts;
mod outages;
mod per_store;
mod renewals;
mod request_slot;
mod start_error;
mod store_health;
mod store_watch;
mod suspend;
mod timer;
mod turns;

pub use start_error::StartError;
pub use store_health::StoreStatus;

pub(crate) use call::{ReplyWithRecord, call as call_unlimited, call_within};
pub(crate) use lease_events::LeaseEvents;
pub(crate) use os_attempts::OsAttempts;
pub(crate) use request_slot::{CompletedRequest, RequestSlot, Sending};
pub(crate) use store_health::StoreHealth;
pub(crate) use store_watch::StoreWatch;
pub(crate) use suspend::watch as watch_for_suspend;
pub(crate) use timer::Timer;
