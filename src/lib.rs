//! Leader election for actix actors, on the database you already have.

mod actor;
mod clock;
mod election;
mod leadership;
mod lease;
mod store;
mod timing;

pub use actor::{
    BecameFollower, BecameLeader, GetStatus, Leader, LeaderChanged, LockActor, LockBuilder,
    LockHandle, Observe, Pause, Resume, Shutdown, Stalled, StartError, Status, StepDown, Stopped,
    StoreStatus, Subscribe, Unsubscribe, shutdown_on_signal, start_actor,
};
pub use clock::{BootClock, Clock, ManualClock, Moment, TokioClock};
pub use election::{ElectionState, StepDownOutcome};
pub use leadership::{Leadership, NotEnoughTime, Reason};
pub use lease::{
    Acquisition, AttemptId, Bid, CandidateId, Claim, FencingToken, InvalidName, Lease, LeaseRecord,
    Metadata, ResourceName, Scope,
};
pub use store::{
    AcquireOutcome, Calls, Eviction, Fault, FaultyStore, LeaseStore, MemoryStore, Operation,
    ReleaseOutcome, RenewOutcome, StoreError, StoreErrorKind,
};
pub use timing::{InvalidTiming, POLL_JITTER, Timing, TimingBuilder};
