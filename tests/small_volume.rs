//! SQLite on a volume of 1 MB: a real file system that gets full. It is mounted in a namespace of its
//! own, which is gone with the process.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Duration,
};

use libtest_mimic::{Arguments, Failed, Trial};
use tenure::{
    FencingToken, LeaseStore as _, SqliteStore,
    lease::{CandidateId, Lease, Metadata, ResourceName},
    store::{AcquireOutcome, AttemptId, Bid, RenewOutcome, StoreErrorKind},
};

/// The directory of the volume, in a child that has it mounted.
const VOLUME: &str = "TENURE_SMALL_VOLUME";
const SIZE: u64 = 1 << 20;
const TTL: Duration = Duration::from_secs(3600);
const LIMIT: Duration = Duration::from_secs(60);

/// Runs a program with a volume of 1 MB mounted at the directory, which only it sees.
fn on_a_small_volume(directory: &Path, program: &str) -> Command {
    let mut command = Command::new("unshare");
    let mount = format!("mount -t tmpfs -o size={SIZE} tmpfs \"$1\" && shift && exec \"$@\"");
    command.args(["-Urm", "sh", "-c", &mount, "sh"]);
    command.arg(directory).arg(program);
    command
}

fn volume() -> PathBuf {
    std::env::var_os(VOLUME).expect("a child").into()
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(work)
}

fn open() -> SqliteStore {
    SqliteStore::open(volume().join("leases.db")).unwrap()
}

fn bid(resource: &str) -> Bid {
    Bid {
        resource: ResourceName::new(resource).unwrap(),
        candidate: CandidateId::new("a").unwrap(),
        attempt: AttemptId::new(1),
        ttl: TTL,
        metadata: None,
        reentrant: false,
        replaces: None,
        waited: None,
        internal: false,
    }
}

fn lease(resource: &str, token: FencingToken) -> Lease {
    let bid = bid(resource);
    Lease {
        resource: bid.resource,
        holder: bid.candidate,
        token,
    }
}

async fn acquire(store: &SqliteStore, resource: &str) -> Lease {
    match store.acquire(&bid(resource), LIMIT).await.unwrap() {
        AcquireOutcome::Granted { token } => lease(resource, token),
        other => panic!("{other:?}"),
    }
}

async fn renew(store: &SqliteStore, lease: &Lease, times: u32) {
    for time in 0..times {
        let renewed = store.renew(lease, TTL, LIMIT).await;
        assert_eq!(renewed.unwrap(), RenewOutcome::RENEWED, "{time}");
    }
}

/// Takes all the room that is left.
fn fill() -> PathBuf {
    let path = volume().join("somebody-elses");
    let mut file = File::create(&path).unwrap();
    for size in [4096, 1] {
        while file.write_all(&vec![1; size]).is_ok() {}
    }
    path
}

fn the_log_of_thousands_of_renewals_does_not_fill_the_volume() {
    block_on(async {
        let store = open();
        let lease = acquire(&store, "jobs/a").await;
        renew(&store, &lease, 3000).await;
        acquire(&store, "jobs/b").await;
        let log = fs::metadata(volume().join("leases.db-wal")).unwrap().len();
        assert!(log <= SIZE / 2, "{log} bytes");
    });
}

fn a_log_that_is_never_closed_does_not_fill_the_volume() {
    block_on(async {
        let store = open();
        let lease = acquire(&store, "jobs/a").await;
        for _ in 0..10 {
            // Its connection is never closed.
            std::mem::forget(open());
            renew(&store, &lease, 200).await;
        }
        renew(&open(), &lease, 200).await;
    });
}

fn a_lease_is_renewed_while_other_files_fill_the_volume() {
    block_on(async {
        let store = open();
        let lease = acquire(&store, "jobs/a").await;
        fill();
        renew(&store, &lease, 1000).await;
    });
}

fn bids_on_a_full_volume_fail_with_a_reason_and_succeed_without_a_restart_when_there_is_space() {
    block_on(async {
        let store = open();
        let old = acquire(&store, "jobs/old").await;
        let filled = fill();
        let mut new = bid("jobs/new");
        new.metadata = Some(Metadata::new("x".repeat(4096)).unwrap());
        let mut granted = 0;
        let error = loop {
            assert!(granted < 1000, "there is always room");
            new.resource = ResourceName::new(format!("jobs/{granted}")).unwrap();
            match store.acquire(&new, LIMIT).await {
                Ok(_) => granted += 1,
                Err(error) => break error,
            }
        };
        let kinds = [StoreErrorKind::Unavailable, StoreErrorKind::Unknown];
        assert!(kinds.contains(&error.kind()), "{error}");
        let text = error.to_string();
        assert!(text.contains("the disk is full"), "{text}");
        assert!(text.contains("free some space"), "{text}");
        fs::remove_file(filled).unwrap();
        let again = store.acquire(&new, LIMIT).await.unwrap();
        assert!(matches!(again, AcquireOutcome::Granted { .. }), "{again:?}");
        renew(&store, &old, 1000).await;
    });
}

fn trial(name: &str, reason: &str, run: fn()) -> Trial {
    let child = name.to_owned();
    let in_child = move || -> Result<(), Failed> {
        if std::env::var_os(VOLUME).is_some() {
            run();
            return Ok(());
        }
        let directory = tempfile::tempdir()?;
        let program = std::env::current_exe()?;
        let program = program.to_str().ok_or("a path of UTF-8")?;
        let mut command = on_a_small_volume(directory.path(), program);
        command
            .args(["--exact", &child])
            .env(VOLUME, directory.path());
        let output = command.output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() && text.contains("1 passed") {
            Ok(())
        } else {
            Err(text.into())
        }
    };
    let ignored = !reason.is_empty();
    Trial::test(format!("{name}{reason}"), in_child).with_ignored_flag(ignored)
}

/// Why no volume can be mounted here.
fn forbidden() -> String {
    if std::env::var_os(VOLUME).is_some() {
        return String::new();
    }
    let tried = tempfile::tempdir()
        .and_then(|directory| on_a_small_volume(directory.path(), "true").output());
    match tried {
        Ok(output) if output.status.success() => String::new(),
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            format!(" (no volume can be mounted here: {text})")
        }
        Err(error) => format!(" (cannot run unshare: {error})"),
    }
}

fn main() -> ExitCode {
    let reason = forbidden();
    let trials = vec![
        trial(
            "the_log_of_thousands_of_renewals_does_not_fill_the_volume",
            &reason,
            the_log_of_thousands_of_renewals_does_not_fill_the_volume,
        ),
        trial(
            "a_log_that_is_never_closed_does_not_fill_the_volume",
            &reason,
            a_log_that_is_never_closed_does_not_fill_the_volume,
        ),
        trial(
            "a_lease_is_renewed_while_other_files_fill_the_volume",
            &reason,
            a_lease_is_renewed_while_other_files_fill_the_volume,
        ),
        trial(
            "bids_on_a_full_volume_fail_with_a_reason_and_succeed_without_a_restart_when_there_is_space",
            &reason,
            bids_on_a_full_volume_fail_with_a_reason_and_succeed_without_a_restart_when_there_is_space,
        ),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
