//! What everything that drives an election shares: the request under way, the timer, the hints of the
//! store, and what is said of all that in the log. It decides nothing.

mod alarm;
mod call;
mod exchange;
mod hints;
mod journal;
mod jump;
mod os_attempts;
mod outages;
mod start_error;
mod store_health;

pub use start_error::StartError;
pub use store_health::StoreStatus;

pub(crate) use alarm::Alarm;
pub(crate) use call::{Answer, call_within};
pub(crate) use exchange::{Answered, Exchange};
pub(crate) use hints::Hints;
pub(crate) use journal::Journal;
pub(crate) use jump::watch as watch_for_jumps;
pub(crate) use os_attempts::OsAttempts;
pub(crate) use store_health::StoreHealth;
