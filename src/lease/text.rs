use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use super::InvalidName;

macro_rules! text {
    ($(#[$meta:meta])* $name:ident, $what:literal, $max:literal) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// A value with this text. It may be empty and may contain any character.
            ///
            /// # Errors
            #[doc = concat!("[`InvalidName::TooLong`] if the text is longer than ", $max, " bytes.")]
            pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidName> {
                checked($what, text.as_ref(), $max).map(Self)
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(text: String) -> Result<Self, InvalidName> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.as_str().to_owned()
            }
        }
    };
}

text! {
    /// Text of at most 4096 bytes that a holder publishes in its record, for instance its address.
    Metadata, "metadata text", 4096
}

text! {
    /// The text of a register, at most 65,536 bytes.
    RegisterValue, "value of a register", 65_536
}

text! {
    /// Text of at most 256 bytes with which an operator says why a resource is paused.
    #[derive(Default)]
    Note, "note", 256
}

/// The text as a Rust literal, because it may contain line breaks.
impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
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
