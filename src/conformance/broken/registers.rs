use std::time::Duration;

use async_trait::async_trait;

use super::{Fault, client::Client};
use crate::{
    lease::{RegisterValue, ResourceName, Scope},
    store::{
        Operation, PutOutcome, Register, RegisterStore, StoreError, StoreErrorKind, StoreEvent,
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

    fn find(&self, name: &ResourceName) -> Option<Register> {
        let registers = self.shared.registers.lock().unwrap();
        let found = registers.get(&self.register_key(name)).cloned();
        found.map(|register| Register {
            name: name.clone(),
            ..register
        })
    }

    /// The register to write, or what the put conflicts with.
    fn next(
        &self,
        before: Option<Register>,
        name: &ResourceName,
        mut expected: Option<u64>,
        value: &RegisterValue,
    ) -> Result<Register, Option<Register>> {
        let version = before.as_ref().map(|register| register.version);
        let repeated = (before.clone()).filter(|before| before.value == *value);
        match self.fault() {
            Some(Fault::RegisterVersionIgnored) if version.is_some() => expected = version,
            Some(Fault::PutCreatesUnderAnyVersion) if version.is_none() => expected = None,
            Some(Fault::RepeatedPutStored) if version == Some(expected.unwrap_or(0) + 1) => {
                if let Some(repeated) = repeated {
                    return Ok(repeated);
                }
            }
            _ => {}
        }
        let is_new = before.is_none();
        let next = Register::next(before, name, expected, value);
        match (self.fault(), next) {
            (Some(Fault::RegisterBeginsAtZero), Ok(next)) if is_new => {
                Ok(Register { version: 0, ..next })
            }
            (Some(Fault::UnchangedRegisterKeepsItsVersion), Ok(next)) => {
                Ok(repeated.unwrap_or(next))
            }
            (Some(Fault::RegisterCutAt4096), Ok(next)) => {
                let text: String = next.value.as_str().chars().take(4096).collect();
                let value = RegisterValue::new(text).unwrap();
                Ok(Register { value, ..next })
            }
            (Some(Fault::ConflictHidesTheRegister), Err(_)) => Err(None),
            (_, next) => next,
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
        Ok(self.find(name))
    }

    async fn get_many(&self, scope: &Scope, _: Duration) -> Result<Vec<Register>, StoreError> {
        let registers = self.shared.registers.lock().unwrap();
        let lies_in = |name: &ResourceName| {
            if self.has(Fault::GetManyIncludesSubscopes) {
                name.as_str().starts_with(scope.as_prefix())
            } else {
                name.scope() == *scope
            }
        };
        let found = registers
            .values()
            .filter(|register| lies_in(&register.name));
        let mut found: Vec<_> = found.cloned().collect();
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
            let before = if racy {
                copy
            } else {
                registers.get(&key).cloned()
            };
            match self.next(before, name, expected, value) {
                Ok(register) => {
                    let version = register.version;
                    registers.insert(key, register);
                    PutOutcome::Stored { version }
                }
                Err(conflict) => PutOutcome::Conflict(conflict),
            }
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
