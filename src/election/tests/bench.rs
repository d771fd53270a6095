//! An election on a workbench: a clock moved by hand, replies given by hand.

use std::{sync::Arc, time::Duration};

use rand::{SeedableRng as _, rngs::SmallRng};

use crate::{
    clock::Clock as _,
    election::{
        AttemptSource, Call, Config, Election, HoldOptions, Reply, Request, SeededAttempts,
        SubscriberState, Transition,
    },
    leadership::{Leadership, Reason},
    lease::{CandidateId, FencingToken, Lease, LeaseRecord, ResourceName},
    testing::ManualClock,
    timing::Timing,
};

/// ttl 10 s: renewals after 3 to 3.33 s, polls every 2 s, margin 1 s, calls limited to 2 s.
pub(super) struct Bench {
    pub(super) election: Election,
    pub(super) clock: ManualClock,
}

pub(super) const READY: SubscriberState = SubscriberState {
    present: true,
    acknowledged: true,
    clean: true,
};

pub(super) const BUSY: SubscriberState = SubscriberState {
    acknowledged: false,
    ..READY
};

pub(super) fn timing() -> Timing {
    Timing::builder().ttl(secs(10.0)).build().unwrap()
}

pub(super) fn secs(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

pub(super) fn name(name: &str) -> CandidateId {
    CandidateId::new(name).unwrap()
}

impl Bench {
    pub(super) fn new() -> Self {
        Self::seeded(1)
    }

    pub(super) fn with(options: HoldOptions) -> Self {
        let mut bench = Self::new();
        bench.election = bench.election.with(options);
        bench
    }

    pub(super) fn seeded(seed: u64) -> Self {
        Self::timed(timing(), seed)
    }

    pub(super) fn timed(timing: Timing, seed: u64) -> Self {
        Self::drawing(timing, seed, SeededAttempts::new(!seed))
    }

    pub(super) fn with_attempts(attempts: Box<dyn AttemptSource>) -> Self {
        Self::drawing(timing(), 1, attempts)
    }

    fn drawing(timing: Timing, seed: u64, attempts: Box<dyn AttemptSource>) -> Self {
        let clock = ManualClock::new();
        let config = Config {
            resource: ResourceName::new("r").unwrap(),
            candidate: name("me"),
            timing,
            metadata: None,
            clock: Arc::new(clock.clone()),
        };
        let jitter = SmallRng::seed_from_u64(seed);
        let mut election = Election::new(config, jitter, attempts, clock.now());
        election.subscribers_changed(READY, clock.now());
        Self { election, clock }
    }

    /// A bench whose election leads with token 1, granted just now.
    pub(super) fn leading() -> (Self, Leadership) {
        let mut bench = Self::new();
        let leadership = bench.win(1);
        (bench, leadership)
    }

    pub(super) fn win(&mut self, token: u64) -> Leadership {
        let bid = self.request();
        assert!(matches!(bid.call, Call::Acquire(_)), "{bid:?}");
        self.reply(&bid, granted(token));
        self.elected()
    }

    /// The leadership that a grant has just begun.
    pub(super) fn elected(&mut self) -> Leadership {
        match self.transition() {
            Some(Transition::BecameLeader { leadership }) => leadership,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn poll(&mut self) -> Option<Request> {
        self.election.poll_request(self.clock.now())
    }

    /// The next request, letting time pass up to it.
    pub(super) fn request(&mut self) -> Request {
        for _ in 0..100 {
            if let Some(request) = self.poll() {
                return request;
            }
            let next = self
                .election
                .poll_timeout()
                .expect("a time for the next request");
            self.clock.advance_to(next);
            self.election.handle_timeout(self.clock.now());
        }
        panic!("no request");
    }

    pub(super) fn reply(&mut self, request: &Request, reply: Reply) {
        let now = self.clock.now();
        self.election
            .handle_reply(request.id, request.sent_at, reply, now);
    }

    pub(super) fn advance(&mut self, seconds: f64) {
        self.clock.advance(secs(seconds));
        self.election.handle_timeout(self.clock.now());
    }

    pub(super) fn subscriber_state(&mut self, subscriber_state: SubscriberState) {
        self.election
            .subscribers_changed(subscriber_state, self.clock.now());
    }

    pub(super) fn transition(&mut self) -> Option<Transition> {
        self.election.poll_transition()
    }

    pub(super) fn ended(&mut self) -> Option<Reason> {
        match self.transition()? {
            Transition::BecameFollower { reason, .. } => Some(reason),
            other => panic!("{other:?}"),
        }
    }
}

pub(super) fn granted(token: u64) -> Reply {
    let token = FencingToken::new(token);
    Reply::Granted { token }
}

/// The record of another candidate's lease.
pub(super) fn record(holder: &str, token: u64, remaining: f64) -> LeaseRecord {
    let resource = ResourceName::new("r").unwrap();
    let mut record = LeaseRecord::new(resource, FencingToken::new(token));
    record.holder = Some(name(holder));
    record.ttl = secs(10.0);
    record.remaining = secs(remaining);
    record
}

pub(super) fn lease(token: u64) -> Lease {
    Lease {
        resource: ResourceName::new("r").unwrap(),
        holder: name("me"),
        token: FencingToken::new(token),
    }
}
