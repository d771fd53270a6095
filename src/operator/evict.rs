use std::time::Duration;

use super::{
    EvictOutcome, OperatorError,
    requests::{Requests, Retries},
};
use crate::{
    lease::{LeaseRecord, ResourceName},
    store::{EvictionMode, ReleaseOutcome},
};

impl Requests {
    pub(super) async fn evict(
        &self,
        resource: &ResourceName,
        mode: EvictionMode,
    ) -> Result<EvictOutcome, OperatorError> {
        let record = self.read_for_command(resource).await?;
        let Some(mut record) = record.filter(LeaseRecord::is_held) else {
            return Ok(EvictOutcome::NotHeld);
        };
        let token = record.token;
        let Some(by) = record.holder.clone() else {
            return Ok(EvictOutcome::NotHeld);
        };
        let mut retries = Retries::default();
        loop {
            // Where leases are observed, a repeated eviction would keep the lease for longer: it is sent once.
            if record.closing && (mode == EvictionMode::Close || !record.is_held()) {
                let free_in = record.remaining;
                return Ok(EvictOutcome::Evicted { by, token, free_in });
            }
            match self.evict_token(resource, token, mode).await {
                Ok(ReleaseOutcome::Released) => {
                    let free_in = match mode {
                        EvictionMode::Close => record.remaining,
                        EvictionMode::Force => Duration::ZERO,
                    };
                    return Ok(EvictOutcome::Evicted { by, token, free_in });
                }
                Ok(ReleaseOutcome::NotHeld(_)) => {
                    return Ok(EvictOutcome::NoLongerLeads { token });
                }
                Err(error) => retries.after_error(error, self).await?,
            }
            // The eviction may have been applied although it failed.
            match self.read(resource).await? {
                Some(now) if now.token == token => record = now,
                _ => return Ok(EvictOutcome::NoLongerLeads { token }),
            }
        }
    }
}
