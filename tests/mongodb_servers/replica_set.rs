//! A replica set of three members that can be killed and frozen.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use mongodb::{
    Client,
    bson::{Document, doc},
    options::WriteConcern,
};
use rustix::process::Signal;
use tempfile::TempDir;
use tenure::clock::{BootClock, Clock as _, Moment};

use crate::mongod::{Mongod, free_ports};

/// Kills its members when it is dropped, also on a panic.
pub(crate) struct ReplicaSet {
    /// Declared before the folder, so that the members end before the folder is removed.
    members: Vec<Mongod>,
    _folder: TempDir,
}

impl ReplicaSet {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let member = ["--replSet", "rs0", "--oplogSize", "64"];
        let members = free_ports::<3>()
            .map(|port| Mongod::start(folder.path(), port, &member))
            .into();
        let set = Self {
            members,
            _folder: folder,
        };
        set.initiate();
        set
    }

    /// Initiates the set if necessary, and waits until all members serve.
    fn initiate(&self) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/replica-set.py");
        let mut initiate = Command::new("python3");
        initiate.arg(script).args(["initiate", "rs0"]);
        initiate.args(self.members.iter().map(|member| member.port().to_string()));
        let done = initiate.output().expect("python3 is installed");
        if !done.status.success() {
            let logs = self.members.iter().map(Mongod::end_of_log);
            let logs: String = logs.collect();
            panic!("{}\n{logs}", String::from_utf8_lossy(&done.stderr));
        }
    }

    pub(crate) async fn client(&self) -> Client {
        let hosts = self.members.iter().map(Mongod::address);
        let hosts = hosts.collect::<Vec<_>>().join(",");
        let url = format!("mongodb://{hosts}/?replicaSet=rs0");
        Client::with_uri_str(url).await.unwrap()
    }

    /// Which member is primary.
    pub(crate) async fn primary(&self) -> usize {
        let admin = self.client().await.database("admin");
        let hello: Document = admin.run_command(doc! { "hello": 1 }).await.unwrap();
        let primary = hello.get_str("primary").unwrap();
        let mut members = self.members.iter();
        members.position(|m| m.address() == primary).unwrap()
    }

    /// Waits until a write through a primary other than this member has reached a majority.
    pub(crate) async fn succeeded(&self, old: usize) -> Moment {
        let client = self.client().await;
        let database = client.database("probe");
        let end = Instant::now() + Duration::from_secs(60);
        while Instant::now() < end {
            let write = async {
                let hello = database.run_command(doc! { "hello": 1 }).await?;
                let writes = database.collection::<Document>("writes");
                let write = writes.insert_one(doc! {});
                write.write_concern(WriteConcern::majority()).await?;
                Ok::<_, mongodb::error::Error>(hello)
            };
            let second = Duration::from_secs(1);
            if let Ok(Ok(hello)) = tokio::time::timeout(second, write).await
                && hello.get_str("primary").unwrap() != self.members[old].address()
            {
                return BootClock.now();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("no other primary within 60 s");
    }

    pub(crate) fn kill(&mut self, member: usize) {
        self.members[member].kill();
    }

    pub(crate) fn restart(&mut self, member: usize) {
        self.members[member].launch();
    }

    pub(crate) fn freeze(&self, member: usize) {
        self.members[member].signal(Signal::STOP);
    }

    pub(crate) fn thaw(&self, member: usize) {
        self.members[member].signal(Signal::CONT);
    }

    /// Stops all members at once.
    pub(crate) fn stop(&mut self, how: Stop) {
        match how {
            Stop::Freeze => (0..3).for_each(|member| self.freeze(member)),
            Stop::Kill => {
                let all = &mut self.members;
                all.iter().for_each(|member| member.signal(Signal::KILL));
                all.iter_mut().for_each(Mongod::kill);
            }
        }
    }

    /// Starts or resumes all members after `stop`, and waits until they serve.
    pub(crate) fn go_on(&mut self, how: Stop) {
        match how {
            Stop::Freeze => (0..3).for_each(|member| self.thaw(member)),
            Stop::Kill => (0..3).for_each(|member| self.restart(member)),
        }
        self.initiate();
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Stop {
    Freeze,
    Kill,
}
