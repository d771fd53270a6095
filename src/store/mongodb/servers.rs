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

/// The last state that the driver has reported of each server of a client.
///
/// A request that times out gets no error from the driver. The states tell which server fails, and why.
#[derive(Debug, Default)]
pub(crate) struct Servers {
    last: Mutex<BTreeMap<String, ServerState>>,
}

#[derive(Debug)]
enum ServerState {
    Reached(ServerType),
    Failed(String),
}

impl Servers {
    /// Lets the client that is made with these options report its servers and its requests.
    pub(crate) fn listen(options: &mut ClientOptions) -> Arc<Self> {
        let servers = Arc::new(Self::default());
        let reported = servers.clone();
        options.sdam_event_handler =
            Some(EventHandler::callback(move |event| reported.record(event)));
        options.command_event_handler = Some(EventHandler::callback(SendCount::record));
        servers
    }

    fn record(&self, event: SdamEvent) {
        let (address, state) = match event {
            SdamEvent::ServerOpening(event) => {
                (event.address, ServerState::Reached(ServerType::Unknown))
            }
            SdamEvent::ServerClosed(event) => {
                self.last().remove(&event.address.to_string());
                return;
            }
            SdamEvent::ServerDescriptionChanged(event) => {
                let state = match event.new_description.error() {
                    Some(error) => ServerState::Failed(cause(error)),
                    None => ServerState::Reached(event.new_description.server_type()),
                };
                (event.address, state)
            }
            // If the server was unknown before, its description does not change.
            SdamEvent::ServerHeartbeatFailed(event) => (
                event.server_address,
                ServerState::Failed(cause(&event.failure)),
            ),
            _ => return,
        };
        self.last().insert(address.to_string(), state);
    }

    fn last(&self) -> MutexGuard<'_, BTreeMap<String, ServerState>> {
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
                ServerState::Failed(cause) => f.write_str(cause)?,
                ServerState::Reached(ServerType::Unknown) => f.write_str("no answer yet")?,
                ServerState::Reached(kind) => write!(f, "{kind}")?,
            }
        }
        Ok(())
    }
}

/// The text of the cause alone, without the driver's words around it.
fn cause(error: &Error) -> String {
    match &*error.kind {
        ErrorKind::Io(cause) => cause.to_string(),
        kind => kind.to_string(),
    }
}

/// Where one request was sent, if its client reports it.
#[derive(Debug, Default)]
pub(super) struct RequestTrace {
    servers: Option<Arc<Servers>>,
    sends: Arc<SendCount>,
}

/// How often a request was sent on a connection, and to which server first.
#[derive(Debug, Default)]
struct SendCount {
    times: AtomicU32,
    server: OnceLock<String>,
}

tokio::task_local! {
    /// The request that the present task polls. The driver calls the event handler in that task, right before it
    /// writes to the connection.
    static REQUEST: Arc<SendCount>;
}

impl RequestTrace {
    pub(super) fn new(servers: Option<Arc<Servers>>) -> Self {
        let sends = Arc::default();
        Self { servers, sends }
    }

    #[cfg(test)]
    pub(super) fn of_times(times: u32) -> Self {
        let trace = Self::new(Some(Arc::default()));
        trace.sends.times.store(times, Relaxed);
        trace
    }

    /// Counts how often this request is sent.
    pub(super) async fn follow<T>(&self, request: impl Future<Output = T>) -> T {
        REQUEST.scope(self.sends.clone(), request).await
    }

    /// How often it was sent, or `None` if its client does not report it.
    pub(super) fn times_sent(&self) -> Option<u32> {
        (self.servers.as_ref()).map(|_| self.sends.times.load(Relaxed))
    }

    /// The server that it was sent to first.
    pub(super) fn server(&self) -> Option<&str> {
        self.sends.server.get().map(String::as_str)
    }

    pub(super) fn servers(&self) -> Option<&Servers> {
        self.servers.as_deref()
    }

    /// That server, or the states of all servers.
    pub(super) fn place(&self) -> Option<String> {
        let server = self.server().map(str::to_owned);
        server.or_else(|| self.servers().map(Servers::to_string))
    }
}

impl SendCount {
    fn record(event: CommandEvent) {
        let CommandEvent::Started(event) = event else {
            return;
        };
        // Other commands of the client run outside the scope of a request of the store.
        let _ = REQUEST.try_with(|sends| {
            sends.times.fetch_add(1, Relaxed);
            let address = event.connection.address.to_string();
            let _ = sends.server.set(address);
        });
    }
}
