use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Row, params};

use super::{
    SqliteStore,
    failure::{Failure, RequestResult},
    session::Session,
};
use crate::{
    lease::{RegisterValue, ResourceName, Scope},
    store::{
        Operation, PutOutcome, Register, RegisterStore, StoreError, StoreErrorKind, StoreEvent,
    },
};

const GET: &str = "SELECT name, version, value FROM tenure_registers WHERE name = ?1";
const GET_MANY: &str =
    "SELECT name, version, value FROM tenure_registers WHERE scope = ?1 ORDER BY name";
/// Columns that this library does not know are kept.
const WRITE: &str = "INSERT INTO tenure_registers (name, scope, version, value) VALUES (?1, ?2, ?3, ?4) \
                     ON CONFLICT (name) DO UPDATE SET version = excluded.version, value = excluded.value";

#[async_trait]
impl RegisterStore for SqliteStore {
    async fn get(
        &self,
        name: &ResourceName,
        limit: Duration,
    ) -> Result<Option<Register>, StoreError> {
        let name = name.clone();
        self.call(Operation::Get, limit, move |session| session.get(&name))
            .await
    }

    async fn get_many(&self, scope: &Scope, limit: Duration) -> Result<Vec<Register>, StoreError> {
        let scope = scope.clone();
        let get_many = move |session: &mut Session| session.get_many(&scope);
        self.call(Operation::Get, limit, get_many).await
    }

    async fn put(
        &self,
        name: &ResourceName,
        expected: Option<u64>,
        value: &RegisterValue,
        limit: Duration,
    ) -> Result<PutOutcome, StoreError> {
        let (name, value) = (name.clone(), value.clone());
        let put = move |session: &mut Session| session.put(&name, expected, &value);
        self.call(Operation::Put, limit, put).await
    }
}

impl Session {
    fn get(&self, name: &ResourceName) -> RequestResult<Option<Register>> {
        let found = self.find_register(name)?;
        // After the read, which may have waited: the files may have been replaced meanwhile.
        self.files.check()?;
        Ok(found)
    }

    fn get_many(&self, scope: &Scope) -> RequestResult<Vec<Register>> {
        let mut statement = self.connection.prepare_cached(GET_MANY)?;
        let rows = statement.query_and_then([scope.as_prefix()], register)?;
        let found = rows.collect::<RequestResult<_>>()?;
        self.files.check()?;
        Ok(found)
    }

    fn put(
        &mut self,
        name: &ResourceName,
        expected: Option<u64>,
        value: &RegisterValue,
    ) -> RequestResult<PutOutcome> {
        let next = |before| Register::next(before, name, expected, value);
        // A put that changes nothing must not wait for the write lock.
        if let Err(conflict) = next(self.get(name)?) {
            return Ok(PutOutcome::Conflict(conflict));
        }
        self.transact(|session| match next(session.find_register(name)?) {
            Ok(register) => {
                session.write_register(&register)?;
                let event = StoreEvent::RegisterChanged(name.clone());
                session.events.push(event);
                let version = register.version;
                Ok(PutOutcome::Stored { version })
            }
            Err(conflict) => Ok(PutOutcome::Conflict(conflict)),
        })
    }

    fn write_register(&self, register: &Register) -> RequestResult<()> {
        let name = &register.name;
        let version = i64::try_from(register.version).map_err(|_| {
            let message = format!(
                "the version of the register {:?} cannot grow",
                name.as_str()
            );
            Failure::new(StoreErrorKind::Corrupt, message)
        })?;
        let (scope, value) = (name.scope(), register.value.as_str());
        let row = params![name.as_str(), scope.as_prefix(), version, value];
        self.connection.prepare_cached(WRITE)?.execute(row)?;
        Ok(())
    }

    fn find_register(&self, name: &ResourceName) -> RequestResult<Option<Register>> {
        let mut statement = self.connection.prepare_cached(GET)?;
        let mut rows = statement.query_and_then([name.as_str()], register)?;
        rows.next().transpose()
    }
}

fn register(row: &Row<'_>) -> RequestResult<Register> {
    let name: String = row.get(0)?;
    let corrupt = |what: &str| {
        let message = format!("the register {name:?} is damaged: {what}: repair the row");
        Failure::new(StoreErrorKind::Corrupt, message)
    };
    let value: String = row.get(2)?;
    Ok(Register {
        version: u64::try_from(row.get::<_, i64>(1)?)
            .map_err(|_| corrupt("`version` is negative"))?,
        value: RegisterValue::new(value).map_err(|_| corrupt("`value` is too long"))?,
        name: ResourceName::new(&name).map_err(|_| corrupt("`name` is not valid"))?,
    })
}
