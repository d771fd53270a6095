use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::future::BoxFuture;

use super::{Fault, FaultyStore};
use crate::{
    lease::{RegisterValue, ResourceName, Scope},
    store::{Operation, PutOutcome, Register, RegisterStore, StoreError, StoreErrorKind},
};

impl FaultyStore {
    async fn call_registers<T, F>(
        &self,
        fault: Fault,
        operation: Operation,
        apply: F,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(Arc<dyn RegisterStore>) -> BoxFuture<'static, Result<T, StoreError>>,
    {
        let Some(registers) = &self.registers else {
            let text = "it keeps no registers: make it with `FaultyStore::with_registers`";
            let kind = StoreErrorKind::Unsupported;
            return Err(StoreError::new(kind, self.inner.kind(), operation, text));
        };
        self.inject(fault, operation, || apply(registers.clone()))
            .await
    }
}

#[async_trait]
impl RegisterStore for FaultyStore {
    async fn get(
        &self,
        name: &ResourceName,
        limit: Duration,
    ) -> Result<Option<Register>, StoreError> {
        let fault = self.next_fault(Operation::Get);
        let get = |registers: Arc<dyn RegisterStore>| {
            let name = name.clone();
            Box::pin(async move { registers.get(&name, limit).await }) as BoxFuture<'static, _>
        };
        let fresh: Option<Register> = self.call_registers(fault, Operation::Get, get).await?;
        let gets = &mut self.plan().gets;
        Ok(fault.answer_of(gets, name, fresh))
    }

    async fn get_many(&self, scope: &Scope, limit: Duration) -> Result<Vec<Register>, StoreError> {
        let fault = self.next_fault(Operation::Get);
        let get_many = |registers: Arc<dyn RegisterStore>| {
            let scope = scope.clone();
            Box::pin(async move { registers.get_many(&scope, limit).await })
                as BoxFuture<'static, _>
        };
        self.call_registers(fault, Operation::Get, get_many).await
    }

    async fn put(
        &self,
        name: &ResourceName,
        expected: Option<u64>,
        value: &RegisterValue,
        limit: Duration,
    ) -> Result<PutOutcome, StoreError> {
        let fault = self.next_fault(Operation::Put);
        let put = |registers: Arc<dyn RegisterStore>| {
            let (name, value) = (name.clone(), value.clone());
            Box::pin(async move { registers.put(&name, expected, &value, limit).await })
                as BoxFuture<'static, _>
        };
        self.call_registers(fault, Operation::Put, put).await
    }
}
