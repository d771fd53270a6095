use std::{
    env,
    net::TcpStream,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{NODES, StoreUnderTest};
use crate::{
    children::Child,
    failure::Failure,
    mongod::free_ports,
    proxies::{Owner, Proxies},
};

const VARIABLE: &str = "TENURE_DYNOXIDE";
const START_LIMIT: Duration = Duration::from_secs(20);

/// A server that keeps its tables in memory. It is frozen, but never killed: a server that has lost its table
/// is like a restored backup, which the guarantee does not cover.
pub(super) struct Server {
    child: Child,
    port: u16,
    /// The port of the proxy of each node.
    proxies: Vec<u16>,
}

impl Server {
    pub(super) fn start(proxies: &Proxies) -> Result<Self, Failure> {
        let program = env::var_os(VARIABLE).ok_or(Failure::Missing(VARIABLE))?;
        let [port] = free_ports();
        let mut command = Command::new(program);
        command.args(["serve", "--host", "127.0.0.1", "-p", &port.to_string()]);
        command.stderr(Stdio::null());
        let child = Child::start(command, |_| ()).map_err(Failure::to("start the server"))?;
        let end = Instant::now() + START_LIMIT;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if end < Instant::now() {
                let (what, limit) = ("the server to listen".to_owned(), START_LIMIT);
                return Err(Failure::TimedOut { what, limit });
            }
            thread::sleep(Duration::from_millis(20));
        }
        let proxies = (1..=NODES).map(|node| proxies.start(port, Owner::Only(node)));
        let proxies = proxies.collect::<Result<_, _>>();
        Ok(Self {
            child,
            port,
            proxies: proxies.map_err(Failure::to("start the proxies"))?,
        })
    }
}

fn url(port: u16) -> String {
    format!("dynamodb://leases?region=local&endpoint=http://127.0.0.1:{port}")
}

impl StoreUnderTest for Server {
    fn ttls(&self) -> &'static [Duration] {
        const { &[Duration::from_secs(2), Duration::from_secs(3)] }
    }

    /// It has no clock.
    fn is_observed(&self) -> bool {
        true
    }

    fn url(&self) -> String {
        format!("{}&create_table_if_missing=true", url(self.port))
    }

    fn url_of(&self, node: usize) -> String {
        url(self.proxies[node - 1])
    }

    fn strike(&mut self, _: u8) -> Result<Option<String>, Failure> {
        let frozen = self.child.freeze();
        frozen.map_err(Failure::to("freeze the server"))?;
        Ok(Some("the server is frozen".to_owned()))
    }

    fn relieve(&mut self) -> Result<(), Failure> {
        let thawed = self.child.unfreeze();
        thawed.map_err(Failure::to("continue the server"))
    }
}
