//! What is done to the nodes: the leader steps down, is killed, is frozen.

use std::{sync::mpsc, time::Duration};

use tenure::{
    Timing,
    clock::{BootClock, Clock as _, Moment},
    timing::POLL_JITTER,
};

use crate::{
    args::Args,
    checks::{Blow, Findings, Frozen},
    failure::Failure,
    history::Term,
    node_id::NodeId,
    process_group::{Message, ProcessGroup},
    processes::Launcher,
    protocol::Command,
    signals,
    store_choice::{Prepared, StoreChoice},
    timeline::Timeline,
};

/// The limit of the whole run, so that all nodes have ended within a minute.
const RUN_LIMIT: Duration = Duration::from_secs(55);
/// The limit for what takes a moment on a machine that is not busy.
const SOON: Duration = Duration::from_secs(10);

/// Plays the scenario and checks the result. No node is left when it returns.
pub(crate) fn run(args: &Args, store: &Prepared) -> Findings {
    let start = BootClock.now();
    let mut findings = Findings::default();
    if let Err(failure) = play(args, store, start, &mut findings) {
        findings.fail(failure.to_string());
    }
    findings.took = start.until(BootClock.now());
    findings
}

fn play(
    args: &Args,
    store: &Prepared,
    start: Moment,
    findings: &mut Findings,
) -> Result<(), Failure> {
    let directory = tempfile::tempdir().map_err(Failure::to("make a directory"))?;
    let (tell, inbox) = mpsc::channel();
    signals::watch(tell.clone(), Message::Interrupted)?;
    let store_choice = match &args.store {
        Some(url) => StoreChoice::Url(url.clone()),
        None => StoreChoice::File(directory.path().join("leases.db")),
    };
    let launcher = Launcher {
        store_choice,
        // A new name, so that records of earlier runs do not matter.
        resource: format!("failover/{:016x}", rand::random::<u64>()),
        ttl: args.ttl,
        tell,
    };
    let timeline = Timeline::new(start, args.json);
    let timing = args.timing();
    // Challengers that observe notice a killed or frozen leader later.
    let longer = if store.observes {
        timing.ttl() * 2
    } else {
        Duration::ZERO
    };
    let group = ProcessGroup::new(launcher, inbox, timeline, start + RUN_LIMIT + longer);
    let mut scenario = Scenario {
        timing,
        observes: store.observes,
        group,
        held_off_until: start,
    };
    let played = scenario.play(args.processes, findings);
    findings.judge(&scenario.group.history);
    findings.held_up = scenario.group.held_up;
    played
}

struct Scenario {
    timing: Timing,
    /// Whether challengers count the ttl from when they first saw the leader's last renewal.
    observes: bool,
    group: ProcessGroup,
    /// Until when the node that stepped down does not contend.
    held_off_until: Moment,
}

impl Scenario {
    fn play(&mut self, processes: u8, findings: &mut Findings) -> Result<(), Failure> {
        for number in 1..=processes.into() {
            self.group.start(NodeId { number, run: 1 })?;
        }
        self.group.next_leader(0, SOON)?;
        findings.blows.push(self.step_down()?);
        findings.blows.push(self.kill()?);
        let (blow, frozen) = self.freeze()?;
        findings.blows.push(blow);
        findings.frozen = Some(frozen);
        self.end()
    }

    /// (a) The leader is asked to step down.
    fn step_down(&mut self) -> Result<Blow, Failure> {
        let leader = self.leader()?;
        let (node, token) = (leader.node, leader.token);
        self.act("(a)", &format!("{} is asked to step down", node.name()));
        let at = BootClock.now();
        let asked = self.group.process(node).command(Command::StepDown);
        asked.map_err(Failure::to("ask a process to step down"))?;
        let next = self.group.next_leader(token, self.long())?;
        let what = format!("{} to step down", node.name());
        let (acknowledged, outcome) = self.group.wait(&what, SOON, |group| {
            let stopped = group.history.find(node, token)?.stopped?;
            let outcome = group.history.step_down(node)?;
            Some((stopped, outcome.to_owned()))
        })?;
        self.held_off_until = acknowledged + self.timing.ttl();
        // The lease is free after this in every store: a release need not be observed.
        let limit = at.until(acknowledged) + self.longest_poll() + self.timing.call_timeout();
        let mut blow = Blow::new("step-down", at, &leader, &next, limit);
        if outcome != "Released" {
            blow.wrong = Some(format!("the lease was not released but {outcome}"));
        }
        Ok(blow)
    }

    /// (b) The leader is killed, and started again when it is dead.
    fn kill(&mut self) -> Result<Blow, Failure> {
        let leader = self.leader()?;
        let (NodeId { number, run }, node) = (leader.node, leader.node);
        self.act("(b)", &format!("SIGKILL to {}", node.name()));
        self.group.dismiss(node);
        let at = BootClock.now();
        let dead = self.group.process(node).kill();
        let dead = dead.map_err(Failure::to("kill a process"))?;
        self.group.last_word(node, SOON)?;
        self.group.history.died(node, dead);
        let leader = self.again(&leader);
        let run = run + 1;
        self.act(
            "(b)",
            &format!("{} is dead, and is started again", node.name()),
        );
        self.group.start(NodeId { number, run })?;
        let next = self.group.next_leader(leader.token, self.long())?;
        let limit = self.rest_of_ttl(&leader, at);
        Ok(Blow::new("SIGKILL", at, &leader, &next, limit))
    }

