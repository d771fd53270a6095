//! Work that one process does once while the others wait. The process holds a guard of the resource, and
//! records the completion in a second record, which is never deleted.

mod builder;
mod error;
mod mark_store;
mod once_mark;
mod outcome;

pub use builder::OnceBuilder;
pub use error::OnceError;
pub use outcome::{Completed, Completion, OnceStatus};

use std::{future::Future, sync::Arc, time::Duration};

use self::{
    mark_store::MarkStore,
    once_mark::{DatedMark, MarkState},
};
use crate::{
    driver::StartError,
    leadership::Leadership,
    lease::{CandidateId, FencingToken, InvalidName, LeaseRecord, Note, ResourceName},
    mutex::{Guard, LockError, LockManager, Mutex, MutexOptions, is_for_good},
    store::LeaseStore,
};

/// Work that one process does while the others wait, and that is not repeated after it has succeeded.
///
/// The store remembers that it is done, also after all processes have restarted.
///
/// # What once means
///
/// - **At most one process at a time** runs the work, under the [guarantee](crate#the-guarantee) of a guard.
/// - **At least once, until it succeeds.** After an error, a panic, a dropped future or a crash, the next
///   process tries, so the work must tolerate being started again.
/// - **Not again after it is marked as done**, until you [reset](Self::reset) it.
///
/// Two cases remain:
///
/// - If a process dies between the end of the work and its mark, or freezes there for longer than the ttl, the
///   next one does the work again. If the work is a transaction, check inside it whether it was done.
/// - What a frozen process had already sent when its lock expired may arrive while the next one works. Send the
///   [token](Leadership::token) of [`run_with`](Self::run_with) with each write, and reject a token lower than
///   the highest seen.
///
/// # In the store
///
/// The lock is the resource `name`; a guard renews it while the work runs. The mark record is the resource
/// `name/done`. Use neither for anything else.
///
/// A mark is an acquisition of the mark record. Its holder is text: `done` or `open`, the token of the guard
/// and the id of the guard. Of the marks in the record's history, the one with the largest token counts. So a
/// mark that arrives late changes nothing, also after a reset, unless [eight](LeaseRecord::HISTORY) of them
/// arrive one after the other. If anything else has held the mark record, the work is
/// [`Corrupt`](OnceError::Corrupt) and not done. If the mark record is deleted or restored from a backup, its
/// marks are lost.
///
/// | case | requests |
/// | --- | --- |
/// | the work was done before | 1 |
/// | this call does the work | 6, one more if there is no mark record yet, and the renewals |
/// | another call does the work meanwhile | 2 for each `poll_every` |
///
/// One of the 6 is a release that the store refuses; MongoDB needs two requests for it.
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
    mark_record: MarkStore,
}

/// What a call of `run` has to do.
enum NextStep {
    RunWork(Guard),
    ReturnCompletion(Completion),
}

impl Once {
    /// Work of this name, with the defaults: ttl 15 s, `poll_every` 3 s, the host name as owner.
    ///
    /// This sends no request.
    ///
    /// # Errors
    /// [`StartError`] if the name is not a [`ResourceName`] of at most 250 bytes, the store needs a longer ttl,
    /// or the operating system gives no thread.
    pub fn new<N>(store: Arc<dyn LeaseStore>, name: N) -> Result<Self, StartError>
    where
        N: TryInto<ResourceName>,
        N::Error: Into<InvalidName>,
    {
        Self::builder(store, name).build()
    }

    /// Sets up work of this name. Everything else has a default.
    pub fn builder<N>(store: Arc<dyn LeaseStore>, name: N) -> OnceBuilder
    where
        N: TryInto<ResourceName>,
        N::Error: Into<InvalidName>,
    {
        OnceBuilder::new(store, name)
    }

