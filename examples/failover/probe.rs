//! Calls `is_current()` of a leadership all the time, from a thread that the library does not know.

use std::{io, thread, time::Duration};

use tenure::{
    Leadership,
    clock::{BootClock, Clock as _},
};

use crate::protocol::Event;

const EVERY: Duration = Duration::from_millis(1);
/// How often it calls again after the first `false`, to detect a leadership that becomes current again.
const CALLS_AFTER: u32 = 100;

/// Calls until the leadership has lapsed, and reports when that was.
pub(crate) fn start(leadership: Leadership) -> io::Result<()> {
    let name = format!("probe-{}", leadership.token());
    thread::Builder::new()
        .name(name)
        .spawn(move || ask(&leadership))?;
    Ok(())
}

fn ask(leadership: &Leadership) {
    let (mut last_true, mut first_false, mut calls_after) = (None, None, 0);
    while calls_after < CALLS_AFTER {
        // Taken before the call, so that a delay of this thread after the call does not matter.
        let begun = BootClock.now().as_nanos();
        if leadership.is_current() {
            last_true = Some(begun);
        } else {
            first_false = first_false.or(Some(begun));
            calls_after += 1;
        }
        thread::sleep(EVERY);
    }
    if let Some(first_false) = first_false {
        let token = leadership.token().get();
        let lapsed = Event::Lapsed {
            token,
            last_true,
            first_false,
        };
        lapsed.send();
    }
}
