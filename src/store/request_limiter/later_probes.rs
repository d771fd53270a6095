//! The probes that a limiter sends after those of its permits hang.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::watch,
    task::AbortHandle,
    time::{Instant, sleep},
};

use super::ProbeFn;

/// The later probes of all permits of one limiter. They are shared, so that their number does not grow with the
/// permits.
pub(super) struct LaterProbes {
    probe: ProbeFn,
    sent: Mutex<Sent>,
    /// The number of the newest probe that got an answer or an error.
    answered: watch::Sender<u64>,
}

#[derive(Default)]
struct Sent {
    count: u64,
    last: Option<Instant>,
    /// The numbers and tasks of the probes that may still hang, oldest first.
    live: VecDeque<(u64, AbortHandle)>,
}

impl LaterProbes {
    /// A peer that accepts connections and never answers would otherwise collect connections for as long as it
    /// hangs. A dropped probe stays in a driver's queue, so the bound is high enough that a driver notices most
    /// outages first.
    pub(super) const MOST: usize = 8;

    pub(super) fn new(probe: ProbeFn) -> Self {
        Self {
            probe,
            sent: Mutex::default(),
            answered: watch::Sender::new(0),
        }
    }

    /// The number of the last probe.
    pub(super) fn last(&self) -> u64 {
        self.sent().count
    }

    /// Waits until a probe that was sent after this one is answered.
    pub(super) async fn answered_after(&self, number: u64) {
        let mut answered = self.answered.subscribe();
        // The sender lives as long as `self`.
        let _ = answered.wait_for(|newest| *newest > number).await;
    }

    /// Sends another probe, unless one was sent less than `pause` ago.
    pub(super) fn send(self: &Arc<Self>, pause: Duration) {
        let mut sent = self.sent();
        if sent.last.is_some_and(|last| last.elapsed() < pause) {
            return;
        }
        sent.live.retain(|(_, task)| !task.is_finished());
        if sent.live.len() >= Self::MOST
            && let Some((_, oldest)) = sent.live.pop_front()
        {
            oldest.abort();
        }
        sent.count += 1;
        sent.last = Some(Instant::now());
        let (number, probes) = (sent.count, self.clone());
        let task = tokio::spawn(async move {
            (probes.probe)().await;
            let newer = |newest: &mut u64| *newest = number.max(*newest);
            probes.answered.send_modify(newer);
            sleep(pause).await;
            probes.drop_until(number);
        });
        sent.live.push_back((number, task.abort_handle()));
    }

    /// Drops the probes up to this one that still hang, and their connections with them.
    pub(super) fn drop_until(&self, number: u64) {
        self.sent().live.retain(|(sent, task)| {
            let newer = *sent > number;
            if !newer {
                task.abort();
            }
            newer
        });
    }

    fn sent(&self) -> MutexGuard<'_, Sent> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
