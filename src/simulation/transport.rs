//! Delivers requests to the store, and replies to their senders.

use std::time::Duration;

use rand::RngExt as _;

use super::{
    network::Delivery,
    plan::StoreKind,
    table_port::{TableReply, TableRequest},
    world::{Event, Incarnation, World},
};
use crate::{
    clock::Moment,
    election::{Call, Reply, Request, RequestId},
    store::{StoreErrorKind, failure::Failure},
    timing::Timing,
};

impl World {
    fn delivery(&mut self, from: Incarnation) -> Delivery {
        let timing = &self.nodes[from.0].plan.timing;
        let limit = timing.call_timeout();
        let delivery = self.network.delivery(limit, self.store.up, &mut self.rng);
        for (what, happened) in [
            ("duplicate", delivery.again.is_some()),
            ("lost request", delivery.arrives.is_none()),
            (
                "lost reply",
                delivery.arrives.is_some() && delivery.answered.is_none(),
            ),
        ] {
            if happened {
                self.counts.count(what);
            }
        }
        delivery
    }

    /// Sends a request to a store with a clock.
    pub(super) fn post(&mut self, from: Incarnation, request: &Request) {
        let Request {
            id, sent_at, call, ..
        } = request;
        let (id, sent_at) = (*id, *sent_at);
        let delivery = self.delivery(from);
        if let Some(error) = delivery.error {
            let reply = match delivery.arrives {
                None if self.rng.random_bool(0.5) => Reply::Failed,
                _ => Reply::Unknown,
            };
            self.answer(from, id, sent_at, reply, Some(error));
        }
        for (delay, answer) in [
            (delivery.again, None),
            (delivery.arrives, delivery.answered),
        ] {
            if let Some(delay) = delay {
                let arrive = Event::Arrive {
                    from,
                    id,
                    sent_at,
                    call: call.clone(),
                    answer,
                };
                self.after(delay, arrive);
            }
        }
    }

    /// Sends a request of an observing client.
    pub(super) fn transmit(&mut self, from: Incarnation, op: u64, ask: TableRequest) {
        let delivery = self.delivery(from);
        if let Some(error) = delivery.error {
            let kind = match (delivery.arrives, &ask) {
                (None, _) if self.rng.random_bool(0.5) => StoreErrorKind::Unavailable,
                (_, TableRequest::Get) => StoreErrorKind::Unavailable,
                _ => StoreErrorKind::Unknown,
            };
            let told = TableReply::Failed(Failure::new(kind, "the connection is broken"));
            self.after(error, Event::TableReply { to: from, op, told });
        }
        for (delay, answer) in [
            (delivery.again, None),
            (delivery.arrives, delivery.answered),
        ] {
            if let Some(delay) = delay {
                let ask = ask.clone();
                let event = Event::TableRequest {
                    from,
                    op,
                    ask,
                    answer,
                };
                self.after(delay, event);
            }
        }
    }

    pub(super) fn asked(
        &mut self,
        from: Incarnation,
        op: u64,
        ask: TableRequest,
        answer: Option<Duration>,
    ) {
        let told = match &ask {
            TableRequest::Write(change, guard) => {
                TableReply::Written(self.store.write(change, guard))
            }
            TableRequest::Get => TableReply::Got(self.store.get()),
        };
        self.note_holder();
        self.log(|| format!("store takes {ask:?} of node{}: {told:?}", from.0));
        if let Some(delay) = answer {
            self.after(delay, Event::TableReply { to: from, op, told });
        }
    }

    pub(super) fn arrive(
        &mut self,
        from: Incarnation,
        id: RequestId,
        sent_at: Moment,
        call: &Call,
        answer: Option<Duration>,
    ) {
        let reply = self.store.carry_out(call, self.now);
        self.note_holder();
        self.log(|| format!("store answers node{} {reply:?}", from.0));
        if self.plan.store != StoreKind::Replicated {
            return self.answer(from, id, sent_at, reply, answer);
        }
        // A refusal waits until the record that it shows is committed.
        let lag = self.lag(from);
        self.last_commit = self.last_commit.max(self.now + lag.as_nanos() as u64);
        let commit = Event::Commit {
            to: from,
            id,
            sent_at,
            reply,
            answer,
            term: self.store.term,
            record: self.store.record.clone(),
        };
        self.after(Duration::from_nanos(self.last_commit - self.now), commit);
    }

    /// The time until a majority has a write.
    fn lag(&mut self, from: Incarnation) -> Duration {
        let most = if self.faults_stopped {
            // Writes are committed in order.
            self.plan.shortest(Timing::call_timeout).mul_f64(0.025)
        } else {
            let timing = &self.nodes[from.0].plan.timing;
            timing.call_timeout().mul_f64(0.5)
        };
        self.seconds(most.as_secs_f64())
    }

    fn note_holder(&mut self) {
        let record = &self.store.record;
        if let Some(holder) = &record.holder {
            let token = record.token;
            let holders = self.acquired.entry(token.get()).or_default();
            let is_new = holders.insert(holder.clone());
            if is_new {
                self.check_pause(token);
            }
        }
    }

    pub(super) fn answer(
        &mut self,
        to: Incarnation,
        id: RequestId,
        sent_at: Moment,
        reply: Reply,
        delay: Option<Duration>,
    ) {
        if let Some(delay) = delay {
            let answer = Event::Answer {
                to,
                id,
                sent_at,
                reply,
            };
            self.after(delay, answer);
        }
    }
}
