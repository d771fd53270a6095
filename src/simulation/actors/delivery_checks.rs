//! Checks of the messages that subscribers receive.

use super::{
    plan::Style,
    world::{Command, World},
};
use crate::{
    clock::{Clock as _, Moment},
    leadership::{Leadership, Reason},
    lease::FencingToken,
    simulation::properties::Property,
};

impl World {
    pub(super) fn received_became_leader(&mut self, index: usize, leadership: &Leadership) {
        let (now, token) = (self.now(), leadership.token());
        self.log(|| format!("subscriber {index} is told that it leads with token {token}"));
        let seen = &mut self.subscribers[index];
        let at = seen.life;
        seen.messages += 1;
        let life = &mut self.lives[at];
        let twice = seen.told.replace(token);
        let loose = std::mem::take(&mut seen.loose);
        let busy = !seen.running.is_empty();
        let prompt = seen.style == Style::Prompt;
        let first = !std::mem::replace(&mut life.term(token).told, true);
        if first {
            let older = life.leaderships.len().saturating_sub(4);
            life.leaderships.drain(..older);
            life.leaderships.push((leadership.clone(), false));
            self.counts.count("elected");
        }
        if let Some(before) = twice.filter(|_| !loose) {
            let text = format!("subscriber {index}: BecameLeader({token}) after {before}");
            self.fail(Property::Messages, text);
        }
        if busy {
            let text = format!("subscriber {index}: BecameLeader before its acknowledgement");
            self.fail(Property::Acknowledged, text);
        }
        let other = |life: usize| {
            life != at
                && self.lives[life]
                    .terms
                    .get(&token.get())
                    .is_some_and(|term| term.told)
        };
        if let Some(other) = (0..self.lives.len()).find(|life| other(*life)) {
            let text = format!("token {token} of life {other} and of life {at}");
            self.fail(Property::Tokens, text);
        }
        // Only a subscriber that handles messages at once shows when it was told.
        if !(first && prompt) {
            return;
        }
        let pending = self.subscribers.iter().position(|other| {
            let mut running = other.running.iter();
            let earlier = running.any(|run| run.1 != Some(token) && run.2 < now);
            other.life == at && other.alive && earlier
        });
        if let Some(other) = pending {
            let text = format!("token {token} is told before subscriber {other} has acknowledged");
            self.fail(Property::Acknowledged, text);
        }
        // The message may wait in a frozen process.
        let margin = self.timing(at).margin();
        let life = &mut self.lives[at];
        let granted_at = life.term(token).granted_at;
        let held_up = life.gate.thawed_at > granted_at;
        if leadership.remaining() < margin && !held_up {
            let text = format!("token {token} has {:?} left", leadership.remaining());
            self.fail(Property::EnoughTimeLeft, text);
        }
    }

    pub(super) fn received_became_follower(
        &mut self,
        index: usize,
        token: Option<FencingToken>,
        reason: &Reason,
    ) {
        self.log(|| format!("subscriber {index} follows, token {token:?}: {reason}"));
        let seen = &mut self.subscribers[index];
        seen.messages += 1;
        let told = seen.told.take();
        let (at, again, loose) = (seen.life, seen.again, seen.loose);
        let first = seen.messages == 1;
        if told != token && !loose {
            let text = format!("subscriber {index}: BecameFollower({token:?}) after {told:?}");
            self.fail(Property::Messages, text);
        }
        if told.is_none() && token.is_none() && !first && !again && !loose {
            let text = format!("subscriber {index}: BecameFollower twice");
            self.fail(Property::Messages, text);
        }
        let Some(token) = token else {
            if *reason != Reason::NotElected {
                let text = format!("subscriber {index}: {reason:?} of nothing");
                self.fail(Property::Reasons, text);
            }
            return;
        };
        let life = &self.lives[at];
        let Some(term) = life.terms.get(&token.get()) else {
            return self.fail(
                Property::Messages,
                format!("the end of token {token}, never granted"),
            );
        };
        let commanded = |command| life.was_commanded(command, term.granted_at);
        let fits = match reason {
            Reason::NotElected => again,
            Reason::SteppedDown => commanded(Command::StepDown) || commanded(Command::Leave),
            Reason::Paused => commanded(Command::Pause),
            // A command that is not yet answered may hold the last handle for long.
            Reason::Shutdown => life.was_commanded(Command::Shutdown, Moment::default()),
            Reason::Deposed { by } => {
                let mut newer = self.acquired.range(token.get() + 1..);
                term.refused && newer.any(|(_, holders)| holders.contains(by))
            }
            Reason::Evicted => term.refused && self.evicted.contains(&token),
            // The store did not fail, unless a failover has lost writes.
            Reason::StoreLost => term.unanswered || (term.refused && self.forgot),
            Reason::Expired => term.refused || !term.unanswered,
            // No lock in this layer has a `max_hold`.
            Reason::MaxHold => false,
            // No operator instructs this layer, and no subscriber resigns.
            Reason::HandedOver { .. } | Reason::Resigned => false,
        };
        let by_deadline = matches!(reason, Reason::StoreLost | Reason::Expired);
        let early = by_deadline && !term.refused && life.clock.now() < term.deadline;
        let text = format!("subscriber {index}, token {token}: {reason:?}, {term:?}");
        if !fits {
            self.fail(Property::Reasons, text);
        } else if early {
            self.fail(Property::SurvivesOutages, text);
        }
    }
}
