use crate::{clock::Moment, election::Config};

/// Notices a lock that nobody follows. The usual mistake is an actor whose address was dropped at
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

    /// Warns once, if nobody has come within a `poll_every`.
    pub(super) fn look(&mut self, is_alone: bool, config: &Config, now: Moment) {
        if !is_alone {
            *self = Self::default();
        } else if !self.warned {
            let warn_at = *self.warn_at.get_or_insert(now + config.timing.poll_every());
            if warn_at <= now {
                self.warned = true;
                self.warn_at = None;
                event!(
                    warn,
                    "tenure.no_subscriber",
                    resource = %config.resource,
                    candidate = %config.candidate,
                    "no live actor is subscribed, so this lock does not contend; is the address of \
                     the actor kept?"
                );
            }
        }
    }
}
