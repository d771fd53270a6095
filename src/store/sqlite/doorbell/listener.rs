//! The reading end: one thread for all streams of a store.

mod reader;

use std::{
    io,
    os::fd::OwnedFd,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use futures::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll},
    io::Errno,
};
use tokio::sync::broadcast::{self, error::RecvError};

use self::reader::BellReader;
use super::BellPlace;
use crate::store::StoreEvent;

/// How many events a slow stream may be behind.
const BEHIND: usize = 1024;

/// How long inotify has to report the first write. Then it is known to work on this file system.
const PROVEN_WITHIN: Duration = Duration::from_secs(1);

/// The streams of a store and its clones.
#[derive(Debug)]
pub(in super::super) struct Listeners {
    place: Arc<BellPlace>,
    present: Mutex<Weak<Listener>>,
}

impl Listeners {
    pub(in super::super) fn new(place: Arc<BellPlace>) -> Self {
        Self {
            place,
            present: Mutex::default(),
        }
    }

    /// How many threads read the doorbell.
    #[cfg(test)]
    pub(in super::super) fn readers(&self) -> usize {
        // The store's writing and reading ends have one each, and a thread has two.
        (Arc::strong_count(&self.place) - 2) / 2
    }

    /// A stream of the events from now on. It is empty if the doorbell cannot be used.
    pub(in super::super) fn listen(&self, alive_every: Duration) -> BoxStream<'static, StoreEvent> {
        let mut present = lock(&self.present);
        let joined = present.upgrade().and_then(|listener| {
            let events = listener.subscribe(alive_every)?;
            Some((listener, events))
        });
        let started = match joined {
            Some(joined) => Ok(joined),
            None => Listener::start(&self.place, alive_every),
        };
        match started {
            Ok((listener, events)) => {
                *present = Arc::downgrade(&listener);
                stream_of(listener, events)
            }
            Err(error) => {
                self.place.warn(&error);
                stream::empty().boxed()
            }
        }
    }
}

/// The stream keeps the listener, and so its thread.
fn stream_of(
    listener: Arc<Listener>,
    events: broadcast::Receiver<StoreEvent>,
) -> BoxStream<'static, StoreEvent> {
    stream::unfold((listener, events), |(listener, mut events)| async move {
        let event = match events.recv().await {
            Ok(event) => event,
            Err(RecvError::Lagged(_)) => StoreEvent::LookAtAll,
            Err(RecvError::Closed) => return None,
        };
        Some((event, (listener, events)))
    })
    .boxed()
}

/// What the streams share with the thread. The thread ends when the last stream is dropped.
#[derive(Debug)]
struct Listener {
    /// `None` once the thread has ended.
    feed: Mutex<Option<broadcast::Sender<StoreEvent>>>,
    /// The shortest interval that a stream asks for, in nanoseconds.
    alive_every: AtomicU64,
    /// Wakes the thread.
    wake: Arc<OwnedFd>,
}

impl Listener {
    fn start(
        place: &Arc<BellPlace>,
        alive_every: Duration,
    ) -> io::Result<(Arc<Self>, broadcast::Receiver<StoreEvent>)> {
        let mut reader = BellReader::open(place)?;
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let (feed, events) = broadcast::channel(BEHIND);
        let listener = Arc::new(Self {
            feed: Mutex::new(Some(feed)),
            alive_every: AtomicU64::new(nanos(alive_every)),
            wake: Arc::new(wake),
        });
        // An empty line, which the thread waits for.
        reader.ring(b"\n")?;
        let thread = ListenerThread {
            listener: Arc::downgrade(&listener),
            wake: listener.wake.clone(),
            place: place.clone(),
            reader,
        };
        thread::Builder::new()
            .name("tenure-wake".to_owned())
            .spawn(move || thread.run())?;
        Ok((listener, events))
    }

    /// `None` if the thread has ended.
    fn subscribe(&self, alive_every: Duration) -> Option<broadcast::Receiver<StoreEvent>> {
        let events = lock(&self.feed).as_ref()?.subscribe();
        self.alive_every
            .fetch_min(nanos(alive_every), Ordering::Relaxed);
        self.wake();
        Some(events)
    }

    fn wake(&self) {
        // It fails only if the thread has not yet taken the last one.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }

    fn send(&self, event: StoreEvent) {
        if let Some(feed) = &*lock(&self.feed) {
            // It fails if there is no stream.
            let _ = feed.send(event);
        }
    }

    /// Half of what was asked for, so that a thread that is late for a moment is not taken for a dead one.
    fn interval(&self) -> Duration {
        let nanos = self.alive_every.load(Ordering::Relaxed) / 2;
        Duration::from_nanos(nanos).max(Duration::from_millis(1))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.wake();
    }
}

struct ListenerThread {
    listener: Weak<Listener>,
    wake: Arc<OwnedFd>,
    place: Arc<BellPlace>,
    reader: BellReader,
}

impl ListenerThread {
    fn run(mut self) {
        if let Err(error) = self.listen() {
            self.place.warn(&error);
        }
    }

    /// Returns when the last stream is gone.
    fn listen(&mut self) -> io::Result<()> {
        let started = Instant::now();
        let mut proven = false;
        let mut alive_at = started;
        let mut pause = PROVEN_WITHIN;
        loop {
            self.wait(pause)?;
            let Some(listener) = self.listener.upgrade() else {
                return Ok(());
            };
            // Taken before the file is read, so that no later write is missed.
            proven |= self.reader.take_notices()?;
            for event in self.reader.read()? {
                listener.send(event);
            }
            if self.reader.is_left() {
                self.reader = BellReader::open(&self.place)?;
                listener.send(StoreEvent::LookAtAll);
            }
            let now = Instant::now();
            if !proven {
                pause = (started + PROVEN_WITHIN).saturating_duration_since(now);
                if pause.is_zero() {
                    return Err(io::Error::other(
                        "inotify reports no write to it: use a local file system",
                    ));
                }
                continue;
            }
            let interval = listener.interval();
            if now >= alive_at {
                listener.send(StoreEvent::Alive);
                alive_at = now + interval;
            }
            alive_at = alive_at.min(now + interval);
            pause = alive_at.saturating_duration_since(now);
        }
    }

    fn wait(&self, pause: Duration) -> io::Result<()> {
        let longest = Timespec {
            tv_sec: i64::MAX,
            tv_nsec: 0,
        };
        let pause = Timespec::try_from(pause).unwrap_or(longest);
        let mut descriptors = [
            PollFd::new(self.reader.notices(), PollFlags::IN),
            PollFd::new(&*self.wake, PollFlags::IN),
        ];
        match poll(&mut descriptors, Some(&pause)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        // Nothing to read is fine.
        let _ = rustix::io::read(&*self.wake, &mut [0; 8]);
        Ok(())
    }
}

impl Drop for ListenerThread {
    /// Ends the streams, also after a panic.
    fn drop(&mut self) {
        if let Some(listener) = self.listener.upgrade() {
            *lock(&listener.feed) = None;
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
