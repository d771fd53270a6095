use futures::channel::oneshot;
use serde::Serialize;
use tokio::sync::watch;

use super::leader_view::LeaderView;
use crate::{
    clock::Moment,
    election::Election,
    lease::{CandidateId, FencingToken, Metadata},
};

/// The leader of a resource, as far as a lock knows.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[non_exhaustive]
pub struct KnownLeader {
    /// The candidate that holds the lease.
    pub holder: CandidateId,
    /// The token of its acquisition.
    pub token: FencingToken,
    /// What it publishes with [`LockBuilder::metadata`](super::LockBuilder::metadata), for instance its address.
    pub metadata: Option<Metadata>,
}

/// Publishes who leads, for receivers on any thread.
#[derive(Debug)]
pub(super) struct LeaderPublisher {
    /// `None` once the lock was shut down, which closes the channel.
    sender: Option<watch::Sender<Option<KnownLeader>>>,
    /// Dropped when the lock was shut down.
    end: Option<oneshot::Sender<()>>,
    /// The last token of this lock itself. A record that still shows it is of a lease that was given up or
    /// has expired.
    led: Option<FencingToken>,
    /// When the published leader expires if no renewal is read.
    expires_at: Option<Moment>,
}

impl LeaderPublisher {
    pub(super) fn new(
        sender: watch::Sender<Option<KnownLeader>>,
        end: oneshot::Sender<()>,
    ) -> Self {
        Self {
            sender: Some(sender),
            end: Some(end),
            led: None,
            expires_at: None,
        }
    }

    /// Whether there is a receiver besides the one of the lock's handle.
    pub(super) fn is_watched(&self) -> bool {
        let sender = self.sender.as_ref();
        sender.map_or(0, watch::Sender::receiver_count) > 1
    }

    pub(super) fn expires_at(&self) -> Option<Moment> {
        self.expires_at
    }

    pub(super) fn leader(&self) -> Option<KnownLeader> {
        self.sender.as_ref()?.borrow().clone()
    }

    /// Publishes what is known now: this lock while its own lease is current, otherwise the holder of the
    /// record that was read last, until that expires. Returns the leader if it is another candidate.
    pub(super) fn update(
        &mut self,
        election: &Election,
        leader_view: &LeaderView,
        now: Moment,
    ) -> Option<(CandidateId, FencingToken)> {
        let own = election.term().filter(|(_, deadline)| now < *deadline);
        if let Some((leadership, _)) = own {
            self.led = Some(leadership.token());
        }
        let seen = leader_view.holder(self.led, now).filter(|_| own.is_none());
        self.expires_at = seen.as_ref().map(|(_, until)| *until);
        let leader = match own {
            Some((leadership, _)) => Some(KnownLeader {
                holder: leadership.lease().holder.clone(),
                token: leadership.token(),
                metadata: election.config().metadata.clone(),
            }),
            None => seen.map(|(leader, _)| leader),
        };
        let other = leader.as_ref().filter(|_| own.is_none());
        let other = other.map(|leader| (leader.holder.clone(), leader.token));
        if let Some(sender) = &self.sender {
            sender.send_if_modified(|shown| {
                let changed = *shown != leader;
                *shown = leader;
                changed
            });
        }
        other
    }

    /// Publishes that there is no leader, and closes the channel.
    pub(super) fn close(&mut self) {
        self.expires_at = None;
        if let Some(sender) = self.sender.take() {
            sender.send_replace(None);
        }
        self.end = None;
    }
}

impl Drop for LeaderPublisher {
    fn drop(&mut self) {
        self.close();
    }
}
