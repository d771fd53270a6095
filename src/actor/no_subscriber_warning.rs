use crate::{clock::Moment, election::Config};

/// Warns of a lock without a live subscriber. The usual mistake is an actor whose address was dropped at
/// once.
#[derive(Debug, Default)]
pub(super) struct NoSubscriberWarning {
    warn_at: Option<Moment>,
    warned: bool,
}

impl NoSubscriberWarning {
    pub(super) fn warn_at(&self) -> Option<Moment> {
        self.warn_at
    }

    /// Warns once if the lock has been unused for a `poll_every`.
    pub(super) fn check(&mut self, is_unused: bool, config: &Config, now: Moment) {
        if !is_unused {
            *self = Self::default();
        } else if !self.warned {
            let warn_at = *self.warn_at.get_or_insert(now + config.timing.poll_every());
            if warn_at <= now {
                self.warned = true;
                self.warn_at = None;
                lock_event!(
                    warn,
                    "tenure.no_subscriber",
                    config,
                    "no live actor is subscribed, so this lock does not contend: keep the address of \
                     the actor, or shut the lock down"
                );
            }
        }
    }
}
