use std::{sync::Arc, time::Duration};

use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};

use crate::{
    clock::{Clock as _, ManualClock, Moment},
    election::{Audience, Config, Election, Transition},
    leadership::Leadership,
    lease::{CandidateId, FencingToken, ResourceName},
    timing::Timing,
};

/// One process: an election, its clock, and subscribers that acknowledge when they like.
pub(super) struct Node {
    pub(super) name: CandidateId,
    pub(super) clock: ManualClock,
    /// How fast its clock runs.
    rate: f64,
    offset: Duration,
    pub(super) election: Option<Election>,
    /// Grows with every start; events of an older one are void.
    pub(super) incarnation: u32,
    pub(super) paused: bool,
    /// Every leadership that this incarnation was given.
    pub(super) leaderships: Vec<Leadership>,
    pub(super) told_leader: bool,
    /// Deliveries not yet acknowledged.
    pub(super) pending: u32,
    pub(super) clean: bool,
    pub(super) wake_at: Option<u64>,
}

impl Node {
    pub(super) fn new(index: usize, drift: f64, rng: &mut SmallRng) -> Self {
        Self {
            name: CandidateId::new(format!("node{index}")).unwrap(),
            clock: ManualClock::new(),
            rate: 1.0 + rng.random_range(-drift..=drift),
            offset: Duration::from_secs(rng.random_range(3_600..1_000_000)),
            election: None,
            incarnation: 0,
            paused: false,
            leaderships: Vec::new(),
            told_leader: false,
            pending: 0,
            clean: true,
            wake_at: None,
        }
    }

    pub(super) fn start(&mut self, timing: Timing, now: u64, rng: &mut SmallRng) {
        self.stop();
        self.set_clock(now);
        let config = Config {
            resource: ResourceName::new("r").unwrap(),
            candidate: self.name.clone(),
            timing,
            metadata: None,
            clock: Arc::new(self.clock.clone()),
        };
        let seed = SmallRng::seed_from_u64(rng.random());
        self.election = Some(Election::new(config, seed, self.clock.now()));
        self.told_leader = false;
        self.pending = 0;
        self.clean = true;
        self.report();
    }

    /// A crash: the process and all that it believed are gone.
    pub(super) fn stop(&mut self) {
        self.incarnation += 1;
        self.election = None;
        self.leaderships.clear();
        self.wake_at = None;
        self.paused = false;
    }

    pub(super) fn local(&self, now: u64) -> Moment {
        Moment::default() + self.offset + Duration::from_nanos((now as f64 * self.rate) as u64)
    }

    /// When the node's clock shows this moment, rounded up.
    pub(super) fn global(&self, moment: Moment) -> u64 {
        let local = (Moment::default() + self.offset).until(moment).as_nanos() as f64;
        (local / self.rate) as u64 + 2
    }

    pub(super) fn set_clock(&self, now: u64) {
        self.clock.advance_to(self.local(now));
    }

    /// The tokens under which this process believes that it leads.
    pub(super) fn current_tokens(&self) -> impl Iterator<Item = FencingToken> {
        let current = self
            .leaderships
            .iter()
            .filter(|leadership| leadership.is_current());
        current.map(Leadership::token)
    }

    /// Tells the election what the subscribers have acknowledged.
    pub(super) fn report(&mut self) {
        let audience = Audience {
            present: true,
            acknowledged: self.pending == 0,
            clean: self.clean,
        };
        let now = self.clock.now();
        if let Some(election) = &mut self.election {
            election.subscribers_changed(audience, now);
        }
    }

    /// Delivers what the election has to say; returns the token if it became leader and how many
    /// acknowledgements are now due.
    pub(super) fn deliver(&mut self) -> (Option<FencingToken>, u32) {
        let (mut elected, mut due) = (None, 0);
        while let Some(transition) = self.election.as_mut().and_then(Election::poll_transition) {
            due += 1;
            match transition {
                Transition::BecameLeader { leadership } => {
                    assert!(!self.told_leader, "BecameLeader twice");
                    assert_eq!(
                        self.pending, 0,
                        "BecameLeader before the last acknowledgement"
                    );
                    self.told_leader = true;
                    self.clean = true;
                    elected = Some(leadership.token());
                    self.leaderships.retain(Leadership::is_current);
                    self.leaderships.push(leadership);
                }
                Transition::BecameFollower { token, .. } => {
                    assert!(self.told_leader, "BecameFollower twice");
                    assert!(self.leaderships.iter().any(|led| led.token() == token));
                    self.told_leader = false;
                }
            }
        }
        self.pending += due;
        (elected, due)
    }
}
