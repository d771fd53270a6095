use std::time::{Duration, SystemTime};

use super::{Fault, client::Client};
use crate::{
    clock::Moment,
    lease::{ResourceName, Scope},
    store::StoredRecord,
};

impl Client {
    pub(super) async fn purge_scope(&self, scope: &Scope, untouched_for: Duration) -> u64 {
        let since = SystemTime::now() - untouched_for;
        let is_in_scope = |name: &str| {
            if self.has(Fault::PurgeDeletesSubscopes) {
                name.starts_with(scope.as_prefix())
            } else {
                ResourceName::new(name).unwrap().scope() == *scope
            }
        };
        let found: Vec<String> = {
            let (records, now) = (self.shared.records.lock().unwrap(), self.now());
            let in_scope = records.iter().filter(|(name, _)| is_in_scope(name));
            in_scope
                .filter(|(_, record)| self.is_purged(record, since, now))
                .map(|(name, _)| name.clone())
                .collect()
        };
        tokio::time::sleep(Duration::from_millis(1)).await;
        let mut deleted = 0;
        let mut records = self.shared.records.lock().unwrap();
        let now = self.now();
        for name in found {
            let stands = records.get(&name);
            let still = stands.is_some_and(|record| self.is_purged(record, since, now));
            if still || self.has(Fault::PurgeWithoutCondition) {
                records.remove(&name);
                deleted += 1;
            }
        }
        if self.has(Fault::PurgeDeletesRegisters) {
            self.shared.registers.lock().unwrap().clear();
        }
        if self.has(Fault::PurgeCountsWhatIsLeft) {
            deleted = records.keys().filter(|name| is_in_scope(name)).count() as u64;
        }
        deleted
    }

    fn is_purged(&self, record: &StoredRecord, mut since: SystemTime, now: Moment) -> bool {
        let mut record = record.clone();
        let free = record.holder.is_none();
        match self.fault() {
            Some(Fault::PurgeDoesNothing) => return false,
            Some(Fault::PurgeDeletesHeldRecords) => record.holder = None,
            Some(Fault::PurgeDeletesPausedRecords) => record.pause = None,
            Some(Fault::PurgeDeletesInternalRecords) => record.internal = false,
            Some(Fault::PurgeIgnoresTheTime) => since = SystemTime::now(),
            Some(Fault::PurgeSparesExpiredRecords) if !free => return false,
            Some(Fault::PurgeDeletesObservedRecords) => {}
            _ if self.observes() && !free => return false,
            _ => {}
        }
        record.is_purged(since, now)
    }
}
