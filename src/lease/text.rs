use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use super::InvalidName;

/// Text of at most 4096 bytes that a holder publishes in its record, for instance its address.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Metadata(Arc<str>);

impl Metadata {
    /// Metadata with this text. It may be empty and may contain any character.
    ///
    /// # Errors
    /// [`InvalidName::TooLong`] if the text is longer than 4096 bytes.
    pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidName> {
        checked("metadata text", text.as_ref(), 4096).map(Self)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Metadata {
    type Error = InvalidName;
    fn try_from(text: String) -> Result<Self, InvalidName> {
        Self::new(text)
    }
}

impl From<Metadata> for String {
    fn from(metadata: Metadata) -> String {
        metadata.as_str().to_owned()
    }
}

/// The text of a register, at most 65,536 bytes.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RegisterValue(Arc<str>);

impl RegisterValue {
    /// A value with this text. It may be empty and may contain any character.
    ///
    /// # Errors
    /// [`InvalidName::TooLong`] if the text is longer than 65,536 bytes.
    pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidName> {
        checked("value of a register", text.as_ref(), 65_536).map(Self)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for RegisterValue {
    type Error = InvalidName;
    fn try_from(text: String) -> Result<Self, InvalidName> {
        Self::new(text)
    }
}

impl From<RegisterValue> for String {
    fn from(value: RegisterValue) -> String {
        value.as_str().to_owned()
    }
}

/// Text of at most 256 bytes with which an operator says why a resource is paused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Note(Arc<str>);

impl Note {
    /// A note with this text. It may be empty and may contain any character.
    ///
    /// # Errors
    /// [`InvalidName::TooLong`] if the text is longer than 256 bytes.
    pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidName> {
        checked("note", text.as_ref(), 256).map(Self)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The text as a Rust literal, because it may contain line breaks.
impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl TryFrom<String> for Note {
    type Error = InvalidName;
    fn try_from(text: String) -> Result<Self, InvalidName> {
        Self::new(text)
    }
}

impl From<Note> for String {
    fn from(note: Note) -> String {
        note.as_str().to_owned()
    }
}

fn checked(what: &'static str, text: &str, max: usize) -> Result<Arc<str>, InvalidName> {
    match text.len() {
        len if len > max => Err(InvalidName::TooLong { what, len, max }),
        _ => Ok(text.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_at_most_its_documented_length() {
        assert!(Metadata::new("x".repeat(4096)).is_ok());
        assert!(Metadata::new("x".repeat(4097)).is_err());
        assert!(Note::new("x".repeat(256)).is_ok());
        assert!(RegisterValue::new("x".repeat(65_536)).is_ok());
        assert!(RegisterValue::new("x".repeat(65_537)).is_err());
        let error = Note::new("x".repeat(257)).unwrap_err().to_string();
        assert_eq!(
            error,
            "a note of 257 bytes is too long: at most 256 bytes are allowed"
        );
    }
}
