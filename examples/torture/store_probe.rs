//! Checks from outside that the store takes writes in time: with a client of its own, without a proxy.

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
/// If a write takes longer, it is abandoned, and the next one is sent.
const WRITE_LIMIT: Duration = Duration::from_secs(2);

/// Reports each time in which a write took longer than `limit`, or failed.
pub(crate) async fn watch(register: Arc<dyn Register>, limit: Duration, tell: Sender<Message>) {
    let (Ok(resource), Ok(holder)) = (ResourceName::new(PROBE), CandidateId::new("store_probe"))
    else {
        return;
    };
    // No other process writes there, so the oldest token is enough.
    let token = FencingToken::new(0);
    let lease = Lease {
        resource,
        holder,
        token,
    };
    loop {
        let start = BootClock.now();
        let write = timeout(WRITE_LIMIT, register.write(&lease, true)).await;
        let end = BootClock.now();
        if !matches!(write, Ok(Ok(true))) || limit < start.until(end) {
            // The next probe starts after the pause; including the pause keeps one trouble one interval.
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
