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
            "TENURE_MONGOD is not set: these tests start their own servers; run \
             `export TENURE_MONGOD=\"$(scripts/servers mongod)\"`"
        )
    });
    let program = PathBuf::from(program);
    assert!(program.is_file(), "TENURE_MONGOD: no file {program:?}");
    program
}

/// Kills the process when it is dropped, also on a panic.
pub(crate) struct Mongod {
    port: u16,
    data: PathBuf,
    log: PathBuf,
    arguments: Vec<String>,
    child: Child,
}

impl Mongod {
    /// Starts a server with its data in this folder, and waits until it accepts connections.
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

    /// Starts the server again, with its data.
    pub(crate) fn launch(&mut self) {
        self.launch_later();
        self.wait_until_it_listens();
    }

    /// As `launch`, but does not wait.
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

    /// The child was not reaped yet, so its process id cannot belong to another process.
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
    /// SIGKILL also ends a frozen process. If the process was reaped, nothing is sent.
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
        // Otherwise several servers allocate a gigabyte of log when they start.
        .args(["--wiredTigerEngineConfigString", "log=(file_max=8MB)"])
        .args(["--setParameter", "diagnosticDataCollectionEnabled=false"])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Free ports below those that the kernel uses for outgoing connections. A client that keeps connecting to a dead
/// server could otherwise get that server's port as its own, and the server could not start again.
pub(crate) fn free_ports<const COUNT: usize>() -> [u16; COUNT] {
    let mut held: Vec<TcpListener> = Vec::new();
    while held.len() < COUNT {
        let port = 10_000 + rand::random::<u16>() % 20_000;
        held.extend(TcpListener::bind(("127.0.0.1", port)));
    }
    std::array::from_fn(|index| held[index].local_addr().unwrap().port())
}
