//! Work that is done once, by whichever process comes first: under a guard of the resource, and
//! marked in a second record, which is never deleted.

mod builder;
mod completion_mark;
mod error;
mod mark_record;
mod outcome;

pub use builder::OnceBuilder;
pub use error::OnceError;
pub use outcome::{Completed, Completion, OnceStatus};

use std::{future::Future, sync::Arc, time::Duration};

use self::{
    completion_mark::{DatedMark, MarkState},
    mark_record::MarkRecord,
};
use crate::{
    driver::StartError,
    leadership::Leadership,
    lease::{CandidateId, FencingToken, InvalidName, LeaseRecord, ResourceName},
    mutex::{Guard, LockError, LockManager, Mutex, MutexOptions, is_for_good},
    store::LeaseStore,
};

/// Work that is done once among all processes: one does it, the others wait, see that it is done and
/// go on. That it is done survives the restart of all of them.
///
/// # What once means
///
/// - **Never two at the same time**, as far as the [guarantee](crate#the-guarantee) of a guard goes.
/// - **At least once, until it has succeeded**: an error, a panic, a future that is dropped, or the
///   crash of its process lets the next one try. So the work must bear to be begun again.
/// - **Not again once it is marked as done**, until it is [reset](Self::reset).
///
/// Between the end of the work and its mark there is a moment. A process that dies in it, or freezes
/// in it for longer than the ttl, has done the work, and the next one does it again. And what a frozen
/// process had already sent when its lock ran out may arrive while the next one works. Where the work is
/// a transaction, let it look in there whether it was done; where it is not, let it pass on the
/// [token](Leadership::token) that [`run_with`](Self::run_with) gives, and refuse a lower one than the
/// highest seen.
///
/// # In the store
///
/// The lock is the resource of this name, with a guard that renews itself while the work runs. The
/// marker is the resource `name/done`: use neither for anything else. A mark is an acquisition of the
/// marker whose holder says `done` or `open`, the token of the guard, and whose it was. Of those that
/// the record remembers, the one of the newest guard counts: a mark that arrives late, after a reset
/// even, changes nothing, unless [eight](LeaseRecord::HISTORY) such come after each other. A marker that
/// somebody else has held is [`Corrupt`](OnceError::Corrupt), never done; one that is deleted, or
/// restored from a backup, is forgotten work.
///
/// | | requests |
/// | --- | --- |
/// | it was done before | 1 |
/// | it is done here | 6, the first time ever one more; and the renewals |
/// | another does it meanwhile | 2 for each waiting interval |
///
/// One of the 6 is a release that the store refuses, which MongoDB answers by two.
///
/// # Examples
///
/// ```
/// # use std::sync::Arc;
/// # use tenure::{MemoryStore, Once};
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # async fn migrate() -> Result<u32, std::io::Error> { Ok(3) }
/// let migration = Once::new(Arc::new(MemoryStore::new()), "migration-42")?;
/// let ran = migration.run(|| migrate()).await?;
/// assert_eq!(ran.into_value(), Some(3));
/// // Here, in another process, or after a restart:
/// let ran = migration.run(|| migrate()).await?;
/// assert!(!ran.was_by_this_call());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Once {
    locks: LockManager,
    options: MutexOptions,
    marker: MarkRecord,
}

/// Whose turn it is.
enum Entry {
    Mine(Guard),
    Over(Completion),
}

impl Once {
    /// Work of this name, with the defaults: a ttl of 15 s, the host's name as owner, a waiting interval
    /// of 3 s. No request is sent before it is run.
    ///
    /// # Errors
    /// [`StartError`] if the name is not accepted (at most 250 bytes), the store needs a longer ttl, or
    /// no thread can be had.
    pub fn new<N>(store: Arc<dyn LeaseStore>, name: N) -> Result<Self, StartError>
    where
        N: TryInto<ResourceName>,
        N::Error: Into<InvalidName>,
    {
        Self::builder(store, name).build()
    }

    /// Work of this name; everything else has a default.
    pub fn builder<N>(store: Arc<dyn LeaseStore>, name: N) -> OnceBuilder
    where
        N: TryInto<ResourceName>,
        N::Error: Into<InvalidName>,
    {
        OnceBuilder::new(store, name)
    }

