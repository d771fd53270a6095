use std::{future::IntoFuture as _, sync::Arc, time::Duration};

use futures::FutureExt as _;
use mongodb::{
    Client,
    error::{Error, ErrorKind},
    options::{ClientOptions, ConnectionString},
};

use super::{
    misconfigured, no_thread,
    parameters::{Parameter, is_encoded, split},
};
use crate::{
    runtime::LibraryThread,
    store::{
        LeaseStore, MongoStore, Operation, Servers, StoreError, StoreErrorKind,
        on_library_thread::{self, OnLibraryThread},
    },
};

const KIND: &str = "mongodb";

/// The collection of the leases. It is not `Debug`, because the URL holds the password.
pub(super) struct Target {
    /// The driver's part.
    url: String,
    pub(super) database: String,
    pub(super) collection: String,
    pub(super) call_limit: Option<Duration>,
}

impl Target {
    pub(super) fn parse(scheme: &str, rest: &str) -> Result<Self, StoreError> {
        let Some(rest) = rest.strip_prefix("//") else {
            let message = format!("two slashes and the servers are missing: write `{scheme}://…`");
            return Err(misconfigured(KIND, message));
        };
        let (before, query) = rest.split_once('?').unwrap_or((rest, ""));
        // The part of a password after a `?` is read as parameters, which the driver's error would quote.
        if query.contains('@') {
            let message = format!("{ENCODE}; in a parameter, write `@` as `%40`");
            return Err(misconfigured(KIND, message));
        }
        // The driver slices a password two bytes after a `%`, and panics if that is inside a character.
        if (before.rsplit_once('@')).is_some_and(|(user, _)| !is_encoded(user)) {
            return Err(misconfigured(KIND, ENCODE));
        }
        let parameters = split(KIND, query)?;
        let (ours, theirs): (Vec<Parameter<'_>>, Vec<_>) = parameters
            .into_iter()
            .partition(|parameter| matches!(parameter.name, "collection" | "call_limit"));
        let (mut collection, mut call_limit) = ("leases".to_owned(), None);
        for parameter in ours {
            match parameter.name {
                "collection" => collection = checked("collection", parameter.decoded(KIND)?)?,
                _ => call_limit = Some(parameter.duration(KIND)?),
            }
        }
        let url = join(scheme, before, &theirs);
        let accepted = ConnectionString::parse(&url);
        let Some(accepted) = accepted.ok().filter(|_| accepts(&url)) else {
            return Err(misconfigured(KIND, diagnosis(scheme, before, &theirs)));
        };
        let database = match accepted.default_database {
            Some(name) => checked("database", name)?,
            None => "tenure".to_owned(),
        };
        Ok(Self {
            url,
            database,
            collection,
            call_limit,
        })
    }

    pub(super) async fn open(self) -> Result<Arc<dyn LeaseStore>, StoreError> {
        let host = LibraryThread::of_locks().map_err(|error| no_thread(KIND, error))?;
        let made = host.run(self.make()).await;
        let made = made.map_err(|lost| on_library_thread::error(&lost, KIND, Operation::Open))?;
        Ok(Arc::new(OnLibraryThread::new(Arc::new(made?), host)))
    }

    /// Call it on the runtime that the client's connections are to live on.
    async fn make(self) -> Result<MongoStore, StoreError> {
        let mut options = ClientOptions::parse(&self.url).await.map_err(refused)?;
        options.max_pool_size.get_or_insert(POOL);
        let servers = Servers::listen(&mut options);
        let client = Client::with_options(options).map_err(refused)?;
        let collection = client.database(&self.database).collection(&self.collection);
        let store = MongoStore::of_servers(collection, servers);
        Ok(match self.call_limit {
            Some(limit) => store.call_limit(limit),
            None => store,
        })
    }
}

/// Ten for the requests of the store, one for its change stream, and one while that is opened again.
const POOL: u32 = 12;

const ENCODE: &str =
    "in the user name and the password, each of `: / ? # [ ] @ %` must be percent-encoded";

/// The error for a URL that the driver can parse. Only its error about a DNS name is the source, because others
/// may quote parts of the URL.
fn refused(error: Error) -> StoreError {
    match &*error.kind {
        ErrorKind::DnsResolve { .. } => {
            let message = "the DNS lookup of the servers failed: check the name and the network";
            StoreError::new(StoreErrorKind::Unavailable, KIND, Operation::Open, message)
                .with_source(error)
        }
        ErrorKind::Io(cause) => {
            let message = format!(
                "the driver cannot read a file that a parameter names: {}",
                cause.kind()
            );
            misconfigured(KIND, message)
        }
        ErrorKind::InvalidTlsConfig { .. } => misconfigured(
            KIND,
            "the driver does not accept the TLS settings: check the files that they name",
        ),
        _ => misconfigured(KIND, REFUSED_COMBINATION),
    }
}

const REFUSED_COMBINATION: &str = "the driver does not accept this combination of parameters";

fn join(scheme: &str, before: &str, parameters: &[Parameter<'_>]) -> String {
    let mut url = format!("{scheme}://{before}");
    for (index, Parameter { name, value }) in parameters.iter().enumerate() {
        let mark = if index == 0 { '?' } else { '&' };
        url += &format!("{mark}{name}={value}");
    }
    url
}

/// Whether the driver accepts it, as far as that can be checked without the DNS.
fn accepts(url: &str) -> bool {
    let Ok(read) = ConnectionString::parse(url) else {
        return false;
    };
    if url.starts_with("mongodb+srv:") {
        return true;
    }
    let parsed = ClientOptions::parse(read).into_future().now_or_never();
    parsed.is_none_or(|options| options.is_ok())
}

/// Why the driver refuses a URL. The parts are checked one by one, because the driver's own message may quote any
/// of them, including the password.
fn diagnosis(scheme: &str, before: &str, parameters: &[Parameter<'_>]) -> String {
    let known = "tenure's own parameters are `collection` and `call_limit`, all others are those of a MongoDB \
         connection string";
    if let Some(unknown) = parameters.iter().find(|it| is_unknown(**it)) {
        return format!("{} is unknown; {known}", unknown.shown());
    }
    if !accepts(&join(scheme, before, &[])) {
        let (user, place) = match before.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, before),
        };
        let hosts = place.split('/').next().unwrap_or(place);
        return match (user, accepts(&join(scheme, place, &[]))) {
            (Some(_), true) => ENCODE.to_owned(),
            _ if accepts(&join(scheme, hosts, &[])) => {
                "the driver does not accept the name of the database: write it after the servers \
                 and a `/`, percent-encoded"
                    .to_owned()
            }
            _ => format!(
                "the driver does not accept the servers: write `host:port`, separated by commas, or \
                 for `mongodb+srv` one host without a port; {ENCODE}"
            ),
        };
    }
    let without = |index: usize| {
        let mut others = parameters.to_vec();
        others.remove(index);
        accepts(&join(scheme, before, &others))
    };
    let culprit = (0..parameters.len()).find(|index| without(*index));
    let culprit = culprit.or_else(|| {
        let alone = |index: &usize| accepts(&join(scheme, before, &parameters[*index..=*index]));
        (0..parameters.len()).find(|index| !alone(index))
    });
    match culprit {
        Some(index) => format!(
            "the driver does not accept {} with this value",
            parameters[index].shown()
        ),
        None => REFUSED_COMBINATION.to_owned(),
    }
}

/// The driver does not export the list of its parameters, but its error tells whether one is unknown.
fn is_unknown(parameter: Parameter<'_>) -> bool {
    let Parameter { name, .. } = parameter;
    let unknown = |error: Error| {
        matches!(&*error.kind, ErrorKind::InvalidArgument { message, .. }
            if message.contains("is an invalid option"))
    };
    !parameter.is_plain()
        || ConnectionString::parse(format!("mongodb://h/?{name}=1")).is_err_and(unknown)
}

/// The name of a database or a collection, if the server allows it.
fn checked(what: &str, name: String) -> Result<String, StoreError> {
    let (forbidden, characters) = match what {
        "database" => ("$.", "`$`, `.`"),
        _ => ("$", "`$`"),
    };
    let odd = |c: char| c.is_control() || forbidden.contains(c);
    if name.contains(odd) || name.starts_with("system.") {
        let message = format!(
            "the name of the {what} is not allowed: it must not contain {characters} or control characters, \
             or begin with `system.`"
        );
        Err(misconfigured(KIND, message))
    } else {
        Ok(name)
    }
}
