//! Stores with one planted fault each. The case that names the fault must fail.

mod acquire;
mod client;
mod instruct;
mod purge;
mod registers;
mod release;
mod renew;
mod shared_owner;
mod watch;

use std::{
    any::Any,
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, Weak, atomic::AtomicU64},
    time::Duration,
};

use async_trait::async_trait;

use self::client::Client;
use super::{Capabilities, Subject};
use crate::{
    lease::ResourceName,
    store::{ChangeFeed, LeaseStore, Register, RegisterStore, StoredRecord},
    testing::ManualClock,
};

/// Declares the faults, and a list of all.
macro_rules! faults {
    ($($fault:ident)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Fault {
            $($fault),*
        }

        impl Fault {
            pub(super) const ALL: &[Self] = &[$(Self::$fault),*];
        }
    };
}

faults! {
    NoCompareAndSet
    NoCompareAndSetOnFreeKeys
    TokenResetOnRelease
    TokenKeptOnExpiry
    ReleaseWithoutOwnerCheck
    ReleaseByAnyAttempt
    ReleaseByOwnerRefused
    ReleaseByAnyOwner
    ReleaseByOwnerUndoesOneBid
    TokenResetOnReleaseByOwner
    ReleaseByOwnerForgetsTheAttempt
    ReleaseByOwnerChecksTheExpiry
    ReleaseByOwnerMakesARecord
    ExpiryByTheCallersClock
    SameAttemptWithoutWrite
    ExpiredAttemptGetsItsTokenBack
    ReleasedAttemptGranted
    EveryBidIsReentrant
    ReentrantBidRefused
    ReplacingBidRefused
    AnyTokenReplaced
    TokenOfAnybodyReplaced
    ClosingTokenReplaced
    PausedTokenReplaced
    ReplacementKeepsTheExpiry
    ListDoesNotObserve
    ReentrantBidTakesFromAnybody
    ReentrantBidKeepsTheExpiry
    ReentrantBidTakesAClosingLease
    ExpiredLeaseRenewed
    RenewalWithoutTokenCheck
    RenewalDoesNotExtend
    RenewalNeverShortens
    RenewalKeepsTheTtl
    EvictionFreesAtOnce
    EvictedLeaseRenewed
    EvictionWithoutTokenCheck
    ExpiryByTheBiddersTtl
    RefusalWrites
    NamesLowercased
    ListIncludesSubscopes
    MetadataTruncated
    HistoryForgotten
    ObservationFromTheRequest
    VersionSetByTheClient
    LimitIgnored
    FirstTokenIsZero
    TokenKeptAfterEviction
    RenewalByAnybody
    ReleaseDropsTheMetadata
    ForcedEvictionCloses
    RenewalMakesARecord
    RenewManyStopsAtALoss
    RenewManyReversesItsAnswers
    RepeatedAttemptRefused
    UnknownFieldsDropped
    NewerFormatWritten
    BidLimitIgnored
    UnansweredWriteIsDenied
    UnansweredBidApplied
    FirstTokenIsOne
    EveryTokenIsTheTimeOfDay
    FirstTokenOfAPauseIsOne
    FirstEditionIsOne
    FirstEditionOfAPauseIsOne
    ReleaseNotesNoReason
    ReasonOnlyOfALease
    EveryReleaseNotesAReason
    EvictionNotNoted
    EndsOfOlderAcquisitionsForgotten
    AcquisitionDoesNotTouch
    ReleaseDoesNotTouch
    EvictionDoesNotTouch
    InstructionDoesNotTouch
    RenewalTouches
    PauseIgnoredIfFree
    PauseIgnoredByTakeovers
    PauseIgnoredByRetries
    PauseIgnoredByReentrantBids
    PauseUnknownToLaterClients
    PauseReadBeforeTheWrite
    PauseRefusesInternalBids
    PauseNeedsARecord
    PausedLeaseNotRenewed
    InstructionNotTold
    InstructionToldOnce
    NoteDropped
    RefusalHidesThePause
    ResumeKeepsThePause
    ResumeMakesARecord
    LatePauseApplies
    LateResumeApplies
    EditionNotRaised
    RefusedInstructionHidesTheRecord
    HandOverWithoutTokenCheck
    HandOverOfAFreeLease
    HandOverOfAnExpiredLease
    HandOverIgnored
    HandOverIgnoredAfterExpiry
    HandOverRefusesEverybody
    HandOverRefusesTheHolder
    HandOverSurvivesAnAcquisition
    HandOverRaisesTheEdition
    FirstHandOverStands
    WaitedIgnored
    AnyWaitedCounts
    HandOverErasesThePause
    PauseErasesTheHandOver
    ResumeErasesTheHandOver
    HandOverWinsOverAPause
    InstructionMovesTheExpiry
    InstructionRaisesTheVersion
    InternalRecordNotMarked
    InternalRecordInstructed
    PurgeDoesNothing
    PurgeCountsWhatIsLeft
    PurgeDeletesHeldRecords
    PurgeDeletesPausedRecords
    PurgeDeletesInternalRecords
    PurgeIgnoresTheTime
    PurgeDeletesSubscopes
    PurgeSparesExpiredRecords
    PurgeDeletesObservedRecords
    PurgeWithoutCondition
    RenewManyDropsInstructions
    RenewManyExtendsTheFirstOnly
    RenewManyRefusesDuplicates
    RenewManyJudgesByTheName
    RenewManyAnswersAnEmptyBatch
    WatchMissesAcquisitions
    WatchMissesReleases
    WatchMissesEvictions
    WatchMissesInstructions
    WatchMissesShorterRenewals
    WatchTellsOwnChangesOnly
    WatchTellsTooEarly
    WatchIsSilent
    RegisterWithoutCompareAndSet
    RegisterBeginsAtZero
    UnchangedRegisterKeepsItsVersion
    RegisterVersionIgnored
    ConflictHidesTheRegister
    PutCreatesUnderAnyVersion
    RepeatedPutStored
    GetManyIncludesSubscopes
    GetManyByVersion
    PurgeDeletesRegisters
    ListHasRegisters
    RegisterCutAt4096
    RegisterNamesLowercased
    PutLimitIgnored
    UnansweredPutApplied
    WatchMissesPuts
    WatchTellsPutsTooEarly
}

