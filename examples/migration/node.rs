//! One of the processes: it begins its own work only when the schema is migrated.

use std::sync::Arc;

use tenure::{
    Once, SqliteStore,
    clock::{BootClock, Clock as _},
    once::Completed,
};

use crate::{
    args::Node,
    children::say,
    process_group::TTL,
    protocol::Event,
    schema::{self, Error},
};

pub(crate) fn run(node: &Node) -> Result<(), Error> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(1).enable_all().build()?;
    runtime.block_on(start(node))
}

async fn start(node: &Node) -> Result<(), Error> {
    // A file of its own: the migration holds the write lock of the application's file for long.
    let store = SqliteStore::open(node.folder.join("leases.db"))?;
    let once = Once::builder(Arc::new(store), "migration-42")
        .owner(node.name.as_str())
        .ttl(TTL)
        .build()?;

    let migrate = |leadership: tenure::Leadership| async move {
        let (folder, crash) = (node.folder.clone(), node.crash);
        let work = move || schema::migrate(&folder, &leadership, crash);
        let rows = tokio::task::spawn_blocking(work).await??;
        let at = BootClock.now().as_nanos();
        say(&Event::Committed { rows, at });
        Ok::<_, Error>(())
    };
    let ran = once.run_with(migrate).await?;

    let at = BootClock.now().as_nanos();
    let (version, rows) = schema::look(&node.folder)?;
    say(&Event::Continued {
        by_this_process: ran.was_by_this_call(),
        token: ran.token().get(),
        by: match ran {
            Completed::Before(done) => Some(done.by.to_string()),
            _ => None,
        },
        at,
        version,
        rows,
    });
    Ok(())
}
