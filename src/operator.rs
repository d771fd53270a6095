//! Commands to the holders of leases, for programs that do not contend: a command line, an admin page, a rollout.

mod error;
mod evict;
mod hand_over;
mod outcome;
mod pause;
mod requests;

pub use error::OperatorError;
pub use outcome::{EvictOutcome, HandOverOutcome, OfResource, PauseOutcome, ResumeOutcome};

use std::{future::Future, panic::resume_unwind, sync::Arc, time::Duration};

use crate::{
    duration::human,
    lease::{CandidateId, InvalidName, LeaseRecord, Note, ResourceName, Scope},
    runtime::{LibraryThread, TaskLost, run_on_current_tokio},
    store::{EvictionMode, LeaseStore},
};
use requests::Requests;

/// Tells the holders of leases what to do, through the store. It contends for nothing itself.
///
/// A holder learns of an instruction with its next renewal, or at once if the store pushes. It then stops in the
/// usual order: its subscribers stop and acknowledge, and the lease is released. Only leaders obey: a
/// [`Guard`](crate::Guard), a plain lock and a [`Once`](crate::Once) at work go on, because their work would be
/// dropped half-way. While a resource is paused, none of them is granted again.
///
/// # How long a command takes
///
/// - Each request to the store may take [`call_timeout`](Self::call_timeout), 2 s by default. A request that fails
///   in a way that a retry may fix is sent up to three times. Repeating a command does no harm: a request names the
///   token or the [edition](LeaseRecord::edition) that it is about, so a late copy of it changes nothing.
/// - A hand-over and a pause wait until the holder has obeyed: they read the record every
///   [`poll_every`](Self::poll_every), 250 ms by default, for at most [`wait_for`](Self::wait_for), 60 s by default.
///   A leader stops within its `renew_every` and `yield_for`; if it is dead, its lease expires within a ttl.
///
/// # Cancel safety
/// If you drop the future of a command, its last request may or may not have been applied. What was written stands.
///
/// # Examples
///
/// ```
/// # use std::sync::Arc;
/// use tenure::{MemoryStore, Operator, operator::PauseOutcome};
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = Arc::new(MemoryStore::new()); // the store that the candidates use
/// let operator = Operator::new(store);
/// let outcome = operator.pause("jobs/reports", "database upgrade").await?;
/// assert!(matches!(outcome, PauseOutcome::Paused { .. }), "nobody leads, and nobody will");
/// // The upgrade.
/// operator.resume("jobs/reports").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Operator {
    requests: Requests,
    on_current_runtime: bool,
}

impl Operator {
    /// The shortest time that [`purge`](Self::purge) accepts: one hour.
    pub const PURGE_AT_LEAST: Duration = Duration::from_secs(3600);

    /// An operator of the leases in this store. It sends no request before its first command.
    #[must_use]
    pub fn new(store: Arc<dyn LeaseStore>) -> Self {
        Self {
            requests: Requests::new(store),
            on_current_runtime: false,
        }
    }

    /// The time limit of each request to the store. Default: 2 s; at least 1 ms.
    #[must_use]
    pub fn call_timeout(mut self, limit: Duration) -> Self {
        self.requests.call_timeout = limit.max(Duration::from_millis(1));
        self
    }

    /// How often a command that waits reads the record. Default: 250 ms; at least 1 ms.
    #[must_use]
    pub fn poll_every(mut self, every: Duration) -> Self {
        self.requests.poll_every = every.max(Duration::from_millis(1));
        self
    }

    /// How long a hand-over or a pause waits for the holder. Default: 60 s. With zero it looks once.
    #[must_use]
    pub fn wait_for(mut self, longest: Duration) -> Self {
        self.requests.wait_for = longest;
        self
    }

    /// Sends the requests from the tokio runtime of the caller, for tests under paused time. Default: from the
    /// library's lock thread, so that you may await a command on any runtime.
    #[must_use]
    pub fn on_current_runtime(mut self) -> Self {
        self.on_current_runtime = true;
        self
    }

