//! Every interleaving of a cell's readers with the election that owns it, tried by loom.

use loom::{
    model,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    thread::{self, JoinHandle},
};

use super::*;
use crate::{
    lease::CandidateId,
    mutants::{Mutant, with},
};

const START: u64 = 100;
const DEADLINE: u64 = 110;
/// Where a renewal moves the deadline.
const RENEWED: u64 = 120;

/// A clock that one thread moves while others read it, and what they know.
#[derive(Debug)]
struct SharedClock {
    now: AtomicU64,
    /// Whether any thread knows that the leadership has ended.
    ended: AtomicBool,
}

impl Clock for SharedClock {
    fn now(&self) -> Moment {
        Moment::from_nanos(self.now.load(SeqCst))
    }
}

impl SharedClock {
    fn new() -> (Arc<Self>, LeadershipControl) {
        let lease = Lease {
            resource: ResourceName::new("r").unwrap(),
            holder: CandidateId::new("a").unwrap(),
            token: FencingToken::new(7),
        };
        let scene = Arc::new(Self {
            now: AtomicU64::new(START),
            ended: AtomicBool::new(false),
        });
        let deadline = Moment::from_nanos(DEADLINE);
        let hold = LeadershipControl::new(lease, deadline, scene.clone());
        (scene, hold)
    }

    fn set_clock(&self, now: u64) {
        self.now.store(now, SeqCst);
    }

    /// Checks `is_current`, which must be false once any thread knows that the leadership has ended.
    fn ask(&self, leadership: &Leadership) -> bool {
        let ended = self.ended.load(SeqCst);
        let current = leadership.is_current();
        assert!(!(ended && current), "current again after its end");
        if !current {
            self.ended.store(true, SeqCst);
        }
        current
    }

    /// Another thread asks twice.
    fn reader(self: &Arc<Self>, leadership: &Leadership) -> JoinHandle<()> {
        let (scene, leadership) = (self.clone(), leadership.clone());
        thread::spawn(move || {
            scene.ask(&leadership);
            scene.ask(&leadership);
        })
    }
}

/// Takes the answer to a renewal that was sent at the start.
fn renew(hold: &LeadershipControl) -> bool {
    hold.extend(Moment::from_nanos(RENEWED), Moment::from_nanos(START))
}

/// One thread renews, one gives up, and one asks.
fn killed_during_a_renewal() {
    let (scene, hold) = SharedClock::new();
    let hold = Arc::new(hold);
    let renewing = hold.clone();
    let renewal = thread::spawn(move || renew(&renewing));
    let reader = scene.reader(hold.leadership());
    hold.revoke();
    scene.ended.store(true, SeqCst);
    assert!(!scene.ask(hold.leadership()));
    renewal.join().unwrap();
    reader.join().unwrap();
    assert!(!scene.ask(hold.leadership()));
}

/// Time passes beyond the deadline while one thread renews and two ask.
fn lapsed_during_a_renewal() {
    let (scene, hold) = SharedClock::new();
    let leadership = hold.leadership().clone();
    let renewal = thread::spawn(move || (renew(&hold), hold));
    let reader = scene.reader(&leadership);
    scene.set_clock(DEADLINE);
    scene.ask(&leadership);
    let (renewed, _hold) = renewal.join().unwrap();
    reader.join().unwrap();
    assert_eq!(scene.ask(&leadership), renewed);
    scene.set_clock(RENEWED);
    assert!(!scene.ask(&leadership), "a stale answer");
}

/// The owner renews once more and leaves, while time passes and another thread asks.
fn let_go_after_a_renewal(
    let_go: fn(LeadershipControl, &SharedClock),
) -> (Arc<SharedClock>, Leadership, bool) {
    let (scene, hold) = SharedClock::new();
    let leadership = hold.leadership().clone();
    let for_owner = scene.clone();
    let owner = thread::spawn(move || {
        let renewed = renew(&hold);
        let_go(hold, &for_owner);
        renewed
    });
    let reader = scene.reader(&leadership);
    scene.set_clock(DEADLINE);
    let renewed = owner.join().unwrap();
    reader.join().unwrap();
    (scene, leadership, renewed)
}

fn left_after_a_renewal() {
    let (scene, leadership, renewed) = let_go_after_a_renewal(|hold, _| hold.let_expire());
    assert_eq!(scene.ask(&leadership), renewed);
    scene.set_clock(RENEWED);
    assert!(!scene.ask(&leadership), "a stale answer");
}

fn dropped_after_a_renewal() {
    let (scene, leadership, _) = let_go_after_a_renewal(|hold, scene| {
        drop(hold);
        scene.ended.store(true, SeqCst);
    });
    assert!(!scene.ask(&leadership));
}

