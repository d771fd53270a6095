//! The clauses of the contract on `LeaseStore`, one by one.

mod acquire;
mod loss;
mod records;

use tenure::{
    lease::LeaseRecord,
    store::{ReleaseOutcome, RenewOutcome},
};

fn lost(outcome: RenewOutcome) -> LeaseRecord {
    match outcome {
        RenewOutcome::Lost(Some(record)) => record,
        other => panic!("{other:?}"),
    }
}

fn not_held(outcome: ReleaseOutcome) -> LeaseRecord {
    match outcome {
        ReleaseOutcome::NotHeld(Some(record)) => record,
        other => panic!("{other:?}"),
    }
}