impl Fault {
    /// Whether the clients of a store with this fault observe expiry, because the store has no clock.
    fn is_of_an_observing_store(self) -> bool {
        matches!(
            self,
            Self::ObservationFromTheRequest
                | Self::VersionSetByTheClient
                | Self::InstructionRaisesTheVersion
                | Self::PurgeDeletesObservedRecords
                | Self::ListDoesNotObserve
        )
    }
}

/// The database: its records, its clock and its state.
#[derive(Debug)]
struct Database {
    records: Mutex<BTreeMap<String, StoredRecord>>,
    registers: Mutex<BTreeMap<String, Register>>,
    clock: ManualClock,
    clients: AtomicU64,
    /// The keys of the records with a field that the library does not know.
    unknown_fields: Mutex<BTreeSet<String>>,
    /// The keys of the records that only a newer library may write.
    newer_format: Mutex<BTreeSet<String>>,
    /// Alive while the database does not answer writes.
    stalled: Mutex<Weak<()>>,
    changes: ChangeFeed,
}

/// A subject whose store has this fault, or no fault.
pub(super) struct Broken {
    fault: Option<Fault>,
    shared: Arc<Database>,
}

impl Broken {
    pub(super) fn new(fault: impl Into<Option<Fault>>) -> Self {
        Self {
            fault: fault.into(),
            shared: Arc::new(Database {
                records: Mutex::default(),
                registers: Mutex::default(),
                clock: ManualClock::new(),
                clients: AtomicU64::new(0),
                unknown_fields: Mutex::default(),
                newer_format: Mutex::default(),
                stalled: Mutex::default(),
                changes: ChangeFeed::new(),
            }),
        }
    }
}

#[async_trait]
impl Subject for Broken {
    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::new(Duration::from_secs(10));
        capabilities.observed = self.fault.is_some_and(Fault::is_of_an_observing_store);
        capabilities.can_edit_records = true;
        capabilities.can_stall = true;
        capabilities.can_watch = true;
        capabilities.watch_tells_acquisitions = true;
        capabilities.registers = true;
        capabilities
    }

    async fn client(&self) -> Arc<dyn LeaseStore> {
        Arc::new(Client::new(self.fault, self.shared.clone()))
    }

    async fn registers(&self) -> Option<Arc<dyn RegisterStore>> {
        Some(Arc::new(Client::new(self.fault, self.shared.clone())))
    }

    async fn pass(&self, time: Duration) {
        self.shared.clock.advance(time);
    }

    async fn stall(&self) -> Option<Box<dyn Any + Send>> {
        let stalled = Arc::new(());
        *self.shared.stalled.lock().unwrap() = Arc::downgrade(&stalled);
        Some(Box::new(stalled))
    }

    async fn add_unknown_field(&self, resource: &ResourceName) {
        let mut fields = self.shared.unknown_fields.lock().unwrap();
        fields.insert(resource.to_string());
    }

    async fn has_unknown_field(&self, resource: &ResourceName) -> bool {
        let fields = self.shared.unknown_fields.lock().unwrap();
        fields.contains(resource.as_str())
    }

    async fn raise_min_reader(&self, resource: &ResourceName) {
        let mut newer = self.shared.newer_format.lock().unwrap();
        newer.insert(resource.to_string());
    }
}
