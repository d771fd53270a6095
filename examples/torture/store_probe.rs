//! Looks from outside whether the store takes writes: in time, past all wires, by a client of its own.

use std::{
    sync::{Arc, mpsc::Sender},
    time::Duration,
};

use tenure::{
    FencingToken,
    clock::{BootClock, Clock as _},
    lease::{CandidateId, Lease, ResourceName},
};
use tokio::time::{sleep, timeout};

use crate::{
    intervals::Interval,
    process_group::Message,
    register::{PROBE, Register},
};

const EVERY: Duration = Duration::from_millis(100);
/// A write that takes longer is given up, and the next one is sent.
const PATIENCE: Duration = Duration::from_secs(2);

/// Tells of each time during which a write took longer than this, or failed.
pub(crate) async fn watch(register: Arc<dyn Register>, limit: Duration, tell: Sender<Message>) {
    let (Ok(resource), Ok(holder)) = (ResourceName::new(PROBE), CandidateId::new("store_probe"))
    else {
        return;
    };
    // Nobody else writes there, so the oldest token will do.
    let token = FencingToken::new(0);
    let lease = Lease {
        resource,
        holder,
        token,
    };
    loop {
        let start = BootClock.now();
        let write = timeout(PATIENCE, register.write(&lease, true)).await;
        let end = BootClock.now();
        if !matches!(write, Ok(Ok(true))) || limit < start.until(end) {
            // The next look begins after the pause: one trouble is to be one time.
            let end = end + EVERY;
            if tell
                .send(Message::Trouble(Interval { start, end }))
                .is_err()
            {
                return;
            }
        }
        sleep(EVERY).await;
    }
}