    /// Does the work, unless it is done, and waits while another does it. The work runs where this is
    /// awaited, which may be any runtime. What it starts elsewhere, a task or a thread, is not dropped
    /// with it: let that ask the [`Leadership`] of [`run_with`](Self::run_with).
    ///
    /// A store that does not answer is asked on, with a warning in the log, until the work has begun
    /// and again to mark it; while the work runs, for as long as the lock lasts.
    ///
    /// # Errors
    /// [`OnceError::Failed`] with the error of the work. [`OnceError::Lost`] if the lock was lost before
    /// the work was over, which was dropped. [`OnceError::Unmarked`] if the work succeeded and may be
    /// done again nevertheless. [`OnceError::Corrupt`], and [`OnceError::Store`] for errors that
    /// waiting does not mend.
    ///
    /// # Panics
    /// If the work does; the next one may try.
    ///
    /// # Cancel safety
    /// Dropped while it waits, it leaves nothing behind in the store. Dropped while the work runs, the
    /// work is dropped, and the next one may try. Dropped after the work has succeeded, it is marked as
    /// done in the background.
    pub async fn run<T, E, F>(&self, work: impl FnOnce() -> F) -> Result<Completed<T>, OnceError<E>>
    where
        F: Future<Output = Result<T, E>>,
    {
        self.run_with(|_| work()).await
    }

    /// The same for work that is told of its lock: to ask whether it still holds before a step that
    /// cannot be taken back, and to pass its token along with every write.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    ///
    /// # Panics
    /// As [`run`](Self::run).
    ///
    /// # Cancel safety
    /// As [`run`](Self::run).
    pub async fn run_with<T, E, F>(
        &self,
        work: impl FnOnce(Leadership) -> F,
    ) -> Result<Completed<T>, OnceError<E>>
    where
        F: Future<Output = Result<T, E>>,
    {
        // Boxed, so that what awaits this is not several times as large as the work.
        let guard = match Box::pin(self.turn()).await.map_err(OnceError::of_any)? {
            Entry::Mine(guard) => guard,
            Entry::Over(done) => return Ok(Completed::Before(done)),
        };
        let (token, leadership) = (guard.token(), guard.leadership().clone());
        let work = Box::pin(async { work(leadership).await });
        let value = match guard.run(work).await {
            Ok(Ok(value)) => value,
            Ok(Err(error)) => {
                // The next one need not wait for the ttl; if that fails, he does.
                let _ = guard.release().await;
                return Err(OnceError::Failed(error));
            }
            Err(lost) => return Err(refused(lost).of_any()),
        };
        match self.marker.write(guard, MarkState::Done).await {
            Ok(()) => Ok(Completed::ByThisCall { value, token }),
            Err(source) => Err(self.unmarked(token, source).of_any()),
        }
    }

    /// How far it has come, by two requests.
    ///
    /// # Errors
    /// [`OnceError::Corrupt`], and [`OnceError::Store`] for errors that waiting does not mend.
    ///
    /// # Cancel safety
    /// May be dropped at any time.
    pub async fn status(&self) -> Result<OnceStatus, OnceError> {
        // In this order: who gives the lock back has marked it before.
        let lock = self.marker.read_lock().await?;
        if let Some(done) = completion(self.marker.read().await?) {
            return Ok(OnceStatus::Done(done));
        }
        let running = lock.filter(LeaseRecord::is_held).and_then(|lock| {
            Some(OnceStatus::Running {
                by: lock.holder?,
                token: lock.token,
                since: lock.since,
                remaining: lock.remaining,
            })
        });
        Ok(running.unwrap_or(OnceStatus::Pending))
    }

    /// Lets it be done again: what was marked before does not count any more, whenever it arrives. Also
    /// mends a marker that somebody else has held.
    ///
    /// # Errors
    /// [`OnceError::Running`] while somebody has its lock, also if only to look whether it is done.
    /// [`OnceError::Lost`] if it is not known to be reset, because the lock was lost before the store
    /// confirmed it. [`OnceError::Corrupt`] if it cannot be reset, and [`OnceError::Store`] for errors
    /// that waiting does not mend.
    ///
    /// # Cancel safety
    /// Dropped before its end it may or may not have been reset.
    pub async fn reset(&self) -> Result<(), OnceError> {
        loop {
            let guard = match self.try_guard().await? {
                Ok(guard) => guard,
                Err((by, remaining)) => {
                    return Err(OnceError::Running {
                        resource: self.resource().clone(),
                        by,
                        remaining,
                    });
                }
            };
            let overruled = match guard.run(self.marker.read_for_sure()).await {
                Ok(Ok(Some(seen))) => self.check_newer(&guard, &seen),
                Ok(Ok(None) | Err(OnceError::Corrupt { .. })) => Ok(()),
                Ok(Err(error)) => Err(error),
                Err(_) => continue,
            };
            if let Err(error) = overruled {
                // If that fails it runs out.
                let _ = guard.release().await;
                return Err(error);
            }
            return self
                .marker
                .write(guard, MarkState::Open)
                .await
                .map_err(refused);
        }
    }

