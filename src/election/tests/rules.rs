//! The ten rules of the election, one or more tests each.

mod deadlines;
mod endings;
mod grants;

use super::bench::lease;
use crate::{election::Call, lease::ReleaseTarget};

fn is_release_of(call: &Call, token: u64) -> bool {
    matches!(call, Call::Release(ReleaseTarget::Lease(held), _) if *held == lease(token))
}
