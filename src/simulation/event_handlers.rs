//! Handles the events of a run.

use std::time::Duration;

use rand::RngExt as _;

use super::{
    node::OperationStep,
    plan::Clocks,
    properties::{Property, Violation},
    world::{Event, Incarnation, World},
};
use crate::{
    clock::{Clock as _, Moment},
    election::{Call, Reply, Request, RequestId, Transition},
    leadership::{Leadership, Reason},
    lease::{FencingToken, ReleaseTarget},
};

type CheckResult = Result<(), Violation>;

impl World {
    pub(super) fn handle(&mut self, event: Event) -> CheckResult {
        match event {
            Event::Arrive {
                from,
                id,
                sent_at,
                call,
                answer,
            } => self.arrive(from, id, sent_at, &call, answer),
            Event::Commit {
                to,
                id,
                sent_at,
                reply,
                answer,
                term,
                record,
                // A write that a failover has lost gets no reply.
            } if term == self.store.term => {
                self.store.commit(record);
                self.answer(to, id, sent_at, reply, answer);
            }
            Event::TableRequest {
                from,
                op,
                ask,
                answer,
            } => self.asked(from, op, ask, answer),
            Event::Answer { to, .. }
            | Event::TableReply { to, .. }
            | Event::Wake(to)
            | Event::Work(to, _)
            | Event::Acknowledge { node: to, .. }
                if self.nodes[to.0].paused && !self.is_void(to) =>
            {
                self.waiting.push(event);
            }
            Event::Answer {
                to,
                id,
                sent_at,
                reply,
            } if !self.is_void(to) => return self.receive_reply(to.0, id, sent_at, reply),
            Event::TableReply { to, op, told } if !self.is_void(to) => {
                self.log(|| format!("node{} is told {told:?}", to.0));
                self.nodes[to.0].told(op, told);
                return self.poll_operation(to.0);
            }
            Event::Wake(node) if !self.is_void(node) => {
                let node = &mut self.nodes[node.0];
                let due = node.wake_at == Some(self.now);
                let now = node.clock.now();
                let election = node.election.as_mut().expect("not void");
                election.handle_timeout(now);
                if due {
                    node.wake_at = None;
                }
                return self.drive_of(event);
            }
            Event::Acknowledge { node, clean } if !self.is_void(node) => {
                self.nodes[node.0].pending -= 1;
                self.nodes[node.0].clean &= clean;
                self.nodes[node.0].report();
                return self.drive(node.0);
            }
            Event::Work(node, token) if !self.is_void(node) => self.work(node, token),
            Event::Register(by, token) => return self.register(by, token),
            Event::Resume(node) if !self.is_void(node) => self.resume(node.0),
            Event::Start(node) if !self.is_void(node) => {
                self.log(|| format!("node{} starts", node.0));
                self.nodes[node.0].start(self.now, &mut self.rng);
                return self.drive(node.0);
            }
            Event::StoreUp => self.store.up = true,
            Event::Instruct {
                instruction,
                answers,
                ..
            } => self.instructed(&instruction, answers),
            Event::AskAgain(number) => self.ask_again(number),
            Event::Fault(kind) if !self.faults_stopped => return self.apply_fault(kind),
            Event::FaultsStop => return self.stop_faults(),
            Event::CheckLeader | Event::End => return self.check_leader(),
            _ => {}
        }
        Ok(())
    }

    fn drive_of(&mut self, event: Event) -> CheckResult {
        match event {
            Event::Wake(node) => self.drive(node.0),
            _ => Ok(()),
        }
    }

    fn receive_reply(
        &mut self,
        index: usize,
        id: RequestId,
        sent_at: Moment,
        reply: Reply,
    ) -> CheckResult {
        self.log(|| format!("node{index} receives {reply:?}"));
        let node = &mut self.nodes[index];
        let election = node.election.as_mut().expect("not void");
        let asked = election.in_flight().is_some_and(|(asked, _)| asked == id);
        let timing = &node.plan.timing;
        let deadline = sent_at + (timing.ttl() - timing.margin());
        match &reply {
            Reply::Granted { .. } if !asked => self.counts.count("late grant"),
            Reply::Granted { .. } => node.granted_until = deadline,
            // A reply after the deadline does not extend the term.
            Reply::Renewed { .. } if asked && node.clock.now() < node.facts.deadline => {
                self.counts.count("renewed");
                node.facts.unanswered = false;
                let deadline = node.facts.deadline.max(deadline);
                let end = node.facts.may_end_at.unwrap_or(deadline);
                node.facts.deadline = deadline.min(end);
            }
            Reply::Lost(_) => {
                self.counts.count("lost");
                node.facts.refused |= asked;
            }
            Reply::Released { was_held: true } => self.counts.count("released"),
            _ => {}
        }
        let now = node.clock.now();
        if asked {
            node.duties.receives_reply(&reply, &node.name, now);
        }
        election.handle_reply(id, sent_at, reply, now);
        self.drive(index)
    }

