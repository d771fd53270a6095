use crate::store::{StoreError, StoreErrorKind};

/// Whether an error stays whatever is tried: a retry does not fix it.
pub(crate) fn is_for_good(error: &StoreError) -> bool {
    matches!(
        error.kind(),
        StoreErrorKind::Denied
            | StoreErrorKind::Misconfigured
            | StoreErrorKind::Corrupt
            | StoreErrorKind::Unsupported
    )
}
