use crate::{
    election::{Config, Reply},
    lease::{LeaseRecord, Note, StandingInstruction},
};

/// Whether an operator has paused the resource, as the lock last saw it. It logs each change once.
#[derive(Debug, Default)]
pub(super) struct PauseView(Option<Note>);

impl PauseView {
    pub(super) fn note(&self) -> Option<&Note> {
        self.0.as_ref()
    }

    /// Takes note of a reply of the store and of the record in it.
    pub(super) fn handle_reply(
        &mut self,
        config: &Config,
        reply: &Reply,
        record: Option<&LeaseRecord>,
    ) {
        match (reply, record) {
            (_, Some(record)) => {
                let pause = record.pause.as_ref();
                self.show(config, pause.map(|pause| pause.note.clone()));
            }
            (Reply::Renewed { instruction }, None) => {
                let note = match instruction {
                    Some(StandingInstruction::Pause { note }) => Some(note.clone()),
                    _ => None,
                };
                self.show(config, note);
            }
            // A lease that is paused is not granted.
            (Reply::Granted { .. }, None) => self.show(config, None),
            _ => {}
        }
    }

    fn show(&mut self, config: &Config, note: Option<Note>) {
        match (&self.0, &note) {
            (None, Some(note)) => lock_event!(
                info,
                "tenure.paused",
                config,
                note = note.as_str(),
                "an operator has paused the resource, nobody leads until it is resumed: {note}"
            ),
            (Some(_), None) => lock_event!(
                info,
                "tenure.resumed",
                config,
                "an operator has resumed the resource"
            ),
            _ => {}
        }
        self.0 = note;
    }
}
