//! Runs `scripts/servers` in a temporary folder.

use std::{path::Path, process::Command, time::Duration};

use mongodb::options::ClientOptions;
use tempfile::TempDir;
use tenure::LeaseStore as _;
use tokio::time::{sleep, timeout};

use crate::support::{LIMIT, TestCollection, granted};

/// Removes the servers when it is dropped, also on a panic.
struct Servers(TempDir);

impl Servers {
    fn new() -> Self {
        Self(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap())
    }

    fn run(&self, arguments: &[&str]) -> String {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let output = Command::new(root.join("scripts/servers"))
            .args(arguments)
            .env("CARGO_TARGET_DIR", self.0.path())
            .env("TENURE_SERVERS", "package")
            .env_remove("TENURE_MONGODB_URL")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn url(&self) -> String {
        let variables = self.run(&["env", "mongodb"]);
        let url = variables.split('\'').nth(1);
        url.unwrap().to_owned()
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let wipe = std::panic::AssertUnwindSafe(|| self.run(&["down", "--wipe", "mongodb"]));
            let _ = std::panic::catch_unwind(wipe);
        } else {
            self.run(&["down", "--wipe", "mongodb"]);
        }
    }
}

async fn test_collection(url: &str) -> TestCollection {
    TestCollection::of(ClientOptions::parse(url).await.unwrap())
}

#[tokio::test]
#[ignore = "needs MongoDB's program: scripts/servers mongod"]
async fn servers_keep_their_data_and_clients_when_they_are_stopped_and_started() {
    let servers = Servers::new();
    servers.run(&["up", "mongodb"]);
    let url = servers.url();
    let before = test_collection(&url).await;
    assert_eq!(before.acquire("a", 1).await, granted(1));

    servers.run(&["down", "mongodb"]);
    servers.run(&["up", "mongodb"]);
    assert_eq!(servers.url(), url);
    let record = async {
        loop {
            if let Ok(Some(record)) = before.store.read(&before.name, LIMIT).await {
                return record;
            }
            sleep(Duration::from_millis(100)).await;
        }
    };
    let record = timeout(Duration::from_secs(30), record).await;
    let record = record.expect("the client of before comes back");
    assert_eq!(record.holder.unwrap().as_str(), "a");

    servers.run(&["down", "--wipe", "mongodb"]);
    servers.run(&["up", "mongodb"]);
    let mut after = test_collection(&servers.url()).await;
    after.name.clone_from(&before.name);
    assert_eq!(after.store.read(&after.name, LIMIT).await.unwrap(), None);
}
