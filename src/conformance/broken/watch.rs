use std::time::Duration;

use futures::{StreamExt as _, future::ready, stream::BoxStream};

use super::{Fault, client::Client};
use crate::{
    lease::ResourceName,
    store::{Operation, StoreEvent},
};

impl Client {
    /// A fault may tell of a change before it is made.
    pub(super) async fn before_step(&self, resource: &ResourceName, operation: Operation) {
        if operation == Operation::Release && self.has(Fault::WatchTellsTooEarly) {
            self.tell(operation, Some(StoreEvent::Changed(resource.clone())));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(super) fn tell(&self, operation: Operation, event: Option<StoreEvent>) {
        let missed = match self.fault() {
            Some(Fault::WatchMissesAcquisitions) => Operation::Acquire,
            Some(Fault::WatchMissesReleases) => Operation::Release,
            Some(Fault::WatchMissesEvictions) => Operation::Evict,
            Some(Fault::WatchMissesInstructions) => Operation::Instruct,
            Some(Fault::WatchMissesShorterRenewals) => Operation::Renew,
            _ => Operation::Read,
        };
        if operation != missed
            && let Some(event) = event
        {
            self.own_changes.send(event.clone());
            self.shared.changes.send(event);
        }
    }

    pub(super) fn watched(&self, alive_every: Duration) -> BoxStream<'static, StoreEvent> {
        let feed = if self.has(Fault::WatchTellsOwnChangesOnly) {
            &self.own_changes
        } else {
            &self.shared.changes
        };
        let events = feed.subscribe(alive_every);
        let silent = self.has(Fault::WatchIsSilent);
        let is_told = move |event: &StoreEvent| !(silent && *event == StoreEvent::Alive);
        events.filter(move |event| ready(is_told(event))).boxed()
    }
}