    /// Delivers the transitions of a node, sends its requests and sets its timer.
    pub(super) fn drive(&mut self, index: usize) -> CheckResult {
        let mut delivered = 0;
        while let Some(transition) = self.nodes[index].deliver()? {
            delivered += 1;
            match transition {
                Transition::BecameLeader { leadership } => self.elected(index, &leadership)?,
                Transition::BecameFollower { token, reason } => {
                    self.log(|| format!("node{index} follows: {reason}"));
                    self.explain(index, token, &reason)?;
                }
            }
        }
        for _ in 0..delivered {
            let slow = !self.faults_stopped && self.rng.random_bool(0.2);
            let delay = self.seconds(if slow { 25.0 } else { 0.2 });
            let clean = self.faults_stopped || self.rng.random_bool(0.95);
            if !clean {
                self.counts.count("unclean");
            }
            let node = (index, self.nodes[index].incarnation);
            self.after(delay, Event::Acknowledge { node, clean });
        }
        let node = &mut self.nodes[index];
        if delivered > 0 {
            node.report();
        }
        let now = node.clock.now();
        let election = node.election.as_mut().expect("a node that runs");
        let request = election.poll_request(now);
        let next = election.poll_timeout();
        if request.is_none() {
            let ttl = node.plan.timing.ttl();
            node.duties.check(election, ttl, now)?;
        }
        let next = next.map(|moment| node.global(moment).max(self.now + 1));
        self.set_timer(index, next);
        match request {
            Some(request) => self.send(index, request),
            // Polling the request may have led to another transition.
            None if self.nodes[index]
                .election
                .as_ref()
                .is_some_and(super::super::election::Election::has_transitions) =>
            {
                self.drive(index)
            }
            None => Ok(()),
        }
    }

    fn set_timer(&mut self, index: usize, next: Option<u64>) {
        let node = &mut self.nodes[index];
        let Some(next) = next.filter(|next| Some(*next) != node.wake_at) else {
            return;
        };
        node.wake_at = Some(next);
        let event = Event::Wake((index, node.incarnation));
        let delay = Duration::from_nanos(next - self.now);
        // Timers fire late, never early.
        let most = self.nodes[index].plan.timer_lateness(self.faults_stopped);
        let late = if self.rng.random_bool(0.1) {
            self.seconds(most.as_secs_f64())
        } else {
            Duration::ZERO
        };
        if !late.is_zero() {
            self.nodes[index].wake_at = None;
        }
        self.after(delay + late, event);
    }

    fn elected(&mut self, index: usize, leadership: &Leadership) -> CheckResult {
        let token = leadership.token();
        self.log(|| format!("node{index} leads with token {token}"));
        let node = &mut self.nodes[index];
        node.facts.deadline = node.granted_until;
        let timing = &node.plan.timing;
        let since = node.granted_until - (timing.ttl() - timing.margin());
        let faults_stopped = node.undisturbed_since;
        node.facts.undisturbed =
            faults_stopped.is_some_and(|faults_stopped| faults_stopped <= since);
        node.facts.may_end_at = node.plan.options.max_hold.map(|longest| since + longest);
        if leadership.remaining() < timing.margin() {
            let text = format!("token {token} has {:?} left", leadership.remaining());
            return Err(Violation::new(Property::EnoughTimeLeft, text));
        }
        if token <= self.last_elected && self.clocks == Clocks::WithinMargin {
            let text = format!("token {token} after {}", self.last_elected);
            return Err(Violation::new(Property::Tokens, text));
        }
        self.last_elected = self.last_elected.max(token);
        self.counts.count("elected");
        let event = Event::Work((index, self.nodes[index].incarnation), token);
        let delay = self.seconds(2.0);
        self.after(delay, event);
        Ok(())
    }

