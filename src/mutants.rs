//! Faults that tests switch on, to see that the simulation finds them. Outside tests none exists.

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

    /// One thing done wrong, each in the place that its name tells of.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub(crate) enum Mutant {
        /// The deadline counts from the reply.
        DeadlineFromReply,
        /// The deadline is the whole ttl.
        NoMargin,
        /// A lapsed cell comes back to life.
        LapsedCellRevived,
        /// A lapse that a reader has seen is not made final.
        LapseNotFinal,
        /// A deadline that was looked at is replaced without asking whether it still stands.
        ExtendedByStore,
        /// The cell lives on while the lease is released.
        ReleasedWhileCurrent,
        /// The deadline is not looked at while a renewal is under way.
        DeadlineWaitsForRenewal,
        /// An acknowledgement from before the end counts for it.
        EarlyAcknowledgementCounts,
        /// A grant is taken with hardly any time left.
        SlowGrantTaken,
        /// An unknown outcome of a bid is taken for a grant.
        UnknownTakenForGrant,
        /// Attempts are drawn from the generator of the jitter, which forks share.
        AttemptFromGenerator,
        /// An attempt is bid again after its leadership.
        AttemptBidAgain,
        /// A late grant is taken, whatever has become of its attempt.
        LateGrantTaken,
        /// A late grant of a token that was led is released.
        LedTokenReleased,
        /// Leaders are told before the last acknowledgement.
        ToldBeforeAcknowledged,
        /// The lease is released before the acknowledgement.
        ReleasedUnacknowledged,
        /// The lease is released though a subscriber has died over it.
        ReleasedUnclean,
        /// Times are accepted that leave no room for a slow renewal.
        SlowRenewalsIgnored,
        /// Times are accepted that leave no room for two slow renewals in a row.
        SecondSlowRenewalIgnored,
        /// Failures of a bid are not waited after.
        NoBackoff,
        /// Nor failures of a renewal.
        RenewalsUnpaced,
        /// A lease that others shall not have for a time is given back at once.
        LeastHoldIgnored,
        /// A grant is taken by a candidate that was paused or held off meanwhile.
        TakenWhilePaused,
        /// An attempt outlives the candidate's contending.
        AttemptKeptWhilePaused,
        /// Trouble of the store is called an expiry.
        StoreLostCalledExpired,
        /// An eviction is called a deposition.
        EvictedCalledDeposed,
        /// A hold that has lasted for as long as it may is renewed further.
        LongestHoldIgnored,
        /// Leadership flaps at the first failed renewal.
        FailedRenewalEndsTerm,
        /// A release is not checked for its owner.
        ReleaseUnchecked,
        /// A release resets the token.
        ReleaseResetsToken,
        /// A held lease is granted to others.
        HeldGranted,
        /// Finding one's own attempt is a grant, without a write.
        OwnAttemptNotWritten,
        /// An expired attempt gets its token back.
        ExpiredAttemptGranted,
        /// An eviction frees the lease before its expiry.
        EvictionFreesAtOnce,
        /// An acquisition does not raise the token.
        TokenNotRaised,
        /// An observation counts from the request.
        ObservedFromRequest,
        /// A renewal does not increase the version.
        VersionKeptByRenewal,
        /// A challenger counts its own ttl instead of the holder's.
        ObservedByOwnTtl,
        /// A takeover does not ask whether anything has changed.
        TakeoverUnconditional,
        /// A record for newer libraries is written.
        NewerRecordWritten,
        /// The register of the simulation takes any token.
        RegisterTakesAnyToken,
        /// One acknowledgement stands for all messages of a subscriber.
        AnyAcknowledgementCounts,
        /// Only the newest subscriber has to acknowledge.
        NewestAcknowledges,
        /// Acknowledgements count while others have yet to be told of the end.
        AcknowledgedBeforeAllTold,
        /// A subscriber that subscribes again is told of a leadership before it has acknowledged.
        ToldWhilePending,
        /// A restart forgets what the subscribers were told.
        RestartForgetsTold,
        /// A restart forgets what the subscribers have to acknowledge.
        RestartForgetsPending,
        /// A restart forgets who waits for an answer.
        RestartForgetsAnswers,
        /// A subscriber that died over its work is taken for one that has stopped it.
        DeadTakenForClean,
        /// A subscriber that restarted over its work is taken for one that has stopped it.
        RestartedTakenForClean,
        /// A term is not clean because one before it was not.
        UncleanForEver,
        /// A subscriber that has unsubscribed is not waited for.
        UnsubscribedNotAwaited,
        /// The timer is not armed after a restart.
        TimerNotRearmed,
        /// A reply counts as asked for when it came.
        ReplyTimeForSent,
        /// A request that failed for sure is taken for answered.
        ErrorTakenForRenewal,
        /// A panic of the store ends the lock.
        PanicNotCaught,
        /// A deadline that passed without trouble is put down to the store.
        ExpiredCalledStoreLost,
        /// A reply that was handled late is taken for one that came at once.
        LateReplyTakenForPrompt,
        /// Observers do not hear of the lock's own grants.
        GrantNotShown,
        /// Observers hear of each look.
        LookTakenForChange,
        /// Observers hear of an end a little later, whatever comes meanwhile.
        EndShownLate,
        /// SQLite reads the clock before the row.
        #[cfg(feature = "sqlite")]
        ClockReadBeforeRow,
        /// DynamoDB is not asked for consistent reads.
        #[cfg(feature = "dynamodb")]
        InconsistentReads,
    }

    thread_local! {
        static ON: Cell<Option<Mutant>> = const { Cell::new(None) };
    }

    pub(crate) fn is_on(mutant: Mutant) -> bool {
        ON.get() == Some(mutant)
    }

    /// Does something on this thread with a fault switched on.
    pub(crate) fn with<T>(mutant: Option<Mutant>, work: impl FnOnce() -> T) -> T {
        struct Off;
        impl Drop for Off {
            fn drop(&mut self) {
                ON.set(None);
            }
        }
        let _off = Off;
        ON.set(mutant);
        work()
    }
}
