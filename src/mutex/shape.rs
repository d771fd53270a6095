use std::sync::Arc;

use rand::{SeedableRng as _, rngs::SmallRng};

use super::{options::MutexOptions, place::Place};
use crate::{
    clock::Clock,
    driver::{OsAttempts, StartError},
    election::{Config, Election, Options},
    lease::CandidateId,
    store::LeaseStore,
    timing::{Timing, TimingBuilder},
};

/// What all locks of one mutex share, checked.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) store: Arc<dyn LeaseStore>,
    pub(super) place: Place,
    /// Of the plain lock: its candidate is the owner.
    pub(super) plain: Config,
    /// Of a guard: no other has its candidate id, so nobody locks or unlocks it as its owner.
    guarded: Config,
    options: Options,
}

/// How a lock is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Plain,
    Guarded,
}

impl Shape {
    pub(super) fn new(
        store: Arc<dyn LeaseStore>,
        place: Place,
        clock: Arc<dyn Clock>,
        owner: &CandidateId,
        timing: TimingBuilder,
        options: MutexOptions,
    ) -> Result<Self, StartError> {
        let owner = options.owner.unwrap_or_else(|| Ok(owner.clone()))?;
        let timing = match options.ttl {
            Some(ttl) => timing.ttl(ttl),
            None => timing,
        };
        // Who gives a lock back has stopped already, however little time there is for stopping.
        let ttl = timing.build()?.ttl();
        let timing = timing.yield_for(ttl).build()?;
        timing.check_minimum(store.kind(), store.min_ttl())?;
        if let Some(longest) = options.max_hold {
            timing.check_max_hold(longest)?;
        }
        if let Some(shortest) = options.at_least_for {
            Timing::check_at_least_for(shortest)?;
        }
        let plain = Config {
            resource: options.name?,
            candidate: owner,
            timing,
            metadata: None,
            clock,
        };
        let guarded = Config {
            candidate: CandidateId::generate_for(&plain.candidate),
            ..plain.clone()
        };
        let options = Options {
            reentrant: false,
            max_hold: options.max_hold,
            at_least_for: options.at_least_for.unwrap_or_default(),
            min_ttl: store.min_ttl(),
        };
        Ok(Self {
            store,
            place,
            plain,
            guarded,
            options,
        })
    }

    pub(super) fn election(&self, form: Form) -> Election {
        let (config, options) = match form {
            Form::Plain => {
                let options = Options {
                    reentrant: true,
                    ..Options::default()
                };
                (&self.plain, options)
            }
            Form::Guarded => (&self.guarded, self.options),
        };
        let rng = SmallRng::from_rng(&mut rand::rng());
        Election::new(
            config.clone(),
            rng,
            Box::new(OsAttempts),
            config.clock.now(),
        )
        .with(options)
    }
}
