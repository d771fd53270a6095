//! Faults that tests switch on to check that the simulation finds them. They exist only in test builds.

#[cfg(test)]
macro_rules! mutant {
    ($name:ident) => {
        crate::mutants::is_on(crate::mutants::Mutant::$name)
    };
}

#[cfg(not(test))]
macro_rules! mutant {
    ($name:ident) => {
        crate::mutants::none()
    };
}

#[cfg(not(test))]
pub(crate) const fn none() -> bool {
    false
}

#[cfg(test)]
pub(crate) use switch::{Mutant, is_on, with};

#[cfg(test)]
mod switch {
    use std::cell::Cell;

    /// One thing that the library does wrong, named after it.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub(crate) enum Mutant {
        /// The deadline counts from the arrival of the reply, not from the request.
        DeadlineFromReply,
        /// The deadline is the whole ttl, without the margin.
        NoMargin,
        /// A deadline that has passed is extended.
        ExpiredDeadlineExtended,
        /// An expiry that a reader has seen is not made final.
        SeenExpiryNotFinal,
        /// A new deadline is written without comparing the old one, which may have changed.
        DeadlineWrittenWithoutCompare,
        /// A reader of a shard reads its own deadline before that of its session.
        ShardReadBeforeItsSession,
        /// The deadline of a shard that was fixed moves with the session.
        FixedShardFollowsItsSession,
        /// `is_current` stays true while the lease is released.
        ReleasedWhileCurrent,
        /// A renewal may last beyond the deadline, which is not checked meanwhile.
        DeadlineWaitsForRenewal,
        /// An acknowledgement from before the end of the term counts for its end.
        EarlyAcknowledgementCounts,
        /// A grant is taken although less than the margin is left.
        GrantWithinMarginTaken,
        /// An unknown outcome of a bid is taken for a grant.
        UnknownTakenForGrant,
        /// Attempts are drawn from the random generator of the jitter, which `fork` copies.
        AttemptFromGenerator,
        /// An attempt is bid again after its leadership.
        AttemptBidAgain,
        /// A late grant is taken, also if its attempt has ended.
        LateGrantTaken,
        /// A late grant of a token that was already led is released.
        LateGrantOfLedTokenReleased,
        /// `BecameLeader` is sent before the last `BecameFollower` is acknowledged.
        LeaderToldBeforeAcknowledgement,
        /// The lease is released before the subscribers have acknowledged.
        ReleasedBeforeAcknowledgement,
        /// The lease is released although a subscriber died before it acknowledged.
        ReleasedThoughSubscriberDied,
        /// `Timing` accepts times that leave no room for a slow renewal.
        NoRoomForSlowRenewals,
        /// Times are accepted that leave no room for two slow renewals in a row.
        SecondSlowRenewalIgnored,
        /// An instruction is obeyed before the subscribers have acknowledged.
        InstructionObeyedBeforeAcknowledgement,
        /// A pause does not refuse bids.
        PauseIgnoredByAcquire,
        /// The takeover of an observed lease does not ask for a pause.
        TakeoverSkipsPause,
        /// A pause or a resume applies whatever the edition of the record is.
        EditionIgnored,
        /// A hand-over erases the pause of the record.
        HandOverErasesPause,
        /// The first token of a record is 1.
        FirstTokenOne,
        /// A record that a pause creates begins with token 0.
        PauseBeginsAtZero,
        /// An event that comes during a look is forgotten.
        EventDuringLookForgotten,
        /// An event of an acquisition keeps a follower from looking for ten ttls.
        AcquiredEventTrustedTooLong,
        /// A renewal waits for others for as long as the deadline allows.
        RenewalDeferred,
        /// A lease that was lost is reported as renewed if it was renewed in a batch.
        LossInBatchTakenForRenewal,
        /// A failed bid is retried without a wait.
        NoBackoff,
        /// A failed renewal is retried without a wait.
        NoBackoffOfRenewals,
        /// A release ignores `min_hold`.
        MinHoldIgnored,
        /// A candidate that was paused or held off meanwhile takes a grant.
        GrantTakenWhilePaused,
        /// A candidate that stops contending keeps its attempt.
        AttemptKeptWhilePaused,
        /// The end after failed requests is reported as `Expired`.
        StoreLostCalledExpired,
        /// An eviction is reported as `Deposed`.
        EvictedCalledDeposed,
        /// A lease is renewed beyond `max_hold`.
        MaxHoldIgnored,
        /// Leadership ends at the first failed renewal.
        FailedRenewalEndsTerm,
        /// A release does not check who holds the lease.
        ReleaseWithoutOwnerCheck,
        /// A release resets the token.
        ReleaseResetsToken,
        /// A held lease is granted to another candidate.
        HeldLeaseGranted,
        /// A bid that finds its own attempt is granted without a write.
        OwnAttemptNotWritten,
        /// An expired attempt is granted again with its old token.
        ExpiredAttemptKeepsToken,
        /// An eviction frees the lease before its expiry.
        EvictionFreesAtOnce,
        /// An acquisition does not raise the token.
        TokenNotRaised,
        /// An observation counts from the request, not from the reply.
        ObservationFromRequest,
        /// A renewal does not increase the version.
        VersionKeptByRenewal,
        /// A challenger waits for its own ttl instead of the holder's.
        ObservationByOwnTtl,
        /// A takeover is written without comparing the record.
        TakeoverUnconditional,
        /// A record that only newer versions may write is written.
        NewerRecordWritten,
        /// The register of the simulation accepts a stale token.
        StaleTokenWritten,
        /// One acknowledgement stands for all messages of a subscriber.
        AnyAcknowledgementCounts,
        /// Only the newest subscriber must acknowledge.
        NewestAcknowledges,
        /// Acknowledgements count before all subscribers are told of the end.
        AcknowledgedBeforeAllTold,
        /// A subscriber that subscribes again gets `BecameLeader` before it has acknowledged.
        LeaderToldBeforeOwnAcknowledgement,
        /// A restart of the lock actor forgets what was sent to the subscribers.
        RestartForgetsDeliveries,
        /// A restart forgets what the subscribers have not acknowledged.
        RestartForgetsUnacknowledged,
        /// A restart forgets the callers that wait for a reply.
        RestartForgetsReplies,
        /// A subscriber that died before it acknowledged counts as acknowledged.
        DeadSubscriberCountsAsAcknowledged,
        /// A subscriber that restarted before it acknowledged counts as acknowledged.
        RestartedSubscriberCountsAsAcknowledged,
        /// A new term counts as unclean because an earlier one was.
        UncleanTermNotReset,
        /// The acknowledgement of a subscriber that has unsubscribed is not awaited.
        UnsubscribedNotAwaited,
        /// The timer is not armed after a restart.
        TimerNotRearmed,
        /// The sent time of a request is the arrival of its reply.
        SentTimeFromReply,
        /// A renewal that failed for certain counts as granted.
        ErrorTakenForRenewal,
        /// A panic of the store ends the lock.
        PanicNotCaught,
        /// A deadline that passed without a failed request is reported as `StoreLost`.
        ExpiredCalledStoreLost,
        /// A reply that was handled late counts as handled at its arrival.
        LateReplyTakenForPrompt,
        /// Observers are not told of the lock's own grants.
        OwnGrantNotObserved,
        /// Observers are told of each read as if the record had changed.
        ReadReportedAsChange,
        /// Observers are told of an end too late, after later changes.
        EndReportedLate,
        /// SQLite reads the clock before the row.
        #[cfg(feature = "sqlite")]
        ClockReadBeforeRow,
        /// Reads of DynamoDB do not ask for consistency.
        #[cfg(feature = "dynamodb")]
        InconsistentReads,
    }

    thread_local! {
        static ON: Cell<Option<Mutant>> = const { Cell::new(None) };
    }

    pub(crate) fn is_on(mutant: Mutant) -> bool {
        ON.get() == Some(mutant)
    }

    /// Runs work on this thread with a fault switched on.
    pub(crate) fn with<T>(mutant: Option<Mutant>, work: impl FnOnce() -> T) -> T {
        struct SwitchOffOnDrop;
        impl Drop for SwitchOffOnDrop {
            fn drop(&mut self) {
                ON.set(None);
            }
        }
        let _off = SwitchOffOnDrop;
        ON.set(mutant);
        work()
    }
}
