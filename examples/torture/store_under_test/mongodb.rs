use std::{path::Path, process::Command, time::Duration};

use mongodb::{
    Client,
    bson::{Document, doc},
};
use rustix::process::Signal;
use tokio::{runtime::Handle, time::timeout};

use super::{NODES, StoreUnderTest};
use crate::{
    failure::Failure,
    mongod::{Mongod, free_ports},
    proxies::{NAME, Owner, Proxies, ProxyFault},
};

/// A replica set whose members are known to each other and to clients only by the addresses of proxies, so that
/// a client cannot bypass them. Clients send their name in the first message of each connection; a connection
/// without a name comes from another member.
pub(super) struct Set {
    members: Vec<Mongod>,
    /// The port of the proxy of each member.
    ports: Vec<u16>,
    proxies: Proxies,
    client: Client,
    runtime: Handle,
    struck: Option<(usize, Fault)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Killed,
    Frozen,
    /// The other members cannot reach it, clients can.
    Shunned,
    /// No member can reach another one, clients can.
    Parted,
}

/// How many members there are.
pub(super) const MEMBERS: usize = 3;

/// The owner of the connections from other members to this one.
fn calls_of(member: usize) -> usize {
    NODES + 1 + member
}

impl Set {
    pub(super) fn start(
        folder: &Path,
        proxies: &Proxies,
        runtime: &Handle,
    ) -> Result<Self, Failure> {
        let member = ["--replSet", "rs0", "--oplogSize", "64"];
        let members = free_ports::<MEMBERS>().map(|port| Mongod::start(folder, port, &member));
        let ports = members.iter().enumerate().map(|(index, member)| {
            let or = calls_of(index);
            proxies.start(member.port(), Owner::Named { or })
        });
        let ports = ports.collect::<Result<Vec<_>, _>>();
        let ports = ports.map_err(Failure::to("start the proxies"))?;
        initiate(&ports)?;
        let client = async { Client::with_uri_str(url_of(&ports, 0)).await };
        let client = runtime.block_on(client).map_err(Failure::of_store)?;
        Ok(Self {
            members: members.into(),
            ports,
            proxies: proxies.clone(),
            client,
            runtime: runtime.clone(),
            struck: None,
        })
    }

    fn primary(&self) -> Option<usize> {
        let hello = async {
            let admin = self.client.database("admin");
            let hello = admin.run_command(doc! { "hello": 1 });
            timeout(Duration::from_secs(1), hello).await
        };
        let hello: Document = self.runtime.block_on(hello).ok()?.ok()?;
        let primary = hello.get_str("primary").ok()?;
        let mut ports = self.ports.iter();
        ports.position(|port| primary.ends_with(&format!(":{port}")))
    }
}

/// Waits until all members serve.
fn initiate(ports: &[u16]) -> Result<(), Failure> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/replica-set.py");
    let mut initiate = Command::new("python3");
    initiate.arg(script).args(["initiate", "rs0"]);
    initiate.args(ports.iter().map(u16::to_string));
    let done = initiate.output();
    let done = done.map_err(Failure::to("initiate the replica set"))?;
    if done.status.success() {
        Ok(())
    } else {
        Err(Failure::of_store(String::from_utf8_lossy(&done.stderr)))
    }
}

/// The URL of a node, or of the supervisor, which is node 0 and whose connections are never disturbed.
fn url_of(ports: &[u16], node: usize) -> String {
    let hosts = ports.iter().map(|port| format!("127.0.0.1:{port}"));
    let hosts = hosts.collect::<Vec<_>>().join(",");
    format!("mongodb://{hosts}/?replicaSet=rs0&appName={NAME}{node}")
}

impl StoreUnderTest for Set {
    /// An election takes about four seconds. The longer lease outlives it.
    fn ttls(&self) -> &'static [Duration] {
        const { &[Duration::from_secs(3), Duration::from_secs(12)] }
    }

    fn is_observed(&self) -> bool {
        false
    }

    fn url(&self) -> String {
        url_of(&self.ports, 0)
    }

    fn url_of(&self, node: usize) -> String {
        url_of(&self.ports, node)
    }

    fn strike(&mut self, choice: u8) -> Result<Option<String>, Failure> {
        let choice = usize::from(choice);
        // Mostly the primary. There is none in the middle of an election.
        let member = match choice % 4 {
            0 => Some(choice / 16 % MEMBERS),
            _ => self.primary(),
        };
        let Some(member) = member else {
            return Ok(None);
        };
        let faults = [Fault::Killed, Fault::Frozen, Fault::Shunned, Fault::Parted];
        let fault = faults[choice / 4 % faults.len()];
        match fault {
            Fault::Killed => self.members[member].kill(),
            Fault::Frozen => self.members[member].signal(Signal::STOP),
            Fault::Shunned => self.proxies.fault(calls_of(member), ProxyFault::Mute),
            Fault::Parted => {
                (0..MEMBERS)
                    .for_each(|member| self.proxies.fault(calls_of(member), ProxyFault::Cut));
            }
        }
        self.struck = Some((member, fault));
        let whom = match fault {
            Fault::Parted => "each member".to_owned(),
            _ => format!("member {member}"),
        };
        Ok(Some(format!("{whom} is {fault:?}").to_lowercase()))
    }

    fn relieve(&mut self) -> Result<(), Failure> {
        match self.struck.take() {
            Some((member, Fault::Killed)) => self.members[member].launch_later(),
            Some((member, Fault::Frozen)) => self.members[member].signal(Signal::CONT),
            Some((_, Fault::Shunned | Fault::Parted)) => {
                (0..MEMBERS)
                    .for_each(|member| self.proxies.fault(calls_of(member), ProxyFault::None));
            }
            None => {}
        }
        Ok(())
    }
}
