use std::{path::Path, process::Command, time::Duration};

use mongodb::{
    Client,
    bson::{Document, doc},
};
use rustix::process::Signal;
use tokio::{runtime::Handle, time::timeout};

use super::Bed;
use crate::{
    failure::Failure,
    mongod::{Mongod, free_ports},
    wires::{NAME, Wires},
};

/// A replica set whose members know each other, and are known to all, by the addresses of wires: a
/// client that asks the set for its members must not find a way past them. Who is at the other end says
/// its name in the first message of each connection; members say none, so that their wires are whole.
pub(super) struct Set {
    members: Vec<Mongod>,
    wires: Vec<u16>,
    client: Client,
    runtime: Handle,
    struck: Option<(usize, Fault)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Killed,
    Frozen,
}

impl Set {
    pub(super) fn start(folder: &Path, wires: &Wires, runtime: &Handle) -> Result<Self, Failure> {
        let member = ["--replSet", "rs0", "--oplogSize", "64"];
        let members = free_ports::<3>().map(|port| Mongod::start(folder, port, &member));
        let ports = members.iter().map(|member| wires.lay(member.port(), None));
        let ports = ports.collect::<Result<Vec<_>, _>>();
        let ports = ports.map_err(Failure::to("lay wires"))?;
        initiate(&ports)?;
        let client = async { Client::with_uri_str(url(&ports, "")).await };
        let client = runtime.block_on(client).map_err(Failure::of_store)?;
        Ok(Self {
            members: members.into(),
            wires: ports,
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
        let wires = &mut self.wires.iter();
        wires.position(|wire| primary.ends_with(&format!(":{wire}")))
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
    match done.status.success() {
        true => Ok(()),
        false => Err(Failure::of_store(String::from_utf8_lossy(&done.stderr))),
    }
}

fn url(ports: &[u16], more: &str) -> String {
    let hosts = ports.iter().map(|port| format!("127.0.0.1:{port}"));
    let hosts = hosts.collect::<Vec<_>>().join(",");
    format!("mongodb://{hosts}/?replicaSet=rs0{more}")
}

impl Bed for Set {
    /// An election takes about four seconds: some leases outlive it.
    fn ttls(&self) -> &'static [Duration] {
        const { &[Duration::from_secs(3), Duration::from_secs(12)] }
    }

    fn url(&self) -> String {
        url(&self.wires, "")
    }

    fn url_of(&self, node: usize) -> String {
        url(&self.wires, &format!("&appName={NAME}{node}"))
    }

    fn strike(&mut self, choice: u8) -> Result<Option<String>, Failure> {
        let choice = usize::from(choice);
        // Mostly the primary; one that cannot be asked for may be in the middle of an election.
        let member = match choice % 4 {
            0 => Some(choice / 4 % self.members.len()),
            _ => self.primary(),
        };
        let Some(member) = member else {
            return Ok(None);
        };
        let fault = match choice / 16 % 2 {
            0 => Fault::Killed,
            _ => Fault::Frozen,
        };
        match fault {
            Fault::Killed => self.members[member].kill(),
            Fault::Frozen => self.members[member].signal(Signal::STOP),
        }
        self.struck = Some((member, fault));
        Ok(Some(format!("member {member} is {fault:?}").to_lowercase()))
    }

    fn relieve(&mut self) -> Result<(), Failure> {
        match self.struck.take() {
            Some((member, Fault::Killed)) => self.members[member].launch_later(),
            Some((member, Fault::Frozen)) => self.members[member].signal(Signal::CONT),
            None => {}
        }
        Ok(())
    }
}
