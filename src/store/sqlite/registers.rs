use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{OptionalExtension as _, Row, params};

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
const CREATE: &str = "INSERT INTO tenure_registers (name, scope, version, value) VALUES (?1, ?2, 1, ?3) \
                      ON CONFLICT DO NOTHING RETURNING version";
const REPLACE: &str = "UPDATE tenure_registers SET version = version + 1, value = ?3 \
                       WHERE name = ?1 AND version = ?2 RETURNING version";

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
        self.transact(|session| {
            let connection = &session.connection;
            let value = value.as_str();
            let version: Option<i64> = match expected {
                None => {
                    let scope = name.scope();
                    let row = params![name.as_str(), scope.as_prefix(), value];
                    let mut create = connection.prepare_cached(CREATE)?;
                    create.query_row(row, |row| row.get(0)).optional()?
                }
                Some(expected) => {
                    // A version that SQLite cannot hold is one that no row has.
                    let expected = i64::try_from(expected).unwrap_or(-1);
                    let mut replace = connection.prepare_cached(REPLACE)?;
                    let row = params![name.as_str(), expected, value];
                    replace.query_row(row, |row| row.get(0)).optional()?
                }
            };
            let Some(version) = version else {
                return Ok(PutOutcome::Conflict(session.find_register(name)?));
            };
            session
                .events
                .push(StoreEvent::RegisterChanged(name.clone()));
            let version = version.unsigned_abs();
            Ok(PutOutcome::Stored { version })
        })
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
