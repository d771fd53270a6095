use std::{
    collections::BTreeSet,
    env, io,
    process::{Command, Stdio},
    sync::{Barrier, Mutex},
    time::Instant,
};

use super::*;

pub(super) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(future)
}

#[test]
fn one_of_32_threads_on_4_stores_wins_each_round() {
    const THREADS: usize = 32;
    const ROUNDS: u64 = 100;
    let test_file = TestFile::new();
    let builder = test_file.builder().busy_limit(60 * SECOND);
    let stores: Vec<_> = (0..4)
        .map(|_| builder.clone().open(test_file.path()).unwrap())
        .collect();
    let barrier = Barrier::new(THREADS);
    // DecodeResult at the end, because a panic between the barriers would leave the other processes waiting.
    let outcomes = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (store, barrier, outcomes) = (&stores[thread % 4], &barrier, &outcomes);
            scope.spawn(move || {
                let name = format!("candidate {thread}");
                for round in 1..=ROUNDS {
                    barrier.wait();
                    let attempt = u128::from(round) << 64 | thread as u128;
                    let outcome = block_on(store.acquire(&bid(&name, attempt), LIMIT));
                    barrier.wait();
                    let mut released = None;
                    if let Ok(AcquireOutcome::Granted { token }) = outcome {
                        released = Some(block_on(store.release(
                            &claim(&name, token.get()),
                            None,
                            LIMIT,
                        )));
                    }
                    let outcome = (round, outcome, released);
                    outcomes.lock().unwrap().push(outcome);
                }
            });
        }
    });
    let mut winners = Vec::new();
    for (round, outcome, released) in outcomes.into_inner().unwrap() {
        if let AcquireOutcome::Granted { token } = outcome.unwrap() {
            assert_eq!(released.unwrap().unwrap(), ReleaseOutcome::Released);
            winners.push((round, token.get()));
        }
    }
    winners.sort_unstable();
    let expected: Vec<_> = (1..=ROUNDS).map(|round| (round, round)).collect();
    assert_eq!(winners, expected);
}

const FILE: &str = "TENURE_TEST_SQLITE_FILE";
const ROUNDS: usize = 40;

#[test]
fn no_token_is_granted_to_two_processes() {
    let test_file = TestFile::new();
    let start = || {
        Command::new(env::current_exe().unwrap())
            .args(["--exact", "--ignored", "--nocapture"])
            .arg(concat!(module_path!(), "::one_process_of_several").replacen("tenure::", "", 1))
            .env(FILE, test_file.path())
            .stdout(Stdio::piped())
            .spawn()
    };
    let processes: Vec<_> = (0..4).map(|_| start().unwrap()).collect();
    let outputs: Vec<_> = processes
        .into_iter()
        .map(std::process::Child::wait_with_output)
        .collect();
    let outputs: Vec<_> = outputs.into_iter().collect::<io::Result<_>>().unwrap();
    let mut tokens = BTreeSet::new();
    for output in outputs {
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{text}");
        for token in text.lines().filter_map(|line| line.strip_prefix("token ")) {
            assert!(tokens.insert(token.to_owned()), "{token} was granted twice");
        }
    }
    assert_eq!(tokens.len(), 4 * ROUNDS);
}

#[test]
#[ignore = "a part of no_token_is_granted_to_two_processes, which starts it"]
fn one_process_of_several() {
    let path = env::var_os(FILE).expect("it is started by another test");
    let store = SqliteStore::builder()
        .busy_limit(60 * SECOND)
        .open(path)
        .unwrap();
    let name = CandidateId::generate();
    // Longer than any disk takes, because no lease may expire here.
    let ttl = 3600 * SECOND;
    let begun = Instant::now();
    let mut rounds = 0;
    while rounds < ROUNDS {
        assert!(begun.elapsed() < 300 * SECOND, "after {rounds} rounds");
        let mut bid = bid(name.as_str(), AttemptId::generate().unwrap().get());
        bid.ttl = ttl;
        let AcquireOutcome::Granted { token } = block_on(store.acquire(&bid, LIMIT)).unwrap()
        else {
            std::thread::yield_now();
            continue;
        };
        println!("\ntoken {token}");
        rounds += 1;
        let renewed = block_on(store.renew(&lease(name.as_str(), token.get()), ttl, LIMIT));
        assert_eq!(renewed.unwrap(), RenewOutcome::RENEWED);
        let released = block_on(store.release(&claim(name.as_str(), token.get()), None, LIMIT));
        assert_eq!(released.unwrap(), ReleaseOutcome::Released);
    }
}

#[test]
#[ignore = "prints how long requests take; run it alone and with --release"]
fn requests_take() {
    let test_file = TestFile::new();
    let store = on_clock(crate::clock::BootClock, "test")
        .open(test_file.path())
        .unwrap();
    let mut took: [Vec<Duration>; 4] = Default::default();
    for round in 1..=2000u64 {
        let mut time = |at: usize, future: &mut dyn FnMut()| {
            let begun = Instant::now();
            future();
            took[at].push(begun.elapsed());
        };
        time(0, &mut || {
            drop(block_on(store.acquire(&bid("a", round.into()), LIMIT)).unwrap());
        });
        time(1, &mut || {
            drop(block_on(store.renew(&lease("a", round), TTL, LIMIT)).unwrap());
        });
        time(2, &mut || {
            drop(block_on(store.acquire(&bid("b", 0), LIMIT)).unwrap());
        });
        time(3, &mut || {
            drop(block_on(store.release(&claim("a", round), None, LIMIT)).unwrap());
        });
    }
    for (name, mut took) in ["acquire", "renew", "refused", "release"]
        .into_iter()
        .zip(took)
    {
        took.sort();
        println!("{name}: p50 {:?}, p99 {:?}", took[1000], took[1980]);
    }
}
