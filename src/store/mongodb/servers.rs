use std::{
    collections::BTreeMap,
    fmt,
    future::Future,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

use mongodb::{
    ServerType,
    error::{Error, ErrorKind},
    event::{EventHandler, command::CommandEvent, sdam::SdamEvent},
    options::ClientOptions,
};

/// What the driver has last told of each server of a client.
///
/// A request that is cut off at its limit leaves no error of the driver behind. This knows which server
/// fails, and why.
#[derive(Debug, Default)]
pub(crate) struct Servers {
    last: Mutex<BTreeMap<String, State>>,
}

#[derive(Debug)]
enum State {
    Reached(ServerType),
    Failed(String),
}

impl Servers {
    /// Has the client that is made with these options tell of its servers and of its requests.
    pub(crate) fn listen(options: &mut ClientOptions) -> Arc<Self> {
        let servers = Arc::new(Self::default());
        let told = servers.clone();
        options.sdam_event_handler = Some(EventHandler::callback(move |event| told.hear(event)));
        options.command_event_handler = Some(EventHandler::callback(Handed::hear));
        servers
    }

    fn hear(&self, event: SdamEvent) {
        let (address, state) = match event {
            SdamEvent::ServerOpening(event) => (event.address, State::Reached(ServerType::Unknown)),
            SdamEvent::ServerClosed(event) => {
                self.last().remove(&event.address.to_string());
                return;
            }
            SdamEvent::ServerDescriptionChanged(event) => {
                let state = match event.new_description.error() {
                    Some(error) => State::Failed(cause(error)),
                    None => State::Reached(event.new_description.server_type()),
                };
                (event.address, state)
            }
            // It is no change of the description if the server has been unknown before.
            SdamEvent::ServerHeartbeatFailed(event) => {
                (event.server_address, State::Failed(cause(&event.failure)))
            }
            _ => return,
        };
        self.last().insert(address.to_string(), state);
    }

    fn last(&self) -> MutexGuard<'_, BTreeMap<String, State>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = self.last();
        if last.is_empty() {
            return f.write_str("no server is known");
        }
        for (index, (address, state)) in last.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{address}: ")?;
            match state {
                State::Failed(cause) => f.write_str(cause)?,
                State::Reached(ServerType::Unknown) => f.write_str("no answer yet")?,
                State::Reached(kind) => write!(f, "{kind}")?,
            }
        }
        Ok(())
    }
}

/// Without the words around it that say nothing more.
fn cause(error: &Error) -> String {
    match &*error.kind {
        ErrorKind::Io(cause) => cause.to_string(),
        kind => kind.to_string(),
    }
}

/// The way of one request, as far as its client tells of it.
#[derive(Debug, Default)]
pub(super) struct Trace {
    servers: Option<Arc<Servers>>,
    handed: Arc<Handed>,
}

/// How often a request was handed to a connection, and to which server first.
#[derive(Debug, Default)]
struct Handed {
    times: AtomicU32,
    server: OnceLock<String>,
}

tokio::task_local! {
    /// The request that the present task is polling. The driver calls the handler of its events where the
    /// request is polled, right before it writes to the connection.
    static REQUEST: Arc<Handed>;
}

impl Trace {
    pub(super) fn new(servers: Option<Arc<Servers>>) -> Self {
        let handed = Arc::default();
        Self { servers, handed }
    }

    #[cfg(test)]
    pub(super) fn of_times(times: u32) -> Self {
        let trace = Self::new(Some(Arc::default()));
        trace.handed.times.store(times, Relaxed);
        trace
    }

    /// Counts what this request hands to connections.
    pub(super) async fn follow<T>(&self, request: impl Future<Output = T>) -> T {
        REQUEST.scope(self.handed.clone(), request).await
    }

    /// How often it was handed to a connection; `None` if its client does not tell.
    pub(super) fn times_sent(&self) -> Option<u32> {
        (self.servers.as_ref()).map(|_| self.handed.times.load(Relaxed))
    }

    /// The server that it was handed to first.
    pub(super) fn server(&self) -> Option<&str> {
        self.handed.server.get().map(String::as_str)
    }

    pub(super) fn servers(&self) -> Option<&Servers> {
        self.servers.as_deref()
    }

    /// That server, or what the driver tells of all.
    pub(super) fn place(&self) -> Option<String> {
        let server = self.server().map(str::to_owned);
        server.or_else(|| self.servers().map(Servers::to_string))
    }
}

impl Handed {
    fn hear(event: CommandEvent) {
        let CommandEvent::Started(event) = event else {
            return;
        };
        // The client's other commands are not in the scope of a request of the store.
        let _ = REQUEST.try_with(|handed| {
            handed.times.fetch_add(1, Relaxed);
            let address = event.connection.address.to_string();
            let _ = handed.server.set(address);
        });
    }
}
