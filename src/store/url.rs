use std::sync::Arc;

#[cfg(feature = "dynamodb")]
mod credentials;
#[cfg(feature = "dynamodb")]
mod dynamodb;
#[cfg(feature = "mongodb")]
mod mongodb;
#[cfg(any(feature = "dynamodb", feature = "mongodb"))]
mod parameters;
#[cfg(feature = "sqlite")]
mod sqlite;

use super::{LeaseStore, MemoryStore, Operation, StoreError, StoreErrorKind};

/// The store that an error names before the scheme is known.
const URL: &str = "url";

/// Each scheme, the form of its URL, its feature, and whether this build has it.
const SCHEMES: [(&str, &str, Option<&str>, bool); 5] = [
    ("memory", "memory:", None, true),
    (
        "sqlite",
        "sqlite:PATH",
        Some("sqlite"),
        cfg!(feature = "sqlite"),
    ),
    (
        "mongodb",
        "mongodb://…",
        Some("mongodb"),
        cfg!(feature = "mongodb"),
    ),
    (
        "mongodb+srv",
        "mongodb+srv://…",
        Some("mongodb"),
        cfg!(feature = "mongodb"),
    ),
    (
        "dynamodb",
        "dynamodb://TABLE",
        Some("dynamodb"),
        cfg!(feature = "dynamodb"),
    ),
];

/// Opens the store that a URL names, so that the program's configuration can choose the store.
///
/// | URL | feature | store |
/// | --- | --- | --- |
/// | `memory:` | | [`MemoryStore`], a new one with each call |
/// | `sqlite:PATH` | `sqlite` | `SqliteStore` in this file, relative or absolute; the path is not decoded and has no `?` |
/// | `mongodb://…`, `mongodb+srv://…` | `mongodb` | `MongoStore` |
/// | `dynamodb://TABLE` | `dynamodb` | `DynamoStore` on this table |
///
/// A MongoDB URL is the driver's [connection string]. Its path is the database, `tenure` by default. (A
/// database in the path is also where the server looks the user up, unless `authSource` names another.)
///
/// | parameter | scheme | default |
/// | --- | --- | --- |
/// | `collection=NAME` | `mongodb` | `leases` |
/// | `call_limit=TIME` | `mongodb`, `dynamodb` | `2s`: the longest time for an operation, with all its requests |
/// | any other | `mongodb` | the driver's |
/// | `region=NAME` | `dynamodb` | `AWS_REGION`, `AWS_DEFAULT_REGION`, or the profile's; instance metadata is not used |
/// | `endpoint=URL` | `dynamodb` | `AWS_ENDPOINT_URL_DYNAMODB`, `AWS_ENDPOINT_URL`, the profile's, or the region's |
/// | `create_table_if_missing=true` | `dynamodb` | `false`, because a table costs money |
///
/// Values may be percent-encoded; an `@` in them must be (`%40`). A time is a whole number and its unit:
/// `500ms`, `5s`.
///
/// Except with `create_table_if_missing=true`, it creates no table and no index: call
/// [`prepare`](LeaseStore::prepare) if one may be missing. It sends no request to a server, so the server may
/// be down: a lock retries until it is up. `mongodb+srv` looks the servers up in the DNS.
///
/// # Credentials
///
/// MongoDB's credentials are in the URL, percent-encoded, or where its parameters point. DynamoDB's never are:
/// the SDK finds them in the environment, a profile, the container or the machine. A profile with `sso` needs
/// parts of the SDK that this crate leaves out: give `DynamoStore::new` a client of yours.
///
/// No error and no `Debug` output shows credentials. A driver's error about a URL could, so it is left out.
///
/// # Runtimes
///
/// You can await it on any runtime, and without one. A client's connections live on the runtime that made
/// them: if your application makes the client and blocks that runtime, leases expire. So the clients of
/// MongoDB and DynamoDB are made on the thread of the lock actors, and every request of such a store runs
/// there. An SQLite store has its own thread.
///
/// # Errors
///
/// - [`Misconfigured`](StoreErrorKind::Misconfigured): the scheme or a parameter is unknown, or not accepted.
///   The message names it and those that are known.
/// - [`Unsupported`](StoreErrorKind::Unsupported): this build lacks the store's feature, which the message
///   names.
/// - [`Unavailable`](StoreErrorKind::Unavailable): the DNS does not answer, or no thread can be started.
/// - The errors of `SqliteStore::open` and `DynamoStore::create_table_if_missing`.
///
/// # Cancel safety
///
/// Dropping the call is safe. It may have created a file or a table.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use tenure::{LockActor, open_store};
///
/// let store = open_store("memory:").await?;
/// store.prepare().await?;
/// let lock = LockActor::builder("jobs/reports", store).start()?;
/// # Ok(())
/// # }
/// ```
///
/// ```no_run
/// # async fn open() -> Result<(), Box<dyn std::error::Error>> {
/// # use tenure::open_store;
/// let file = open_store("sqlite:/var/lib/app/leases.db").await?;
/// let mongo = open_store("mongodb://app:s%40cret@a,b,c/app?replicaSet=rs0&collection=leases").await?;
/// let dynamo = open_store("dynamodb://leases?region=eu-central-1").await?;
/// let local = "dynamodb://leases?region=local&endpoint=http://127.0.0.1:8000&create_table_if_missing=true";
/// let local = open_store(local).await?;
/// # Ok(())
/// # }
/// ```
///
/// [connection string]: https://www.mongodb.com/docs/manual/reference/connection-string/
pub async fn open(url: &str) -> Result<Arc<dyn LeaseStore>, StoreError> {
    match Target::parse(url)? {
        Target::Memory => Ok(Arc::new(MemoryStore::new())),
        #[cfg(feature = "sqlite")]
        Target::Sqlite(target) => target.open().await,
        #[cfg(feature = "mongodb")]
        Target::Mongo(target) => target.open().await,
        #[cfg(feature = "dynamodb")]
        Target::Dynamo(target) => target.open().await,
    }
}