    /// Asks the present leader of a resource to give the lease to another candidate, and waits for the next leader.
    ///
    /// The leader's subscribers stop and acknowledge first. The store then lets `to` come first: others are refused
    /// for one `poll_every` of theirs, so that if `to` does not contend, anybody may lead. The outcome says who
    /// leads, and how long it took.
    ///
    /// It changes nothing if nobody leads, if `to` leads already, if the resource is paused, or if there was never a
    /// leader: each is an [outcome](HandOverOutcome) of its own.
    ///
    /// # Errors
    /// - [`OperatorError::Name`] if a name is not accepted.
    /// - [`OperatorError::Internal`] if the record is one of the library's own.
    /// - [`OperatorError::Store`] if the store fails. The instruction may stand: call it again.
    pub async fn hand_over<N, C>(
        &self,
        resource: N,
        to: C,
    ) -> Result<HandOverOutcome, OperatorError>
    where
        N: TryInto<ResourceName>,
        N::Error: Into<InvalidName>,
        C: TryInto<CandidateId>,
        C::Error: Into<InvalidName>,
    {
        let resource = resource.try_into().map_err(Into::into)?;
        let to = to.try_into().map_err(Into::into)?;
        self.run(|requests| async move { requests.hand_over(&resource, to).await })
            .await
    }

    /// Pauses a resource: nobody acquires its lease until it is [resumed](Self::resume), and a leader stops.
    ///
    /// The pause is in the store: it outlives restarts of every process and of this one. It also applies to a name
    /// that was never led. If the resource is paused already, the note is replaced.
    ///
    /// [`PauseOutcome::Paused`] means that nobody holds the lease: it was released, or has expired. What still
    /// holds it when the wait is over, for instance a guard, is named in [`PauseOutcome::StillHeld`].
    ///
    /// # Errors
    /// - [`OperatorError::Name`] if the name is not accepted, or the note is longer than 256 bytes.
    /// - [`OperatorError::Internal`] if the record is one of the library's own.
    /// - [`OperatorError::Contended`] if others change the record all the time.
    /// - [`OperatorError::Store`] if the store fails. The pause may stand: call it again.
    pub async fn pause<N>(
        &self,
        resource: N,
        note: impl AsRef<str>,
    ) -> Result<PauseOutcome, OperatorError>
    where
        N: TryInto<ResourceName>,
        N::Error: Into<InvalidName>,
    {
        let resource = resource.try_into().map_err(Into::into)?;
        let note = Note::new(note)?;
        self.run(|requests| async move { requests.pause(&resource, &note).await })
            .await
    }

    /// Ends the pause of a resource.
    ///
    /// Candidates that poll bid within their `poll_every`; if the store pushes, at once.
    ///
    /// # Errors
    /// As [`pause`](Self::pause).
    pub async fn resume<N>(&self, resource: N) -> Result<ResumeOutcome, OperatorError>
    where
        N: TryInto<ResourceName>,
        N::Error: Into<InvalidName>,
    {
        let resource = resource.try_into().map_err(Into::into)?;
        self.run(|requests| async move { requests.resume(&resource).await })
            .await
    }

    /// [Pauses](Self::pause) every resource directly in a scope, and says how each went.
    ///
    /// These are the records that the store lists at this moment, without those of the library's own. A name that
    /// is led for the first time later is **not** paused. All are paused first; then the call waits for all of them
    /// together, for at most [`wait_for`](Self::wait_for).
    ///
    /// # Errors
    /// As [`pause`](Self::pause), if the scope cannot be listed. An error that concerns one resource is in its
    /// outcome.
    pub async fn pause_scope(
        &self,
        scope: &Scope,
        note: impl AsRef<str>,
    ) -> Result<Vec<OfResource<PauseOutcome>>, OperatorError> {
        let (scope, note) = (scope.clone(), Note::new(note)?);
        self.run(|requests| async move { requests.pause_scope(&scope, &note).await })
            .await
    }