    /// Does the work unless it is done; waits while another call does it, and while the resource is
    /// [paused](crate::Operator::pause). Work that has begun goes on during a pause.
    ///
    /// The work runs in the task that awaits this, on any runtime. If the lock is lost, the work is dropped.
    /// Tasks and threads that it has started are not: let them check the [`Leadership`] of
    /// [`run_with`](Self::run_with).
    ///
    /// If the store does not answer, this retries and logs a warning: without a limit before the work begins,
    /// and until the lock is lost while the work runs and is marked.
    ///
    /// # Errors
    /// - [`OnceError::Failed`] with the error of the work.
    /// - [`OnceError::Lost`] if the lock was lost while the work ran, which was dropped.
    /// - [`OnceError::Unmarked`] if the work succeeded but the mark is not confirmed, so it may be done again.
    /// - [`OnceError::Corrupt`] if the mark record cannot be relied on.
    /// - [`OnceError::Store`] if the store fails in a way that a retry does not fix.
    ///
    /// # Panics
    /// If the work panics. The next call may try.
    ///
    /// # Cancel safety
    /// Dropping the future is safe. Before the work begins, it leaves nothing in the store. While the work
    /// runs, the work is dropped and the next call may try. After the work has succeeded, it is still marked as
    /// done, in the background.
    pub async fn run<T, E, F>(&self, work: impl FnOnce() -> F) -> Result<Completed<T>, OnceError<E>>
    where
        F: Future<Output = Result<T, E>>,
    {
        self.run_with(|_| work()).await
    }

