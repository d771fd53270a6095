//! Calls `is_current()` of all leaderships of a node all the time, from a thread that the library does not
//! know.

use std::{
    io,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    thread,
    time::Duration,
};

use tenure::{
    Leadership,
    clock::{BootClock, Clock as _, Moment},
};

use crate::protocol::Event;

const EVERY: Duration = Duration::from_millis(2);
/// If a sleep takes this much longer, the process was held up; shorter delays are noise.
const HELD_UP: Duration = Duration::from_millis(100);
/// How often it calls again after the first `false`, to detect a leadership that becomes current again.
const CALLS_AFTER: u32 = 100;

/// A leadership as its process sees it.
#[derive(Debug)]
pub(crate) struct Belief {
    pub(crate) leadership: Leadership,
    /// For how long the process believes in it after its end. It must not; only a planted fault sets this.
    undying: Duration,
    over: OnceLock<Moment>,
}

impl Belief {
    pub(crate) fn new(leadership: Leadership, undying: Duration) -> Arc<Self> {
        let over = OnceLock::new();
        Arc::new(Self {
            leadership,
            undying,
            over,
        })
    }

    pub(crate) fn holds(&self) -> bool {
        if self.leadership.is_current() {
            return true;
        }
        let now = BootClock.now();
        now < *self.over.get_or_init(|| now) + self.undying
    }
}

struct Watched {
    belief: Arc<Belief>,
    last_true: Option<Moment>,
    calls_after: u32,
}

#[derive(Clone, Debug)]
pub(crate) struct Watch(Arc<Mutex<Vec<Watched>>>);

impl std::fmt::Debug for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.belief.fmt(f)
    }
}

impl Watch {
    pub(crate) fn start() -> io::Result<Self> {
        let watch = Self(Arc::default());
        let list = Arc::clone(&watch.0);
        let run = move || {
            let mut last = BootClock.now();
            loop {
                thread::sleep(EVERY);
                let now = BootClock.now();
                if HELD_UP < last.until(now) {
                    let (from, until) = (last.as_nanos(), now.as_nanos());
                    Event::HeldUp { from, until }.send();
                }
                last = now;
                let mut list = list.lock().unwrap_or_else(PoisonError::into_inner);
                list.retain_mut(Watched::look);
            }
        };
        thread::Builder::new().name("watch".to_owned()).spawn(run)?;
        Ok(watch)
    }

    pub(crate) fn add(&self, belief: Arc<Belief>) {
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        list.push(Watched {
            belief,
            last_true: None,
            calls_after: 0,
        });
    }
}

impl Watched {
    /// Returns whether to check it again.
    fn look(&mut self) -> bool {
        // Taken before the call, so that a delay of this thread after the call does not matter.
        let begun = BootClock.now();
        if self.belief.holds() {
            self.last_true = Some(begun);
            // It became current again, after its end was reported.
            if 0 < self.calls_after {
                self.tell();
            }
        } else {
            if self.calls_after == 0 {
                self.tell();
            }
            self.calls_after += 1;
        }
        self.calls_after < CALLS_AFTER
    }

    fn tell(&self) {
        let Some(at) = self.last_true else { return };
        let believed = Event::Believed {
            resource: self.belief.leadership.resource().to_string(),
            token: self.belief.leadership.token().get(),
            at: at.as_nanos(),
        };
        believed.send();
    }
}