    /// [Resumes](Self::resume) every resource directly in a scope, and says how each went.
    ///
    /// # Errors
    /// As [`pause_scope`](Self::pause_scope).
    pub async fn resume_scope(
        &self,
        scope: &Scope,
    ) -> Result<Vec<OfResource<ResumeOutcome>>, OperatorError> {
        let scope = scope.clone();
        self.run(|requests| async move { requests.resume_scope(&scope).await })
            .await
    }

    /// Ends the present acquisition of a resource, whatever its holder does: also that of a guard.
    ///
    /// With [`EvictionMode::Close`] the lease is not renewed any more, and the next candidate acquires it when it
    /// has expired. [`EvictionMode::Force`] frees it at once and is outside the guarantee. It does not wait.
    ///
    /// # Errors
    /// As [`hand_over`](Self::hand_over).
    pub async fn evict<N>(
        &self,
        resource: N,
        mode: EvictionMode,
    ) -> Result<EvictOutcome, OperatorError>
    where
        N: TryInto<ResourceName>,
        N::Error: Into<InvalidName>,
    {
        let resource = resource.try_into().map_err(Into::into)?;
        self.run(|requests| async move { requests.evict(&resource, mode).await })
            .await
    }

    /// Deletes the records directly in a scope that were not [touched](LeaseRecord::touched) for this time, and
    /// returns how many.
    ///
    /// It spares records that are held, paused, or the library's own. The tokens of a deleted name go on from the
    /// time of day, so they still grow: see [`LeaseStore::purge`].
    ///
    /// # Errors
    /// - [`OperatorError::PurgeTooYoung`] if the time is shorter than [an hour](Self::PURGE_AT_LEAST). Nothing was
    ///   deleted.
    /// - [`OperatorError::Store`] if the store fails. Some records may have been deleted. If an earlier try of this
    ///   call failed, the number counts only the last one.
    pub async fn purge(
        &self,
        scope: &Scope,
        untouched_for: Duration,
    ) -> Result<u64, OperatorError> {
        if untouched_for < Self::PURGE_AT_LEAST {
            return Err(OperatorError::PurgeTooYoung { untouched_for });
        }
        let scope = scope.clone();
        self.run(|requests| async move { Ok(requests.purge(&scope, untouched_for).await?) })
            .await
    }

    /// The records directly in a scope, ordered by name, also those of the library's own.
    ///
    /// # Errors
    /// [`OperatorError::Store`] if the store fails.
    pub async fn list(&self, scope: &Scope) -> Result<Vec<LeaseRecord>, OperatorError> {
        let scope = scope.clone();
        self.run(|requests| async move { Ok(requests.list(&scope).await?) })
            .await
    }

    /// The record of a resource; `None` if it was neither led nor paused yet.
    ///
    /// # Errors
    /// [`OperatorError::Name`] or [`OperatorError::Store`].
    pub async fn read<N>(&self, resource: N) -> Result<Option<LeaseRecord>, OperatorError>
    where
        N: TryInto<ResourceName>,
        N::Error: Into<InvalidName>,
    {
        let resource = resource.try_into().map_err(Into::into)?;
        self.run(|requests| async move { Ok(requests.read(&resource).await?) })
            .await
    }

    async fn run<T, F>(&self, command: impl FnOnce(Requests) -> F) -> Result<T, OperatorError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, OperatorError>> + Send + 'static,
    {
        let command = Box::pin(command(self.requests.clone()));
        let done = if self.on_current_runtime {
            run_on_current_tokio(command).await
        } else {
            let thread = LibraryThread::of_locks().map_err(OperatorError::Thread)?;
            thread.run(command).await
        };
        match done {
            Ok(outcome) => outcome,
            Err(TaskLost::Panicked(panic)) => resume_unwind(panic),
            Err(_) if self.on_current_runtime => Err(OperatorError::NoRuntime),
            Err(_) => Err(OperatorError::ThreadEnded),
        }
    }
}

/// The text after a name: "for 5 s more".
fn for_more(time: Duration) -> String {
    format!("for up to {} if it is not renewed", human(time))
}
