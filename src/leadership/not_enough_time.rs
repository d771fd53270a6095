use std::time::Duration;

use thiserror::Error;

use crate::{
    duration::human,
    lease::{FencingToken, ResourceName},
};

/// The leadership has less time left than was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "the leadership of {resource} (token {token}) has {} left, {} is needed",
    human(*remaining),
    human(*needed)
)]
pub struct NotEnoughTime {
    /// The resource.
    pub resource: ResourceName,
    /// The token of the acquisition.
    pub token: FencingToken,
    /// How much time is left; zero when the leadership has ended.
    pub remaining: Duration,
    /// How much was asked for.
    pub needed: Duration,
}
