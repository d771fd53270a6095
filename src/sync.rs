//! The atomics of state that several threads share. Under `--cfg tenure_loom` they are those of loom, which
//! tries every interleaving of a test's threads (`scripts/loom`).

#[cfg(tenure_loom)]
pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering};
#[cfg(not(tenure_loom))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
