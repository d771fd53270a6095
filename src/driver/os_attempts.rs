use crate::{election::AttemptSource, lease::AttemptId};

/// Attempts from the operating system, each drawn when it is needed.
#[derive(Debug)]
pub(crate) struct OsAttempts;

impl AttemptSource for OsAttempts {
    fn draw(&mut self) -> Option<AttemptId> {
        AttemptId::generate()
            .inspect_err(|error| {
                event!(
                    error,
                    "tenure.no_random_bits",
                    error = %error,
                    "the operating system gives no random bits: no lock of this process can bid until it \
                     does"
                );
            })
            .ok()
    }
}
