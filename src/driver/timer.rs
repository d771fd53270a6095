use std::{
    pin::Pin,
    task::{Context, Poll},
};

use tokio::time::{Sleep, sleep_until};

use crate::clock::{Moment, instant_after};

/// The one timer of a driver, set to moments of the holder's clock.
#[derive(Debug, Default)]
pub(crate) struct Timer(Option<(Moment, Pin<Box<Sleep>>)>);

impl Timer {
    /// Ready at `next`. Always pending if there is no next moment.
    pub(crate) fn poll(
        &mut self,
        next: Option<Moment>,
        now: Moment,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let Some(next) = next else {
            self.0 = None;
            return Poll::Pending;
        };
        let at = || instant_after(now.until(next));
        match &mut self.0 {
            Some((armed, _)) if *armed == next => {}
            Some((armed, sleep)) => {
                *armed = next;
                sleep.as_mut().reset(at());
            }
            None => self.0 = Some((next, Box::pin(sleep_until(at())))),
        }
        let (_, sleep) = self.0.as_mut().expect("armed just now");
        let ready = sleep.as_mut().poll(cx);
        if ready.is_ready() {
            self.0 = None;
        }
        ready
    }

    /// Stops the timer, so that the next poll sets it again.
    pub(crate) fn clear(&mut self) {
        self.0 = None;
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.is_some()
    }
}
