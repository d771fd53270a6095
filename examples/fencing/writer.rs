//! One of the processes: an actor that pays into the account while it leads.

use std::{
    error::Error,
    fmt::Display,
    io,
    path::{Path, PathBuf},
    process,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, channel},
    },
    thread,
    time::Duration,
};

use actix::prelude::*;
use rusqlite::{Connection, Transaction};
use tenure::{
    BecameFollower, BecameLeader, Leader as _, Leadership, LockActor, LockHandle, SqliteStore,
    Timing,
    fencing::{FencingError, TokenGuard},
};

use crate::{
    children::say,
    protocol::{Event, PAY, Write},
};

/// The time between the check of the leadership and the write, in which the story freezes the process.
const SLOW: Duration = Duration::from_millis(300);

/// Contends until the story is over.
pub(crate) fn run(name: &str, file: &Path, ttl: Duration) -> Result<(), Box<dyn Error>> {
    System::new().block_on(async {
        let store = SqliteStore::open(file)?;
        let timing = Timing::builder().ttl(ttl).build()?;
        let lock = LockActor::builder("account", Arc::new(store.clone()))
            .candidate(name)
            .timing(timing)
            .start()?;
        let _writer = Writer {
            lock: lock.clone(),
            store,
            file: file.to_owned(),
            words: Arc::new(Mutex::new(words()?)),
        }
        .start();
        std::future::pending::<()>().await;
        Ok(())
    })
}

/// Reads the commands on stdin, on a thread of its own. At the end of stdin the story is over, and the process
/// ends.
fn words() -> io::Result<Receiver<String>> {
    let (tell, told) = channel();
    thread::Builder::new().spawn(move || {
        for word in io::stdin().lines().map_while(Result::ok) {
            let _ = tell.send(word);
        }
        process::exit(0);
    })?;
    Ok(told)
}

struct Writer {
    lock: LockHandle,
    store: SqliteStore,
    file: PathBuf,
    words: Arc<Mutex<Receiver<String>>>,
}

impl Actor for Writer {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.subscribe(&self.lock, ctx);
    }
}

impl Handler<BecameLeader> for Writer {
    type Result = ();

    fn handle(&mut self, BecameLeader { leadership }: BecameLeader, _: &mut Context<Self>) {
        let (store, file) = (self.store.clone(), self.file.clone());
        let words = Arc::clone(&self.words);
        // SQLite blocks, so the work has a thread of its own.
        thread::spawn(move || {
            if let Err(error) = work(&leadership, &store, &file, &words) {
                let error = error.to_string();
                say(&Event::Failed { error });
            }
        });
    }
}

impl Handler<BecameFollower> for Writer {
    type Result = ();
    fn handle(&mut self, _: BecameFollower, _: &mut Context<Self>) {}
}

fn work(
    leadership: &Leadership,
    store: &SqliteStore,
    file: &Path,
    words: &Mutex<Receiver<String>>,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut connection = Connection::open(file)?;
    let token = leadership.token().get();
    say(&Event::Leads { token });
    // As soon as it leads, so that the row knows its token.
    let guard = TokenGuard::new(leadership.lease());
    guard.transaction(&mut connection, "accounts", &[("id", &1)], pay)?;
    say(&Event::Paid { token });
    let words = words.lock().unwrap_or_else(PoisonError::into_inner);
    if words.recv()? != PAY || !leadership.is_current() {
        return Err("it no longer leads".into());
    }
    say(&Event::AboutToPay { token });
    thread::sleep(SLOW);
    // It has checked, so it writes. It does not check again: a real frozen process would not, either.
    let guarded = guard.transaction(&mut connection, "accounts", &[("id", &1)], pay);
    let transaction = store.leader_transaction(&mut connection, leadership.lease(), pay);
    say(&Event::Late {
        token_guard: told(guarded),
        leader_transaction: told(transaction),
    });
    Ok(())
}

fn pay(transaction: &Transaction<'_>) -> rusqlite::Result<usize> {
    transaction.execute("UPDATE accounts SET cents = cents + 100 WHERE id = 1", [])
}

fn told<T, E: Display>(written: Result<T, FencingError<E>>) -> Write {
    match written {
        Ok(_) => Write::Applied,
        Err(FencingError::Rejected(fenced)) => Write::Refused {
            newest: fenced.newest.map(tenure::FencingToken::get),
            why: fenced.to_string(),
        },
        Err(FencingError::Failed(error)) => Write::Failed {
            error: error.to_string(),
        },
        Err(_) => Write::Failed {
            error: "the write could not be guarded".to_owned(),
        },
    }
}
