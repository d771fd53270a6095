use std::hash::{Hash as _, Hasher};

use actix::{Message, Recipient};

/// Identifies the actor behind an address without keeping it alive.
///
/// actix compares two recipients by the one number that they hash; this is that number. It belongs to one
/// actor only while a weak address of that actor is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct MailboxId(u64);

impl MailboxId {
    pub(super) fn of<M>(address: &Recipient<M>) -> Self
    where
        M: Message + Send,
        M::Result: Send,
    {
        let mut hasher = IdentityHasher(0);
        address.hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// Hashes one number to itself.
struct IdentityHasher(u64);

impl Hasher for IdentityHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0 << 8 | u64::from(*byte);
        }
    }

    fn write_usize(&mut self, number: usize) {
        self.0 = number as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