    /// The resource whose lock it is; `/done` added, its marker.
    #[must_use]
    pub fn resource(&self) -> &ResourceName {
        self.marker.lock()
    }

    /// Waits until it is done, or this one is to do it.
    async fn turn(&self) -> Result<Entry, OnceError> {
        let mut wait = Duration::ZERO;
        loop {
            if let Some(done) = completion(self.marker.read_after(wait).await?) {
                return Ok(Entry::Over(done));
            }
            let guard = match self.try_guard().await? {
                Ok(guard) => guard,
                Err((_, remaining)) => {
                    wait = self.marker.pause(remaining);
                    continue;
                }
            };
            // Once more: it may have been done since, and nobody else does it from now on.
            let Ok(seen) = guard.run(self.marker.read_for_sure()).await else {
                wait = Duration::ZERO;
                continue;
            };
            let turn = match seen.and_then(|seen| self.judge(&guard, seen)) {
                Ok(None) => return Ok(Entry::Mine(guard)),
                Ok(Some(done)) => Ok(Entry::Over(done)),
                Err(error) => Err(error),
            };
            // If that fails it runs out.
            let _ = guard.release().await;
            return turn;
        }
    }

    /// Who has done it, or that it is to be done under this guard.
    fn judge(
        &self,
        guard: &Guard,
        seen: Option<DatedMark>,
    ) -> Result<Option<Completion>, OnceError> {
        match (completion(seen.clone()), seen) {
            (Some(done), _) => Ok(Some(done)),
            (None, Some(seen)) => self.check_newer(guard, &seen).map(|()| None),
            (None, None) => Ok(None),
        }
    }

    /// A guard, or who has it for how long.
    async fn try_guard(&self) -> Result<Result<Guard, (CandidateId, Duration)>, OnceError> {
        let mutex = self.mutex();
        loop {
            match mutex.try_guard().await {
                Ok(guard) => return Ok(Ok(guard)),
                Err(LockError::Held { by, remaining, .. }) => return Ok(Err((by, remaining))),
                Err(LockError::Store(error)) if !is_for_good(&error) => {
                    self.marker.rest().await?;
                }
                Err(error) => return Err(refused(error)),
            }
        }
    }

    /// A guard of its own for each call, with a candidate id of its own.
    fn mutex(&self) -> Mutex {
        let mutex = self.locks.mutex_with(self.options.clone());
        mutex.expect("a mutex with these options was made when this was built")
    }

    /// A mark under this guard would not count beside one of a newer.
    fn check_newer(&self, guard: &Guard, seen: &DatedMark) -> Result<(), OnceError> {
        let (own, marked) = (guard.token(), seen.mark.token);
        if own > marked {
            return Ok(());
        }
        Err(self.marker.corrupt(&format!(
            "it was marked under token {marked}, and {} is at {own}: one of the two records was \
             deleted or restored from a backup; use another name, or delete both while nobody runs it",
            self.resource()
        )))
    }

    fn unmarked(&self, token: FencingToken, source: LockError) -> OnceError {
        OnceError::Unmarked {
            resource: self.resource().clone(),
            token,
            source,
        }
    }
}

fn completion(seen: Option<DatedMark>) -> Option<Completion> {
    let seen = seen.filter(|seen| seen.mark.state == MarkState::Done)?;
    Some(Completion {
        by: seen.mark.by,
        token: seen.mark.token,
        at: seen.at,
    })
}

fn refused(error: LockError) -> OnceError {
    match error {
        LockError::Lost { resource, reason } => OnceError::Lost { resource, reason },
        LockError::Store(error) => OnceError::Store(error),
        _ => OnceError::Stopped,
    }
}
