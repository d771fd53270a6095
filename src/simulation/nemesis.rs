use std::cmp::Reverse;

use super::{
    plan::{FaultKind, WatchSays},
    properties::Violation,
    world::{Event, World},
};
use crate::{
    clock::Clock as _,
    election::{Election, RecordEvent},
    lease::CandidateId,
    timing::Timing,
};

impl World {
    pub(super) fn apply_fault(&mut self, fault: FaultKind) -> Result<(), Violation> {
        let running = |world: &Self, node: usize| {
            world.nodes[node].election.is_some() && !world.nodes[node].paused
        };
        match fault {
            FaultKind::Pause { node, time } if running(self, node) => {
                self.log(|| format!("node{node} is frozen"));
                self.counts.count("pause");
                self.nodes[node].paused = true;
                self.after(time, Event::Resume((node, self.nodes[node].incarnation)));
            }
            FaultKind::Crash { node, time, new_id } if self.nodes[node].election.is_some() => {
                self.log(|| format!("node{node} crashes"));
                self.counts.count("crash");
                self.nodes[node].stop();
                let incarnation = self.nodes[node].incarnation;
                if new_id {
                    let name = format!("node{node}.{incarnation}");
                    self.nodes[node].name = CandidateId::new(name).expect("a good name");
                }
                self.after(time, Event::Start((node, incarnation)));
            }
            FaultKind::StoreDown { time } => {
                self.log(|| "the store is down".to_owned());
                self.counts.count("store down");
                self.store.up = false;
                self.after(time, Event::StoreUp);
            }
            FaultKind::Evict if self.taken_at.is_none() => {
                if let Some(token) = self.store.evict(self.now) {
                    self.log(|| format!("an operator evicts token {token}"));
                    self.counts.count("eviction");
                    self.evicted.insert(token);
                }
            }
            FaultKind::StepDown { node, hold_off } if running(self, node) => {
                let now = self.nodes[node].clock.now();
                self.nodes[node].facts.stepped_down = true;
                self.nodes[node].duties.step_down(hold_off, now);
                return self.command(node, "step down", |election, now| {
                    election.step_down(hold_off, now);
                });
            }
            FaultKind::PauseLock { node } if running(self, node) => {
                self.nodes[node].facts.paused = true;
                self.nodes[node].duties.pause();
                return self.command(node, "pause", Election::pause);
            }
            FaultKind::ResumeLock { node } if running(self, node) => {
                self.nodes[node].duties.resume();
                return self.command(node, "resume", Election::resume);
            }
            FaultKind::Hint { node } if running(self, node) => {
                return self.command(node, "look", |election, now| {
                    election.handle_change(RecordEvent::Changed, now);
                });
            }
            // No observing store has a watch.
            FaultKind::Watch { node, says } if running(self, node) && !self.observes() => {
                let ttl = self.plan.longest(|node| node.timing.ttl());
                return self.command(node, "hear", |election, now| match says {
                    WatchSays::Works => election.set_pushed(true, now),
                    WatchSays::Ended => election.set_pushed(false, now),
                    WatchSays::Acquired => {
                        election.handle_change(RecordEvent::Acquired { ttl }, now);
                    }
                    WatchSays::EventsLost => election.handle_change(RecordEvent::Lost, now),
                });
            }
            FaultKind::Failover { to, lost, time } => {
                self.log(|| format!("member {to} is primary; lost: {lost}"));
                self.counts.count("failover");
                self.forgot |= lost;
                self.store.fail_over(to, lost);
                self.last_commit = self.now;
                self.store.up = false;
                self.after(time, Event::StoreUp);
            }
            FaultKind::ClockStep { ahead } => {
                self.log(|| format!("the store's clock is {ahead:?} ahead"));
                self.counts.count("clock step");
                self.store.step_clock(ahead);
            }
            FaultKind::HandOver { to } => self.operator_hands_over(to),
            FaultKind::OperatorPauses => self.operator_pauses(),
            FaultKind::OperatorResumes => self.operator_resumes(),
            FaultKind::Purge => self.operator_purges(),
            FaultKind::NewerLibrary if self.store.record.version > 0 => {
                self.log(|| "a newer library takes the record".to_owned());
                self.counts.count("newer library");
                self.store.take_for_newer();
                self.taken_at = Some(self.store.record.version);
            }
            _ => {}
        }
        Ok(())
    }

    fn command(
        &mut self,
        index: usize,
        what: &str,
        command: impl FnOnce(&mut Election, crate::clock::Moment),
    ) -> Result<(), Violation> {
        self.counts.count("command");
        self.log(|| format!("node{index} gets the command {what}"));
        let node = &mut self.nodes[index];
        let now = node.clock.now();
        command(node.election.as_mut().expect("a node that runs"), now);
        self.drive(index)
    }

    pub(super) fn stop_faults(&mut self) -> Result<(), Violation> {
        self.log(|| "faults stop".to_owned());
        self.faults_stopped = true;
        self.store.up = true;
        self.stop_operator();
        self.network = self.network.mended(self.plan.store);
        // From now on, messages in flight arrive soon, and every subscriber acknowledges.
        let under_way: Vec<_> = std::mem::take(&mut self.queue).into_vec();
        let soon = self.plan.shortest(Timing::ttl) / 100;
        let later = self.now + soon.as_nanos() as u64;
        for Reverse((time, key)) in under_way {
            let stays = matches!(
                self.events[&key],
                Event::CheckLeader | Event::End | Event::Wake(_) | Event::Register(..)
            );
            let time = if stays { time } else { time.min(later) };
            self.queue.push(Reverse((time, key)));
        }
        for index in 0..self.nodes.len() {
            if self.nodes[index].paused {
                self.resume(index);
            }
            if self.nodes[index].election.is_none() {
                self.nodes[index].start(self.now, &mut self.rng);
            }
            let node = &mut self.nodes[index];
            node.duties.resume();
            node.undisturbed_since = Some(node.clock.now());
            self.command(index, "resume", Election::resume)?;
        }
        Ok(())
    }

    pub(super) fn resume(&mut self, index: usize) {
        use rand::RngExt as _;
        self.log(|| format!("node{index} resumes"));
        self.nodes[index].paused = false;
        // Timers and the messages that arrived meanwhile are handled in a random order.
        while !self.waiting.is_empty() {
            let any = self.rng.random_range(0..self.waiting.len());
            let event = self.waiting.swap_remove(any);
            self.after(std::time::Duration::ZERO, event);
        }
    }
}
