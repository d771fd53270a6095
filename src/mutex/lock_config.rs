use std::sync::Arc;

use rand::{SeedableRng as _, rngs::SmallRng};

use super::{executor::Executor, options::MutexOptions};
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
pub(super) struct LockConfig {
    pub(super) store: Arc<dyn LeaseStore>,
    pub(super) executor: Executor,
    /// Of the plain lock: its candidate is the owner.
    pub(super) plain: Config,
    /// Of a guard: no other has its candidate id, so nobody locks or unlocks it as its owner.
    guarded: Config,
    options: Options,
}

/// How a lock is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LockMode {
    Plain,
    Guarded,
}

impl LockConfig {
    pub(super) fn new(
        store: Arc<dyn LeaseStore>,
        executor: Executor,
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
        if let Some(shortest) = options.min_hold {
            Timing::check_min_hold(shortest)?;
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
            min_hold: options.min_hold.unwrap_or_default(),
            min_ttl: store.min_ttl(),
        };
        Ok(Self {
            store,
            executor,
            plain,
            guarded,
            options,
        })
    }

    pub(super) fn election(&self, form: LockMode) -> Election {
        let (config, options) = match form {
            LockMode::Plain => {
                let options = Options {
                    reentrant: true,
                    ..Options::default()
                };
                (&self.plain, options)
            }
            LockMode::Guarded => (&self.guarded, self.options),
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