    fn explain(&self, index: usize, token: FencingToken, reason: &Reason) -> CheckResult {
        let node = &self.nodes[index];
        let fits = match reason {
            Reason::Deposed { by } => {
                let mut newer = self.acquired.range(token.get() + 1..);
                newer.any(|(_, holders)| holders.contains(by))
            }
            Reason::Evicted => self.evicted.contains(&token),
            Reason::HandedOver { to } => {
                let mut asked = self.operator.handed_over.iter();
                asked.any(|(of, next)| *of == token && next == to)
            }
            Reason::Paused => node.facts.paused || self.operator.has_paused,
            // The store did not fail, unless a failover has lost writes.
            Reason::StoreLost => node.facts.unanswered || self.forgot,
            _ => true,
        };
        if !fits || !node.explains(reason) {
            let text = format!("node{index}, token {token}: {reason:?}, {:?}", node.facts);
            return Err(Violation::new(Property::Reasons, text));
        }
        let by_deadline = matches!(reason, Reason::StoreLost | Reason::Expired);
        let undisturbed = node.facts.undisturbed && self.taken_at.is_none();
        if undisturbed && by_deadline && self.clocks == Clocks::WithinMargin {
            let text = format!("node{index}, token {token}: {reason:?}, and nothing was wrong");
            return Err(Violation::new(Property::SurvivesOutages, text));
        }
        if by_deadline && !node.facts.refused && node.clock.now() < node.facts.deadline {
            let text = format!("node{index}, token {token}: {reason:?} before its deadline");
            return Err(Violation::new(Property::SurvivesOutages, text));
        }
        Ok(())
    }

    fn send(&mut self, index: usize, request: Request) -> CheckResult {
        let node = &mut self.nodes[index];
        let timing = &node.plan.timing;
        let most = 4.0 * timing.ttl().as_secs_f64();
        let least = timing.poll_every().min(timing.renew_every());
        // One more, because a request need not start at the beginning of a ttl.
        let most = (most / least.as_secs_f64()) as usize + 1;
        let sent = node.count_request();
        if sent > most {
            let text = format!("node{index} has sent {sent} requests in a ttl, at most {most}");
            return Err(Violation::new(Property::Rate, text));
        }
        let (election, now) = (node.election.as_ref(), node.clock.now());
        let state = election.expect("a node that runs").state(now);
        let floor = node.plan.timing.floor();
        node.duties.sends(&request.call, state, floor, now)?;
        node.facts.unanswered |= matches!(request.call, Call::Renew { .. });
        self.check_release(index, &request.call)?;
        self.log(|| format!("node{index} sends {:?}", request.call));
        if self.observes() {
            // The clocks of the candidates differ by less than purged records were untouched.
            let ahead = Duration::from_secs(index as u64);
            let wall = self.store_wall() + ahead;
            self.nodes[index].begin(request, wall);
            return self.poll_operation(index);
        }
        let from = (index, self.nodes[index].incarnation);
        self.post(from, &request);
        Ok(())
    }

    /// Checks that all known work under a lease has stopped before its release, and that the lease is no longer
    /// current.
    fn check_release(&self, index: usize, call: &Call) -> CheckResult {
        let Call::Release(ReleaseTarget::Lease(lease), _) = call else {
            return Ok(());
        };
        let node = &self.nodes[index];
        let mut told = node.leaderships.iter().map(|(given, _)| given.token());
        if told.any(|token| token == lease.token) && !(node.clean && node.pending == 0) {
            let text = format!("token {} is released while work may run", lease.token);
            return Err(Violation::new(Property::Acknowledged, text));
        }
        Ok(())
    }

    /// Polls the operation of an observing client.
    pub(super) fn poll_operation(&mut self, index: usize) -> CheckResult {
        match self.nodes[index].step() {
            Some(OperationStep::TableRequest(op, ask)) => {
                self.transmit((index, self.nodes[index].incarnation), op, ask);
                Ok(())
            }
            Some(OperationStep::Done(id, sent_at, reply)) => {
                self.receive_reply(index, id, sent_at, reply)
            }
            None => Ok(()),
        }
    }

    /// A leader checks that it is current and sends a write, which may take long to arrive.
    fn work(&mut self, node: Incarnation, token: FencingToken) {
        if !self.nodes[node.0].leads(token) {
            return;
        }
        let most = if self.rng.random_bool(0.1) { 30.0 } else { 0.3 };
        let delay = self.seconds(most);
        self.after(delay, Event::Register(node, token));
        let pause = self.seconds(3.0);
        self.after(pause, Event::Work(node, token));
    }
}
