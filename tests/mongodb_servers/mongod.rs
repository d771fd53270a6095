//! One process of the program in `TENURE_MONGOD`.

use std::{
    env,
    fs::{self, File},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

fn program() -> PathBuf {
    let program = env::var_os("TENURE_MONGOD").unwrap_or_else(|| {
        panic!(
            "TENURE_MONGOD is not set: these tests start servers of their own; run \
             `export TENURE_MONGOD=\"$(scripts/servers mongod)\"`"
        )
    });
    let program = PathBuf::from(program);
    assert!(program.is_file(), "TENURE_MONGOD: no file {program:?}");
    program
}

/// It ends when this is dropped, on a panic too.
pub(crate) struct Mongod {
    port: u16,
    data: PathBuf,
    log: PathBuf,
    arguments: Vec<String>,
    child: Child,
}

impl Mongod {
    /// Starts one with its data below this folder, and waits until it can be called.
    pub(crate) fn start(folder: &Path, port: u16, arguments: &[&str]) -> Self {
        let data = folder.join(port.to_string());
        fs::create_dir(&data).unwrap();
        let log = data.with_extension("log");
        let arguments: Vec<_> = arguments.iter().map(|&argument| argument.into()).collect();
        let child = spawn(port, &data, &log, &arguments);
        let started = Self {
            port,
            data,
            log,
            arguments,
            child,
        };
        started.wait_until_it_listens();
        started
    }

    /// Starts it again on the data that it has.
    pub(crate) fn launch(&mut self) {
        self.launch_later();
        self.wait_until_it_listens();
    }

    /// The same without the wait.
    pub(crate) fn launch_later(&mut self) {
        self.child = spawn(self.port, &self.data, &self.log, &self.arguments);
    }

    fn wait_until_it_listens(&self) {
        let end = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(self.address()).is_err() {
            assert!(Instant::now() < end, "{}", self.end_of_log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The child has not been reaped while it may be signalled, so its number is still its own.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub(crate) fn end_of_log(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        let end = lines[lines.len().saturating_sub(5)..].join("\n");
        format!("{}:\n{end}\n", self.address())
    }
}

impl Drop for Mongod {
    /// SIGKILL ends a frozen process too, and does nothing to one that was reaped.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(port: u16, data: &Path, log: &Path, arguments: &[String]) -> Child {
    let log = File::options().append(true).create(true).open(log).unwrap();
    Command::new(program())
        .arg("--dbpath")
        .arg(data)
        .args(["--port", &port.to_string(), "--bind_ip", "127.0.0.1"])
        .args(["--nounixsocket", "--wiredTigerCacheSizeGB", "0.25"])
        // Several servers would otherwise allocate a gigabyte of log before they begin.
        .args(["--wiredTigerEngineConfigString", "log=(file_max=8MB)"])
        .args(["--setParameter", "diagnosticDataCollectionEnabled=false"])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Below those that the kernel gives to outgoing connections: a client that keeps calling a dead
/// server could be given that server's port for itself, and then the server could not come back.
pub(crate) fn free_ports<const COUNT: usize>() -> [u16; COUNT] {
    let mut held: Vec<TcpListener> = Vec::new();
    while held.len() < COUNT {
        let port = 10_000 + rand::random::<u16>() % 20_000;
        held.extend(TcpListener::bind(("127.0.0.1", port)));
    }
    std::array::from_fn(|index| held[index].local_addr().unwrap().port())
}
