use std::{
    collections::BTreeMap,
    sync::{MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;

use super::{
    super::{
        PutOutcome, Register, RegisterStore, StoreError, StoreEvent, register::StoredRegister,
    },
    MemoryStore,
};
use crate::lease::{RegisterValue, ResourceName, Scope};

impl MemoryStore {
    fn registers(&self) -> MutexGuard<'_, BTreeMap<ResourceName, StoredRegister>> {
        (self.registers.lock()).unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl RegisterStore for MemoryStore {
    async fn get(&self, name: &ResourceName, _: Duration) -> Result<Option<Register>, StoreError> {
        let registers = self.registers();
        Ok(registers.get(name).map(|register| register.named(name)))
    }

    async fn get_many(&self, scope: &Scope, _: Duration) -> Result<Vec<Register>, StoreError> {
        let registers = self.registers();
        let found = registers.iter().filter(|(name, _)| name.scope() == *scope);
        Ok(found.map(|(name, register)| register.named(name)).collect())
    }

    async fn put(
        &self,
        name: &ResourceName,
        expected: Option<u64>,
        value: &RegisterValue,
        _: Duration,
    ) -> Result<PutOutcome, StoreError> {
        let mut registers = self.registers();
        let mut stored = registers.get(name).cloned();
        let outcome = StoredRegister::put(&mut stored, name, expected, value);
        if let (PutOutcome::Stored { .. }, Some(stored)) = (&outcome, stored) {
            registers.insert(name.clone(), stored);
            drop(registers);
            self.changes.send(StoreEvent::RegisterChanged(name.clone()));
        }
        Ok(outcome)
    }
}
