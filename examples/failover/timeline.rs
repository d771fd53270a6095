//! What happens, line by line, while it happens.

use std::io::{self, IsTerminal as _, Write as _};

use tenure::clock::{BootClock, Clock as _, Moment};

use crate::{capture::Logged, node_id::NodeId, protocol::Event};

const BOLD: &str = "1";
const GREEN: &str = "32";
const YELLOW: &str = "33";

/// Prints lines with the time since the start, unless it is silent.
#[derive(Debug)]
pub(crate) struct Timeline {
    start: Moment,
    silent: bool,
    colours: bool,
}

impl Timeline {
    pub(crate) fn new(start: Moment, silent: bool) -> Self {
        Self {
            start,
            silent,
            colours: io::stdout().is_terminal(),
        }
    }

    /// What is done to the nodes.
    pub(crate) fn act(&self, step: &str, text: &str) {
        self.line(BootClock.now(), step, text, BOLD);
    }

    /// What a node reports: when it leads, when it follows, and warnings.
    pub(crate) fn node(&self, id: NodeId, event: &Event) {
        let name = id.name();
        match event {
            Event::Leads { token, at } => {
                let text = format!("leads, token {token}");
                self.line(Moment::from_nanos(*at), &name, &text, GREEN);
            }
            Event::Follows { reason, at, .. } => {
                let text = format!("follows: {reason}");
                self.line(Moment::from_nanos(*at), &name, &text, "");
            }
            Event::Logged(Logged::Warned { text }) => {
                self.line(BootClock.now(), &name, text, YELLOW);
            }
            // A line of its own for an involuntary end would repeat `Follows`.
            Event::Logged(
                Logged::LostLeadership { .. } | Logged::Extended { .. } | Logged::Ended { .. },
            )
            | Event::Lapsed { .. }
            | Event::SteppedDown { .. } => {}
        }
    }

    fn line(&self, at: Moment, who: &str, text: &str, colour: &str) {
        if self.silent {
            return;
        }
        let seconds = self.start.until(at).as_secs_f64();
        let (on, off) = if self.colours && !colour.is_empty() {
            (format!("\x1b[{colour}m"), "\x1b[0m")
        } else {
            (String::new(), "")
        };
        // If stdout is closed, the run goes on, so that the nodes are ended in order.
        let _ = writeln!(io::stdout(), "{seconds:7.2} s  {on}{who:<6}  {text}{off}");
    }
}