    /// Does the work as [`run`](Self::run) does, and passes it the [`Leadership`] of its lock.
    ///
    /// With it the work checks that the lock is still held before a step that cannot be undone, and sends the
    /// token with every write.
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
        // Boxed, so that the future is not several times as large as the work.
        let next_step = Box::pin(self.wait_for_next_step()).await;
        let guard = match next_step.map_err(OnceError::with_error_type)? {
            NextStep::RunWork(guard) => guard,
            NextStep::ReturnCompletion(done) => return Ok(Completed::Before(done)),
        };
        let (token, leadership) = (guard.token(), guard.leadership().clone());
        let work = Box::pin(async { work(leadership).await });
        let value = match guard.run(work).await {
            Ok(Ok(value)) => value,
            Ok(Err(error)) => {
                // So that the next call need not wait for the ttl. If the release fails, it waits.
                let _ = guard.release().await;
                return Err(OnceError::Failed(error));
            }
            Err(lost) => return Err(OnceError::from_lock_error(lost).with_error_type()),
        };
        match self.mark_record.write(guard, MarkState::Done).await {
            Ok(()) => Ok(Completed::ByThisCall { value, token }),
            Err(source) => Err(self.unmarked(token, source).with_error_type()),
        }
    }

    /// Whether the work is pending, running, paused or done. Sends two requests.
    ///
    /// # Errors
    /// - [`OnceError::Corrupt`] if the mark record cannot be relied on.
    /// - [`OnceError::Store`] if the store fails in a way that a retry does not fix.
    ///
    /// # Cancel safety
    /// You may drop the future at any time.
    pub async fn status(&self) -> Result<OnceStatus, OnceError> {
        // In this order: a call writes the mark before it releases the lock.
        let lock = self.mark_record.read_lock().await?;
        if let Some(done) = completion(self.mark_record.read().await?) {
            return Ok(OnceStatus::Done(done));
        }
        let pause = lock.as_ref().and_then(|lock| lock.pause.clone());
        let running = lock.filter(LeaseRecord::is_held).and_then(|lock| {
            Some(OnceStatus::Running {
                by: lock.holder?,
                token: lock.token,
                since: lock.since,
                remaining: lock.remaining,
            })
        });
        let waiting = pause.map_or(OnceStatus::Pending, OnceStatus::Paused);
        Ok(running.unwrap_or(waiting))
    }

    /// Marks the work as not done, so that the next call of [`run`](Self::run) does it again.
    ///
    /// Earlier marks no longer count, also if they arrive later. This also repairs a mark record that
    /// something else has held.
    ///
    /// # Errors
    /// - [`OnceError::Paused`] if the resource is paused.
    /// - [`OnceError::Running`] if another call has the lock, also if it only checks whether the work is done.
    /// - [`OnceError::Lost`] if the lock was lost before the store confirmed the reset, which may have happened.
    /// - [`OnceError::Corrupt`] if the records contradict each other, so that no reset would count.
    /// - [`OnceError::Store`] if the store fails in a way that a retry does not fix.
    ///
    /// # Cancel safety
    /// If you drop the future, the work may or may not be reset.
    pub async fn reset(&self) -> Result<(), OnceError> {
        loop {
            let guard = match self.try_guard().await? {
                Ok(guard) => guard,
                Err(busy) => return Err(busy.error(self.resource())),
            };
            let checked = match guard.run(self.mark_record.read_latest()).await {
                Ok(Ok(Some(seen))) => self.check_token_is_newer(&guard, &seen),
                Ok(Ok(None) | Err(OnceError::Corrupt { .. })) => Ok(()),
                Ok(Err(error)) => Err(error),
                Err(_) => continue,
            };
            if let Err(error) = checked {
                // If the release fails, the lease expires.
                let _ = guard.release().await;
                return Err(error);
            }
            return self
                .mark_record
                .write(guard, MarkState::Open)
                .await
                .map_err(OnceError::from_lock_error);
        }
    }

    /// The resource that is locked while the work runs. The mark record has the same name with `/done` added.
    #[must_use]
    pub fn resource(&self) -> &ResourceName {
        self.mark_record.lock()
    }

    /// Waits until the work is done, or this call has the lock and must do it.
    async fn wait_for_next_step(&self) -> Result<NextStep, OnceError> {
        let mut wait = Duration::ZERO;
        loop {
            if let Some(done) = completion(self.mark_record.read_after(wait).await?) {
                return Ok(NextStep::ReturnCompletion(done));
            }
            let guard = match self.try_guard().await? {
                Ok(guard) => guard,
                Err(busy) => {
                    wait = self.mark_record.jittered(busy.lasts_for());
                    continue;
                }
            };
            // Read again under the guard: the work may have been done since, and cannot be from now on.
            let Ok(seen) = guard.run(self.mark_record.read_latest()).await else {
                wait = Duration::ZERO;
                continue;
            };
            let next_step = match seen.and_then(|seen| self.check_mark(&guard, seen)) {
                Ok(None) => return Ok(NextStep::RunWork(guard)),
                Ok(Some(done)) => Ok(NextStep::ReturnCompletion(done)),
                Err(error) => Err(error),
            };
            // If the release fails, the lease expires.
            let _ = guard.release().await;
            return next_step;
        }
    }

    /// The completion, or `None` if the work must be done under this guard.
    fn check_mark(
        &self,
        guard: &Guard,
        seen: Option<DatedMark>,
    ) -> Result<Option<Completion>, OnceError> {
        match (completion(seen.clone()), seen) {
            (Some(done), _) => Ok(Some(done)),
            (None, Some(seen)) => self.check_token_is_newer(guard, &seen).map(|()| None),
            (None, None) => Ok(None),
        }
    }

    /// A guard, or why there is none now.
    async fn try_guard(&self) -> Result<Result<Guard, Busy>, OnceError> {
        let mutex = self.mutex();
        loop {
            match mutex.try_guard().await {
                Ok(guard) => return Ok(Ok(guard)),
                Err(LockError::Held { by, remaining, .. }) => {
                    return Ok(Err(Busy::Held { by, remaining }));
                }
                Err(LockError::Paused { note, .. }) => return Ok(Err(Busy::Paused { note })),
                Err(LockError::Store(error)) if !is_for_good(&error) => {
                    self.mark_record.wait_after_error().await?;
                }
                Err(error) => return Err(OnceError::from_lock_error(error)),
            }
        }
    }

    /// A new mutex for each call: its guard has a candidate id of its own.
    fn mutex(&self) -> Mutex {
        let mutex = self.locks.mutex(self.options.clone());
        mutex.expect("a mutex with these options was made when this was built")
    }

    /// A mark under this guard counts only if its token is larger than that of the last mark.
    fn check_token_is_newer(&self, guard: &Guard, seen: &DatedMark) -> Result<(), OnceError> {
        let (own, marked) = (guard.token(), seen.mark.token);
        if own > marked {
            return Ok(());
        }
        Err(self.mark_record.corrupt(&format!(
            "its last mark has token {marked}, but {} is only at token {own}, so one of the two records \
             was deleted or restored from a backup: use another name, or delete both records while no \
             process runs this work",
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

/// Why the lock is not to be had now.
enum Busy {
    Held {
        by: CandidateId,
        remaining: Duration,
    },
    Paused {
        note: Note,
    },
}

impl Busy {
    /// After how long to ask again at the latest.
    fn lasts_for(&self) -> Duration {
        match self {
            Self::Held { remaining, .. } => *remaining,
            Self::Paused { .. } => Duration::MAX,
        }
    }

    fn error(self, resource: &ResourceName) -> OnceError {
        let resource = resource.clone();
        match self {
            Self::Held { by, remaining } => OnceError::Running {
                resource,
                by,
                remaining,
            },
            Self::Paused { note } => OnceError::Paused { resource, note },
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
