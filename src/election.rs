//! The election of one resource as a state machine without I/O.
//!
//! It reads no clock, draws no random bits of its own and sends nothing. The driver passes it `now`, the
//! generator of the jitter and the source of attempts, and polls requests and transitions. The documentation of
//! the crate says what it assumes and what it guarantees. Each rule has tests that bear its number.
//!
//! ```text
//!            Granted                     Lost, deadline, command
//! Following ─────────▶ Leading { term } ─────────────────────────▶ Yielding { term, reason }
//!     ▲                                                                      │
//!     └── subscribers have acknowledged (then release), or yield_for is over ┘
//! ```
//!
//! `Following` is Standby while the [`Eligibility`] is open and Idle while it is closed.

mod attempts;
mod bid_schedule;
mod bids;
mod config;
mod eligibility;
mod endings;
mod grants;
mod hold_limits;
mod hold_options;
mod in_flight;
mod inputs;
mod outputs;
mod own_id;
mod phase;
mod release_queue;
mod renewal_retry;
mod request;
mod request_budget;
mod state;
mod step_down_outcome;
mod stepping_down;
mod term;
mod transition;
mod views;
mod wake_window;

pub(crate) use attempts::AttemptSource;
#[cfg(test)]
pub(crate) use attempts::SeededAttempts;
pub(crate) use config::Config;
pub(crate) use eligibility::SubscriberState;
pub(crate) use hold_options::HoldOptions;
pub(crate) use request::{Call, EarlyRenewal, RecordEvent, Reply, Request, RequestId};
pub use state::{ElectionState, IdleReason};
pub use step_down_outcome::StepDownOutcome;
pub(crate) use transition::Transition;

use std::collections::VecDeque;

use rand::rngs::SmallRng;

use crate::{clock::Moment, lease::FencingToken};
use bid_schedule::BidSchedule;
use bids::PendingBid;
use eligibility::Eligibility;
use in_flight::InFlight;
use own_id::OwnId;
use phase::Phase;
use release_queue::ReleaseQueue;
use request_budget::RequestBudget;

#[derive(Debug)]
pub(crate) struct Election {
    config: Config,
    options: HoldOptions,
    /// For jitter only: a process and its fork draw the same numbers from it.
    rng: SmallRng,
    attempts: Box<dyn AttemptSource>,
    phase: Phase,
    eligibility: Eligibility,
    bid_schedule: BidSchedule,
    request_budget: RequestBudget,
    pending_bid: Option<PendingBid>,
    /// The last refusal showed that the candidate's own id holds the lease: the next bid is reentrant.
    reenters: bool,
    in_flight: Option<InFlight>,
    releases: ReleaseQueue,
    transitions: VecDeque<Transition>,
    outcome: StepDownOutcome,
    last_led: Option<FencingToken>,
    /// The token after which another candidate was to lead, and has had the time to bid.
    waited: Option<FencingToken>,
    own_id: OwnId,
    requests: u64,
}

impl Election {
    pub(crate) fn new(
        config: Config,
        rng: SmallRng,
        attempts: Box<dyn AttemptSource>,
        now: Moment,
    ) -> Self {
        Self {
            bid_schedule: BidSchedule::new(now),
            request_budget: RequestBudget::default(),
            config,
            options: HoldOptions::default(),
            rng,
            attempts,
            phase: Phase::Following,
            eligibility: Eligibility::default(),
            pending_bid: None,
            reenters: false,
            in_flight: None,
            releases: ReleaseQueue::default(),
            transitions: VecDeque::new(),
            outcome: StepDownOutcome::NotLeading,
            last_led: None,
            waited: None,
            own_id: OwnId::default(),
            requests: 0,
        }
    }

    /// The same election with these options.
    pub(crate) fn with(mut self, options: HoldOptions) -> Self {
        self.options = options;
        self
    }
}

#[cfg(test)]
mod tests;
