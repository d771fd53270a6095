//! Whether a pause that was answered held.

use crate::{history::Term, operators::Pause};

/// The acquisitions that were believed in after an operator was told that nobody holds the lease, and before the
/// operator resumed it.
pub(super) fn violations(pause: &Pause, terms: &[Term]) -> Vec<String> {
    let Some(paused) = pause.confirmed else {
        return Vec::new();
    };
    let same = terms.iter().filter(|term| term.resource == pause.resource);
    let led = same.filter_map(|term| {
        let led = term.interval().overlap(paused);
        (!led.is_zero()).then(|| {
            format!(
                "{}: token {} of {} was believed in for {led:?} of a pause of {:.3?}",
                term.resource,
                term.token,
                term.node,
                paused.start.until(paused.end),
            )
        })
    });
    led.collect()
}
