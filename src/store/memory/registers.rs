use std::{
    collections::BTreeMap,
    sync::{MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;

use super::{
    super::{PutOutcome, Register, RegisterStore, StoreError, StoreEvent},
    MemoryStore,
};
use crate::lease::{RegisterValue, ResourceName, Scope};

impl MemoryStore {
    fn registers(&self) -> MutexGuard<'_, BTreeMap<ResourceName, Register>> {
        (self.registers.lock()).unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl RegisterStore for MemoryStore {
    async fn get(&self, name: &ResourceName, _: Duration) -> Result<Option<Register>, StoreError> {
        Ok(self.registers().get(name).cloned())
    }

    async fn get_many(&self, scope: &Scope, _: Duration) -> Result<Vec<Register>, StoreError> {
        let registers = self.registers();
        let found = registers.iter().filter(|(name, _)| name.scope() == *scope);
        Ok(found.map(|(_, register)| register.clone()).collect())
    }

    async fn put(
        &self,
        name: &ResourceName,
        expected: Option<u64>,
        value: &RegisterValue,
        _: Duration,
    ) -> Result<PutOutcome, StoreError> {
        let mut registers = self.registers();
        match Register::next(registers.get(name).cloned(), name, expected, value) {
            Ok(register) => {
                let version = register.version;
                registers.insert(name.clone(), register);
                drop(registers);
                self.changes.send(StoreEvent::RegisterChanged(name.clone()));
                Ok(PutOutcome::Stored { version })
            }
            Err(conflict) => Ok(PutOutcome::Conflict(conflict)),
        }
    }
}