/// A shard is fixed, and its session renewed after that, while others read how much time the shard has.
fn fixed_during_a_renewal() {
    const FIXED: u64 = 115;
    let (scene, session) = SharedClock::new();
    let shard = ShardControl::new(session.lease().clone(), session.leadership());
    let leadership = shard.leadership().clone();
    let reader = thread::spawn(move || leadership.remaining());
    shard.fix(Moment::from_nanos(FIXED));
    assert!(renew(&session));
    let most = Duration::from_nanos(FIXED - START);
    assert!(
        reader.join().unwrap() <= most,
        "more time than it was fixed at"
    );
    assert!(
        shard.leadership().remaining() == most,
        "more time than it was fixed at"
    );
    scene.set_clock(FIXED);
    assert!(!shard.leadership().is_current());
    assert!(session.leadership().is_current());
}

/// The session of two shards lapses or is renewed, while one thread asks for one of the shards and gives the other up.
fn a_session_lapsed_and_a_shard_given_up() {
    let (scene, session) = SharedClock::new();
    let [given_up, other] =
        [(); 2].map(|()| ShardControl::new(session.lease().clone(), session.leadership()));
    let renewal = thread::spawn(move || (renew(&session), session));
    scene.set_clock(DEADLINE);
    let seen = other.leadership().is_current();
    given_up.revoke();
    let (renewed, session) = renewal.join().unwrap();
    assert!(!given_up.leadership().is_current());
    assert!(seen <= renewed, "current without a renewal");
    let current = session.leadership().is_current();
    assert_eq!(other.leadership().is_current(), current);
    assert!(seen == current, "a lapse that was seen is final");
}

/// Counts how often it was woken.
#[derive(Default)]
struct Wakes(std::sync::atomic::AtomicUsize);

impl std::task::Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// Two threads resign while the task of the lock polls.
fn resigned_during_a_poll() {
    let (_scene, hold) = SharedClock::new();
    let wakes = Arc::new(Wakes::default());
    let waker = wakes.clone().into();
    let resign = |seconds| {
        let leadership = hold.leadership().clone();
        thread::spawn(move || leadership.resign(Duration::from_secs(seconds)))
    };
    let threads = [resign(1), resign(2)];
    let polled = hold
        .leadership()
        .poll_resigned(&mut Context::from_waker(&waker));
    for thread in threads {
        thread.join().unwrap();
    }
    assert!(polled.is_ready() || wakes.0.load(SeqCst) == 1, "missed");
    let hold_off = hold.resigned().expect("both have resigned");
    if let Poll::Ready(polled) = polled {
        assert_eq!(polled, hold_off, "only the first counts");
    }
}

fn explore(mutant: Option<Mutant>, scene: fn()) {
    with(mutant, || model(scene));
}

#[test]
fn a_killed_leadership_is_never_current_again() {
    explore(None, killed_during_a_renewal);
}

#[test]
fn a_lapse_that_any_thread_saw_is_final() {
    explore(None, lapsed_during_a_renewal);
}

#[test]
fn a_leadership_left_to_expire_ends_at_its_last_deadline() {
    explore(None, left_after_a_renewal);
}

#[test]
fn a_leadership_whose_owner_is_dropped_ends_at_once() {
    explore(None, dropped_after_a_renewal);
}

#[test]
fn a_resignation_is_seen_by_the_poll_or_wakes_it() {
    explore(None, resigned_during_a_poll);
}

#[test]
fn a_fixed_shard_has_no_more_time_than_that() {
    explore(None, fixed_during_a_renewal);
}

#[test]
fn a_lapse_of_a_session_ends_its_shards_and_a_given_up_shard_ends_alone() {
    explore(None, a_session_lapsed_and_a_shard_given_up);
}

#[test]
#[should_panic(expected = "more time than it was fixed at")]
fn a_shard_that_is_read_before_its_session_combines_two_states() {
    explore(
        Some(Mutant::ShardReadBeforeItsSession),
        fixed_during_a_renewal,
    );
}

#[test]
#[should_panic(expected = "more time than it was fixed at")]
fn a_fixed_shard_that_follows_its_session_has_too_much_time() {
    explore(
        Some(Mutant::FixedShardFollowsItsSession),
        fixed_during_a_renewal,
    );
}

#[test]
#[should_panic(expected = "current again after its end")]
fn a_deadline_that_is_replaced_unasked_revives_a_killed_leadership() {
    explore(
        Some(Mutant::DeadlineWrittenWithoutCompare),
        killed_during_a_renewal,
    );
}

#[test]
#[should_panic(expected = "current again after its end")]
fn a_deadline_that_is_written_unseen_revives_a_killed_leadership() {
    explore(
        Some(Mutant::ExpiredDeadlineExtended),
        killed_during_a_renewal,
    );
}

#[test]
#[should_panic(expected = "current again after its end")]
fn a_lapse_that_is_not_made_final_is_undone_by_a_late_renewal() {
    explore(Some(Mutant::SeenExpiryNotFinal), lapsed_during_a_renewal);
}