/// What a URL names. It is not `Debug`, because it holds credentials.
enum Target {
    Memory,
    #[cfg(feature = "sqlite")]
    Sqlite(sqlite::Target),
    #[cfg(feature = "mongodb")]
    Mongo(mongodb::Target),
    #[cfg(feature = "dynamodb")]
    Dynamo(dynamodb::Target),
}

impl Target {
    fn parse(url: &str) -> Result<Self, StoreError> {
        // Errors and logs quote parts of the URL, each in one line.
        if let Some(at) = url.find(char::is_control) {
            let message = format!("the URL has a control character at byte {at}");
            return Err(misconfigured(URL, message));
        }
        if url.trim().is_empty() {
            let message = format!(
                "the URL is empty: check the setting that contains it, and write one of {}",
                available()
            );
            return Err(misconfigured(URL, message));
        }
        let split = url.split_once(':').filter(|(scheme, _)| is_scheme(scheme));
        let Some((scheme, rest)) = split else {
            let message = format!(
                "this is not the URL of a store: write one of {}",
                available()
            );
            return Err(misconfigured(URL, message));
        };
        match scheme.to_ascii_lowercase().as_str() {
            "memory" if rest.is_empty() => Ok(Self::Memory),
            "memory" => {
                let message =
                    "the URL must be `memory:` alone, because each call opens a new store";
                Err(misconfigured("memory", message))
            }
            #[cfg(feature = "sqlite")]
            "sqlite" => sqlite::Target::parse(rest).map(Self::Sqlite),
            #[cfg(feature = "mongodb")]
            scheme @ ("mongodb" | "mongodb+srv") => {
                mongodb::Target::parse(scheme, rest).map(Self::Mongo)
            }
            #[cfg(feature = "dynamodb")]
            "dynamodb" => dynamodb::Target::parse(rest).map(Self::Dynamo),
            other => Err(no_store(other)),
        }
    }
}

/// Whether the text is a scheme, so that an error may show it. RFC 3986, section 3.1.
fn is_scheme(text: &str) -> bool {
    let odd = |c: char| !c.is_ascii_alphanumeric() && !"+-.".contains(c);
    text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.len() <= 20 && !text.contains(odd)
}

fn no_store(scheme: &str) -> StoreError {
    let known = SCHEMES.iter().find(|(name, ..)| *name == scheme);
    match known.and_then(|(.., feature, _)| *feature) {
        Some(feature) => {
            let message = format!(
                "`{scheme}:` needs the feature `{feature}` of the crate tenure, which is off in this \
                 build; this build supports {}",
                available()
            );
            StoreError::new(StoreErrorKind::Unsupported, URL, Operation::Open, message)
        }
        None => {
            let message = format!(
                "no store has the scheme `{scheme}`; this build supports {}",
                available()
            );
            misconfigured(URL, message)
        }
    }
}

/// The URLs that this build can open.
fn available() -> String {
    let there = SCHEMES.iter().filter(|(.., there)| *there);
    let forms: Vec<_> = there.map(|(_, form, ..)| *form).collect();
    forms.join(", ")
}

fn misconfigured(store: &'static str, message: impl Into<String>) -> StoreError {
    StoreError::new(
        StoreErrorKind::Misconfigured,
        store,
        Operation::Open,
        message,
    )
}

#[cfg(any(feature = "dynamodb", feature = "mongodb", feature = "sqlite"))]
fn no_thread(store: &'static str, error: std::io::Error) -> StoreError {
    let message = "cannot start a thread: check the limit on threads";
    StoreError::new(StoreErrorKind::Unavailable, store, Operation::Open, message).with_source(error)
}

#[cfg(test)]
mod tests;