    /// (c) The leader is frozen for longer than its ttl, and continued when another leads.
    fn freeze(&mut self) -> Result<(Blow, Frozen), Failure> {
        let leader = self.leader()?;
        let (node, token) = (leader.node, leader.token);
        self.act("(c)", &format!("SIGSTOP to {}", node.name()));
        let at = BootClock.now();
        let frozen = self.group.process(node).freeze();
        frozen.map_err(Failure::to("stop a process"))?;
        let next = self.group.next_leader(token, self.long())?;
        let thaw_at =
            next.told.unwrap_or(at).max(at + self.timing.ttl()) + self.timing.renew_every() / 2;
        self.pause(thaw_at)?;
        self.act("(c)", &format!("SIGCONT to {}", node.name()));
        // Taken before the signal, so that every call after the signal starts later.
        let thawed = BootClock.now();
        let woken = self.group.process(node).unfreeze();
        woken.map_err(Failure::to("continue a process"))?;
        let what = format!("is_current() of {} to return false", node.name());
        let lapse = self.group.wait(&what, SOON, |group| {
            let term = group.history.find(node, token)?;
            term.stopped?;
            term.lapse
        })?;
        let leader = self.again(&leader);
        let limit = self.rest_of_ttl(&leader, at);
        let blow = Blow::new("SIGSTOP", at, &leader, &next, limit);
        Ok((
            blow,
            Frozen {
                node,
                thawed,
                lapse,
            },
        ))
    }

    /// Shuts down every node, so that all of their output has arrived.
    fn end(&mut self) -> Result<(), Failure> {
        self.act("end", "all are asked to shut down");
        for id in self.group.nodes() {
            self.group.dismiss(id);
            let asked = self.group.process(id).command(Command::Shutdown);
            asked.map_err(Failure::to("ask a process to shut down"))?;
        }
        for id in self.group.nodes() {
            self.group.last_word(id, SOON)?;
            let status = self.group.process(id).reap();
            let status = status.map_err(Failure::to("wait for a process"))?;
            if !status.success() {
                let (name, how) = (id.name(), format!("did not shut down cleanly: {status}"));
                return Err(Failure::Ended { name, how });
            }
        }
        Ok(())
    }

    /// The leader, at a moment when all others contend and it has no request in flight: well after one
    /// renewal and before the next. Then its log agrees with the store, and it is not frozen in the
    /// middle of a write, which in SQLite would delay all others.
    fn leader(&mut self) -> Result<Term, Failure> {
        let (every, held_off_until) = (self.timing.renew_every(), self.held_off_until);
        let what = "a leader between two renewals, with all others contending";
        self.group.wait(what, self.long(), |group| {
            let now = BootClock.now();
            let leader = group.history.leader()?;
            let since = leader.extended?.until(now);
            let calm = (every.mul_f64(0.3)..every.mul_f64(0.6)).contains(&since);
            let contend = group.all_ready() && held_off_until <= now;
            (calm && contend).then(|| leader.clone())
        })
    }

    /// What is known of a term by now.
    fn again(&self, term: &Term) -> Term {
        let known = self.group.history.find(term.node, term.token);
        known.unwrap_or(term).clone()
    }

    /// How long the lease of a leader lasts that can no longer release it, and a little more for the
    /// others to notice: their bids are timed for its end, with a jitter that grows with the ttl.
    ///
    /// If challengers observe, the last renewal may have come right after their last bid. They see it with
    /// the next bid, a poll with its jitter and a request later, and count a ttl from there.
    fn rest_of_ttl(&self, leader: &Term, at: Moment) -> Duration {
        let logged = leader.deadline.unwrap_or(at) + self.timing.margin();
        // A deadline that is too late must not excuse a next leader that is too late.
        let expiry = logged.min(leader.extended.unwrap_or(at) + self.timing.ttl());
        let seen_later = if self.observes {
            self.longest_poll() + self.timing.call_timeout()
        } else {
            Duration::ZERO
        };
        at.until(expiry + seen_later) + (self.timing.ttl() / 10).max(Duration::from_millis(300))
    }

    fn longest_poll(&self) -> Duration {
        self.timing.poll_every().mul_f64(1.0 + POLL_JITTER)
    }

    /// More than any change of leaders takes.
    fn long(&self) -> Duration {
        self.timing.ttl() * 2 + SOON
    }

    fn pause(&mut self, until: Moment) -> Result<(), Failure> {
        let reached = |_: &ProcessGroup| (until <= BootClock.now()).then_some(());
        self.group.wait("time to pass", self.long(), reached)
    }

    fn act(&self, step: &str, text: &str) {
        self.group.timeline.act(step, text);
    }
}
