use std::sync::Arc;

use rand::{SeedableRng as _, rngs::SmallRng};

use super::{executor::Executor, options::MutexOptions};
use crate::{
    clock::Clock,
    driver::{OsAttempts, StartError},
    election::{Config, Election, HoldOptions},
    lease::{CandidateId, Metadata},
    store::LeaseStore,
    timing::{Timing, TimingBuilder},
};

/// The checked configuration of one mutex, which all its locks share.
#[derive(Debug)]
pub(super) struct MutexConfig {
    pub(super) store: Arc<dyn LeaseStore>,
    pub(super) executor: Executor,
    /// For plain locks: the candidate is the owner.
    pub(super) plain: Config,
    /// For guards: the candidate id is unique, so no other mutex locks or unlocks it as its owner.
    guarded: Config,
    options: HoldOptions,
}

/// Whether a lock is for [`Mutex::lock`](super::Mutex::lock) or [`Mutex::guard`](super::Mutex::guard).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LockKind {
    Plain,
    Guarded,
}

impl MutexConfig {
    pub(super) fn new(
        store: Arc<dyn LeaseStore>,
        executor: Executor,
        clock: Arc<dyn Clock>,
        owner: &CandidateId,
        metadata: Option<&Metadata>,
        timing: TimingBuilder,
        options: MutexOptions,
    ) -> Result<Self, StartError> {
        let owner = options.owner.unwrap_or_else(|| Ok(owner.clone()))?;
        let timing = match options.ttl {
            Some(ttl) => timing.ttl(ttl),
            None => timing,
        };
        // The caller has stopped its work before it releases a lock, so a shorter time to stop has no use.
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
            metadata: options.metadata.transpose()?.or_else(|| metadata.cloned()),
            clock,
        };
        let guarded = Config {
            candidate: CandidateId::generate_for(&plain.candidate),
            ..plain.clone()
        };
        let options = HoldOptions {
            reentrant: false,
            is_mutex: true,
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

    /// Whether a guard keeps the lease from others for some time after its release.
    pub(super) fn has_min_hold(&self) -> bool {
        !self.options.min_hold.is_zero()
    }

    pub(super) fn election(&self, mode: LockKind) -> Election {
        let (config, options) = match mode {
            LockKind::Plain => {
                let options = HoldOptions {
                    reentrant: true,
                    is_mutex: true,
                    ..HoldOptions::default()
                };
                (&self.plain, options)
            }
            LockKind::Guarded => (&self.guarded, self.options),
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
