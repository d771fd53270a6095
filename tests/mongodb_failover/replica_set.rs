//! A replica set of three members that may be killed and frozen.

use std::{
    env,
    fs::{self, File},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use mongodb::{
    Client,
    bson::{Document, doc},
    options::WriteConcern,
};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tenure::{BootClock, Clock as _, Moment};

fn program() -> PathBuf {
    let program = env::var_os("TENURE_MONGOD").unwrap_or_else(|| {
        panic!(
            "TENURE_MONGOD is not set: these tests start members of their own; run \
             `export TENURE_MONGOD=\"$(scripts/servers mongod)\"`"
        )
    });
    let program = PathBuf::from(program);
    assert!(program.is_file(), "TENURE_MONGOD: no file {program:?}");
    program
}

/// Ends its members when it is dropped, on a panic too.
pub(crate) struct ReplicaSet {
    /// Before the folder, so that they end before it goes.
    members: Vec<Member>,
    _folder: TempDir,
}

impl ReplicaSet {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let members = free_ports()
            .map(|port| Member::start(folder.path(), port))
            .collect();
        let set = Self {
            members,
            _folder: folder,
        };
        set.initiate();
        set
    }

    /// Initiates the set if need be, and waits until all members serve.
    fn initiate(&self) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/replica-set.py");
        let mut initiate = Command::new("python3");
        initiate.arg(script).args(["initiate", "rs0"]);
        initiate.args(self.members.iter().map(|member| member.port.to_string()));
        let done = initiate.output().expect("python3 is there");
        if !done.status.success() {
            let logs = self.members.iter().map(Member::end_of_log);
            let logs: String = logs.collect();
            panic!("{}\n{logs}", String::from_utf8_lossy(&done.stderr));
        }
    }

    pub(crate) async fn client(&self) -> Client {
        let hosts = self.members.iter().map(Member::address);
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

    /// Waits until a majority has taken a write through another primary than this one.
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
                all.iter_mut().for_each(Member::kill);
            }
        }
    }

    /// Undoes `stop`, and waits until all members serve.
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

struct Member {
    port: u16,
    data: PathBuf,
    log: PathBuf,
    child: Child,
}

impl Member {
    fn start(folder: &Path, port: u16) -> Self {
        let data = folder.join(port.to_string());
        fs::create_dir(&data).unwrap();
        let log = data.with_extension("log");
        let child = Self::spawn(port, &data, &log);
        let member = Self {
            port,
            data,
            log,
            child,
        };
        member.wait_until_it_listens();
        member
    }

    fn spawn(port: u16, data: &Path, log: &Path) -> Child {
        let log = File::options().append(true).create(true).open(log).unwrap();
        Command::new(program())
            .arg("--dbpath")
            .arg(data)
            .args(["--port", &port.to_string(), "--bind_ip", "127.0.0.1"])
            .args(["--nounixsocket", "--replSet", "rs0", "--oplogSize", "64"])
            .args(["--wiredTigerCacheSizeGB", "0.25"])
            // Three members would otherwise allocate a gigabyte of log before they begin.
            .args(["--wiredTigerEngineConfigString", "log=(file_max=8MB)"])
            .args(["--setParameter", "diagnosticDataCollectionEnabled=false"])
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    fn launch(&mut self) {
        self.child = Self::spawn(self.port, &self.data, &self.log);
        self.wait_until_it_listens();
    }

    fn wait_until_it_listens(&self) {
        let end = Instant::now() + Duration::from_secs(60);
        while std::net::TcpStream::connect(self.address()).is_err() {
            assert!(Instant::now() < end, "{}", self.end_of_log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The child has not been reaped while it may be signalled, so its number is still its own.
    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn end_of_log(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        let end = lines[lines.len().saturating_sub(5)..].join("\n");
        format!("{}:\n{end}\n", self.address())
    }
}

impl Drop for Member {
    /// SIGKILL ends a frozen process too, and does nothing to one that was reaped.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Below those that the kernel gives to outgoing connections: a client that keeps calling a dead
/// member could be given that member's port for itself, and then the member could not come back.
fn free_ports() -> impl Iterator<Item = u16> {
    let mut held: Vec<TcpListener> = Vec::new();
    while held.len() < 3 {
        let port = 10_000 + rand::random::<u16>() % 20_000;
        held.extend(TcpListener::bind(("127.0.0.1", port)));
    }
    let ports = held.iter().map(|each| each.local_addr().unwrap().port());
    ports.collect::<Vec<_>>().into_iter()
}
