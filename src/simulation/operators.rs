//! An operator who hands over, pauses, resumes and purges, over the same network as the candidates.

use std::{
    cmp::Reverse,
    time::{Duration, SystemTime},
};

use rand::RngExt as _;

use super::{
    plan::StoreKind,
    properties::{Property, Violation},
    table_port::TableRequest,
    world::{Event, World},
};
use crate::{
    lease::{CandidateId, FencingToken, Instruction, Note},
    store::observed::RecordChange,
};

/// What the operator wants, and knows.
#[derive(Debug, Default)]
pub(super) struct Operator {
    wish: Wish,
    /// Distinguishes the wishes, so that the answer to an older one is ignored.
    number: u64,
    /// The edition of its last instruction for this wish.
    asked: Option<u64>,
    /// The store has confirmed the pause: from here on nobody may acquire the lease.
    paused: bool,
    /// Whether it has ever asked for a pause.
    pub(super) has_paused: bool,
    /// The hand-overs that it has asked for.
    pub(super) handed_over: Vec<(FencingToken, CandidateId)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Wish {
    #[default]
    None,
    Pause,
    Resume,
}

/// How long a record must be untouched to be purged: more than the clocks of the candidates differ by.
const UNTOUCHED_FOR: Duration = Duration::from_secs(8);

impl World {
    pub(super) fn operator_hands_over(&mut self, to: Option<usize>) {
        let record = &self.store.record;
        if record.holder.is_none() || self.taken_at.is_some() {
            return;
        }
        // A plan that is being shrunk may have lost the node.
        let to = match to.and_then(|node| self.nodes.get(node)) {
            Some(node) => node.name.clone(),
            None => CandidateId::new("nobody").expect("a good name"),
        };
        let token = record.token;
        self.counts.count("hand-over");
        self.operator.handed_over.push((token, to.clone()));
        self.instruct(Instruction::HandOver { token, to });
    }

    pub(super) fn operator_pauses(&mut self) {
        if self.taken_at.is_none() && self.operator.wish != Wish::Pause && !self.operator.paused {
            self.counts.count("operator's pause");
            self.operator.has_paused = true;
            self.wants(Wish::Pause);
        }
    }

    pub(super) fn operator_resumes(&mut self) {
        if self.operator.wish == Wish::Pause || self.operator.paused {
            self.operator.paused = false;
            self.wants(Wish::Resume);
        }
    }

    fn wants(&mut self, wish: Wish) {
        self.operator.wish = wish;
        self.operator.number += 1;
        self.operator.asked = None;
        self.ask();
    }

    /// Sends the instruction that the operator wants, with the edition that it reads now, and asks again later.
    pub(super) fn ask(&mut self) {
        let record = &self.store.record;
        let edition = record.edition;
        let is_as_wished = record.pause.is_some() == (self.operator.wish == Wish::Pause);
        // Not without a write of its own: an earlier, opposite instruction may still be under way, and only a new
        // edition makes it stale.
        let before = self.operator.asked.replace(edition);
        if is_as_wished && before.is_some_and(|before| before != edition) {
            return self.is_done();
        }
        match self.operator.wish {
            Wish::None => return,
            Wish::Pause => {
                let note = Note::default();
                self.instruct(Instruction::Pause { note, edition });
            }
            Wish::Resume => self.instruct(Instruction::Resume { edition }),
        }
        let number = self.operator.number;
        self.after(Duration::from_secs(3), Event::AskAgain(number));
    }

    pub(super) fn ask_again(&mut self, number: u64) {
        if number == self.operator.number {
            self.ask();
        }
    }

    fn is_done(&mut self) {
        self.operator.paused = self.operator.wish == Wish::Pause;
        self.operator.wish = Wish::None;
    }

    /// The instruction arrives soon, late, twice, or never.
    fn instruct(&mut self, instruction: Instruction) {
        let number = self.operator.number;
        let copies = if self.rng.random_bool(0.2) { 2 } else { 1 };
        for copy in 0..copies {
            if self.rng.random_bool(0.1) {
                continue;
            }
            let most = if self.rng.random_bool(0.15) {
                25.0
            } else {
                0.2
            };
            let delay = self.seconds(most);
            let answers = (copy == 0 && self.rng.random_bool(0.9)).then_some(number);
            let instruction = instruction.clone();
            let event = Event::Instruct {
                instruction,
                answers,
                sent_at: self.now,
            };
            self.after(delay, event);
        }
    }

    pub(super) fn instructed(&mut self, instruction: &Instruction, answers: Option<u64>) {
        if self.taken_at.is_some() {
            return;
        }
        let applied = self.store.instruct(instruction, self.now);
        self.log(|| format!("an operator's {instruction:?} arrives; applied: {applied}"));
        let is_hand_over = matches!(instruction, Instruction::HandOver { .. });
        if applied && !is_hand_over && answers == Some(self.operator.number) {
            self.is_done();
        }
    }

    /// Deletes the record if nobody needs it.
    pub(super) fn operator_purges(&mut self) {
        // The model of a failover keeps no deletions.
        if self.plan.store != StoreKind::Replicated && self.taken_at.is_none() {
            let wall = self.store_wall();
            if self.store.purge(wall - UNTOUCHED_FOR, self.now) {
                self.log(|| "the record is purged".to_owned());
                self.counts.count("purge");
                self.drop_creations_older_than(wall - UNTOUCHED_FOR);
            }
        }
    }

    /// A purge assumes that nothing that creates a record is under way for as long as the record was untouched: an older
    /// bid of an observing client would begin the record anew with an older time of day, and an older pause of an absent
    /// record would pause the resource again.
    fn drop_creations_older_than(&mut self, moment: SystemTime) {
        let since = self.now.saturating_sub(UNTOUCHED_FOR.as_nanos() as u64);
        let is_older = |event: &Event| match event {
            Event::TableRequest {
                ask: TableRequest::Write(RecordChange::Take { since, .. }, _),
                ..
            } => *since < moment,
            Event::Instruct {
                instruction: Instruction::Pause { edition: 0, .. },
                sent_at,
                ..
            } => *sent_at < since,
            _ => false,
        };
        self.drop_events(is_older);
    }

    fn drop_events(&mut self, dropped: impl Fn(&Event) -> bool) {
        let dropped: Vec<u64> = (self.events.iter())
            .filter(|(_, event)| dropped(event))
            .map(|(key, _)| *key)
            .collect();
        self.queue
            .retain(|Reverse((_, key))| !dropped.contains(key));
        self.events.retain(|key, _| !dropped.contains(key));
    }

    /// Everything is as if there were no operator. Late copies of instructions are still under way.
    pub(super) fn stop_operator(&mut self) {
        self.operator.paused = false;
        self.operator.wish = Wish::None;
        self.operator.number += 1;
        self.store.forget_instructions();
        let edition = self.store.record.edition;
        let still_acts = |event: &Event| match event {
            Event::Instruct { instruction, .. } => match instruction {
                Instruction::HandOver { .. } => true,
                Instruction::Pause { edition: at, .. } | Instruction::Resume { edition: at } => {
                    *at == edition
                }
            },
            _ => false,
        };
        self.drop_events(still_acts);
    }

    /// The store has granted a new token.
    pub(super) fn check_pause(&mut self, token: FencingToken) {
        if self.operator.paused && self.violation.is_none() {
            let text = format!("token {token} is granted after a pause was confirmed");
            self.violation = Some(Violation::new(Property::PauseHolds, text));
        }
    }
}
