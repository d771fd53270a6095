use std::time::Duration;

use async_trait::async_trait;

use super::{Fault, client::Client};
use crate::{
    lease::{RegisterValue, ResourceName, Scope},
    store::{
        Operation, PutOutcome, Register, RegisterStore, StoreError, StoreErrorKind, StoreEvent,
        StoredRegister,
    },
};

impl Client {
    fn register_key(&self, name: &ResourceName) -> String {
        if self.has(Fault::RegisterNamesLowercased) {
            name.as_str().to_lowercase()
        } else {
            name.to_string()
        }
    }

    fn find(&self, name: &ResourceName) -> Option<StoredRegister> {
        let registers = self.shared.registers.lock().unwrap();
        registers.get(&self.register_key(name)).cloned()
    }

    fn put_by(
        &self,
        stored: &mut Option<StoredRegister>,
        name: &ResourceName,
        mut expected: Option<u64>,
        value: &RegisterValue,
    ) -> PutOutcome {
        let version = stored.as_ref().map(|register| register.version);
        let is_repeated = (stored.as_ref()).is_some_and(|register| register.value == *value)
            && version == Some(expected.unwrap_or(0) + 1);
        match self.fault() {
            Some(Fault::RegisterVersionIgnored) if version.is_some() => expected = version,
            Some(Fault::PutCreatesUnderAnyVersion) if version.is_none() => expected = None,
            Some(Fault::RepeatedPutStored) if is_repeated => {
                let version = expected.unwrap_or(0) + 1;
                return PutOutcome::Stored { version };
            }
            _ => {}
        }
        let before = stored.clone();
        let outcome = StoredRegister::put(stored, name, expected, value);
        match (self.fault(), stored.as_mut()) {
            (Some(Fault::RegisterBeginsAtZero), Some(register)) if before.is_none() => {
                register.version = 0;
            }
            (Some(Fault::UnchangedRegisterKeepsItsVersion), Some(register)) => {
                if let Some(before) = before.filter(|before| before.value == register.value) {
                    register.version = before.version;
                }
            }
            (Some(Fault::RegisterCutAt4096), Some(register)) => {
                let text: String = register.value.as_str().chars().take(4096).collect();
                register.value = RegisterValue::new(text).unwrap();
            }
            _ => {}
        }
        match outcome {
            PutOutcome::Stored { .. } => {
                let version = stored.as_ref().map_or(0, |register| register.version);
                PutOutcome::Stored { version }
            }
            PutOutcome::Conflict(_) if self.has(Fault::ConflictHidesTheRegister) => {
                PutOutcome::Conflict(None)
            }
            conflict => conflict,
        }
    }

    fn tell_of_put(&self, name: &ResourceName) {
        if !self.has(Fault::WatchMissesPuts) {
            self.tell(
                Operation::Put,
                Some(StoreEvent::RegisterChanged(name.clone())),
            );
        }
    }
}

#[async_trait]
impl RegisterStore for Client {
    async fn get(&self, name: &ResourceName, _: Duration) -> Result<Option<Register>, StoreError> {
        Ok(self.find(name).map(|register| register.named(name)))
    }

    async fn get_many(&self, scope: &Scope, _: Duration) -> Result<Vec<Register>, StoreError> {
        let registers = self.shared.registers.lock().unwrap();
        let named = registers.iter().map(|(name, register)| {
            let name = ResourceName::new(name).unwrap();
            register.named(&name)
        });
        let lies_in = |name: &ResourceName| {
            if self.has(Fault::GetManyIncludesSubscopes) {
                name.as_str().starts_with(scope.as_prefix())
            } else {
                name.scope() == *scope
            }
        };
        let mut found: Vec<_> = named.filter(|register| lies_in(&register.name)).collect();
        if self.has(Fault::GetManyByVersion) {
            found.sort_by_key(|register| register.version);
        }
        Ok(found)
    }

    async fn put(
        &self,
        name: &ResourceName,
        expected: Option<u64>,
        value: &RegisterValue,
        limit: Duration,
    ) -> Result<PutOutcome, StoreError> {
        let waited = match self.fault() {
            Some(Fault::PutLimitIgnored) => self.wait(Operation::Put, Duration::MAX).await,
            _ => self.wait(Operation::Put, limit).await,
        };
        if waited.is_err() && !self.has(Fault::UnansweredPutApplied) {
            return waited.map(|()| unreachable!("an error"));
        }
        if self.has(Fault::WatchTellsPutsTooEarly) {
            self.tell_of_put(name);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let key = self.register_key(name);
        let racy = self.has(Fault::RegisterWithoutCompareAndSet);
        let copy = self.find(name).filter(|_| racy);
        if racy {
            tokio::task::yield_now().await;
        }
        let outcome = {
            let mut registers = self.shared.registers.lock().unwrap();
            let mut stored = if racy {
                copy
            } else {
                registers.get(&key).cloned()
            };
            let outcome = self.put_by(&mut stored, name, expected, value);
            if let (PutOutcome::Stored { .. }, Some(stored)) = (&outcome, stored) {
                registers.insert(key, stored);
            }
            outcome
        };
        if matches!(outcome, PutOutcome::Stored { .. }) {
            self.tell_of_put(name);
        }
        waited
            .map(|()| outcome)
            .map_err(|error| match self.fault() {
                Some(Fault::UnansweredPutApplied) => {
                    let kind = StoreErrorKind::Unavailable;
                    StoreError::new(kind, "broken", Operation::Put, "no answer")
                }
                _ => error,
            })
    }
}
