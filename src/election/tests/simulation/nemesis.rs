use std::cmp::Reverse;

use rand::RngExt as _;

use super::world::{Event, World};
use crate::{
    clock::Clock as _,
    lease::ResourceName,
    store::{Eviction, ReleaseOutcome},
};

impl World {
    pub(super) fn nemesis(&mut self) {
        let index = self.rng.random_range(0..self.nodes.len());
        let node = (index, self.nodes[index].incarnation);
        let running = self.nodes[index].election.is_some() && !self.nodes[index].paused;
        match self.rng.random_range(0..12) {
            0 | 1 if running => {
                self.log(|| format!("node{index} stands still"));
                self.counts.count("pause");
                self.nodes[index].paused = true;
                let time = self.seconds(25.0);
                self.after(time, Event::Resume { node });
            }
            2 | 3 if self.nodes[index].election.is_some() => {
                self.log(|| format!("node{index} crashes"));
                self.counts.count("crash");
                self.nodes[index].stop();
                let node = (index, self.nodes[index].incarnation);
                let time = self.seconds(15.0);
                self.after(time, Event::Start { node });
            }
            4 => {
                self.counts.count("store down");
                self.store_up = false;
                let time = self.seconds(15.0);
                self.after(time, Event::StoreUp);
            }
            5 => {
                let eviction = Eviction::Close;
                let (token, now) = (self.store.token, self.store_now());
                let resource = ResourceName::new("r").unwrap();
                if self.store.evict(&resource, token, eviction, now) == ReleaseOutcome::Released {
                    self.log(|| format!("an operator evicts token {token}"));
                    self.counts.count("eviction");
                }
            }
            6..=9 if running => self.command(index),
            _ => {}
        }
        let next = self.seconds(6.0);
        self.after(next, Event::Nemesis);
    }

    fn command(&mut self, index: usize) {
        self.counts.count("command");
        let hold_off = self.seconds(10.0);
        let which = self.rng.random_range(0..4);
        self.log(|| format!("command {which} to node{index}"));
        let node = &mut self.nodes[index];
        let now = node.clock.now();
        let election = node.election.as_mut().expect("a node that runs");
        match which {
            0 => election.step_down(hold_off, now),
            1 => election.pause(now),
            2 => election.resume(now),
            _ => election.handle_store_changed(now),
        }
        self.drive(index);
    }

    pub(super) fn make_peace(&mut self) {
        self.log(|| "faults stop".to_owned());
        self.peace = true;
        self.store_up = true;
        self.network = self.network.mended();
        // What is still under way arrives soon, and everybody acknowledges.
        let under_way: Vec<_> = std::mem::take(&mut self.events).into_vec();
        let later = self.now + self.timing.ttl().as_nanos() as u64 / 100;
        for Reverse((time, key)) in under_way {
            let keep = matches!(
                self.details[&key],
                Event::Verdict | Event::End | Event::Wake { .. }
            );
            let time = if keep { time } else { time.min(later) };
            self.events.push(Reverse((time, key)));
        }
        for index in 0..self.nodes.len() {
            if self.nodes[index].paused {
                self.resume(index);
            }
            if self.nodes[index].election.is_none() {
                self.nodes[index].start(self.timing, self.now, &mut self.rng);
            }
            let node = &mut self.nodes[index];
            let now = node.clock.now();
            node.election.as_mut().expect("just started").resume(now);
            self.drive(index);
        }
    }
}
