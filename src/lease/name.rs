use std::{convert::Infallible, fmt, str::FromStr, sync::Arc, time::SystemTime};

use rand::{TryRng as _, rngs::SysRng};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why a name, a candidate id, a scope, metadata or a note was rejected.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidName {
    /// It is empty.
    #[error("a {what} is empty: give it 1 to {max} bytes")]
    Empty {
        /// What it names, for example `resource name`.
        what: &'static str,
        /// The largest length, in bytes.
        max: usize,
    },
    /// It is too long.
    #[error("a {what} of {len} bytes is too long: at most {max} bytes are allowed")]
    TooLong {
        /// What it names, for example `resource name`.
        what: &'static str,
        /// Its length, in bytes.
        len: usize,
        /// The largest length, in bytes.
        max: usize,
    },
    /// It contains a control character.
    #[error("a {what} contains the control character {character:?} at byte {at}: remove it")]
    ControlCharacter {
        /// What it names, for example `resource name`.
        what: &'static str,
        /// The control character.
        character: char,
        /// The position of its first byte, counted from 0.
        at: usize,
    },
}

impl From<Infallible> for InvalidName {
    /// A value that already is a name is never rejected.
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

const MAX_NAME: usize = 255;

fn check(what: &'static str, text: &str) -> Result<(), InvalidName> {
    let (len, max) = (text.len(), MAX_NAME);
    if text.is_empty() {
        return Err(InvalidName::Empty { what, max });
    }
    if len > max {
        return Err(InvalidName::TooLong { what, len, max });
    }
    match text.char_indices().find(|(_, c)| c.is_control()) {
        Some((at, character)) => Err(InvalidName::ControlCharacter {
            what,
            character,
            at,
        }),
        None => Ok(()),
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// A name with this text.
            ///
            /// # Errors
            /// [`InvalidName`] if the text is empty, longer than 255 bytes or contains a control character.
            pub fn new(name: impl AsRef<str>) -> Result<Self, InvalidName> {
                let name = name.as_ref();
                check($what, name)?;
                Ok(Self(name.into()))
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(name: String) -> Result<Self, InvalidName> {
                Self::new(name)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = InvalidName;
            fn try_from(name: &str) -> Result<Self, InvalidName> {
                Self::new(name)
            }
        }

        impl TryFrom<&$name> for $name {
            type Error = InvalidName;
            fn try_from(name: &$name) -> Result<Self, InvalidName> {
                Ok(name.clone())
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;
            fn from_str(name: &str) -> Result<Self, InvalidName> {
                Self::new(name)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.as_str().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }
    };
}

name! {
    /// The name of a resource that has one leader: 1 to 255 bytes of UTF-8 without control characters.
    ///
    /// `/` separates the parts of a path: `jobs/nightly` is in the [`Scope`] `jobs/`.
    ///
    /// ```
    /// # use tenure::lease::ResourceName;
    /// let name = ResourceName::new("jobs/nightly")?;
    /// assert_eq!(name.scope().to_string(), "jobs/");
    /// assert!(ResourceName::new("two\nlines").is_err());
    /// # Ok::<(), tenure::lease::InvalidName>(())
    /// ```
    ResourceName, "resource name"
}

name! {
    /// The id of one contender: 1 to 255 bytes of UTF-8 without control characters.
    ///
    /// Choose one that is unique for each start of a process; a host name alone is not.
    /// [`CandidateId::generate`] makes one, which is the default. Set your own only if operators know your
    /// processes by better names. Two processes with the same id still exclude each other.
    CandidateId, "candidate id"
}

impl ResourceName {
    /// The scope that the name is in: the name up to and including its last `/`.
    #[must_use]
    pub fn scope(&self) -> Scope {
        let end = self.0.rfind('/').map_or(0, |slash| slash + 1);
        Scope(self.0[..end].into())
    }
}

impl CandidateId {
    /// A new id, `host-pid-random`. The random part is 32 bits, drawn from the operating system.
    ///
    /// A host name of more than 200 bytes is cut off.
    #[must_use]
    pub fn generate() -> Self {
        Self::generate_for(&Self::of_host())
    }

    /// A new id, `name-pid-random`.
    pub(crate) fn generate_for(name: &Self) -> Self {
        let mut name = name.as_str().to_owned();
        while name.len() > 200 {
            name.pop();
        }
        let random = SysRng.try_next_u32().unwrap_or_else(|_| wall_clock_nanos());
        Self(format!("{name}-{}-{random:08x}", std::process::id()).into())
    }

    /// The name of the host, which all processes of the host share.
    pub(crate) fn of_host() -> Self {
        let host = gethostname::gethostname();
        let mut host: String = host.to_string_lossy().replace(char::is_control, "");
        while host.len() > MAX_NAME {
            host.pop();
        }
        if host.is_empty() {
            Self("localhost".into())
        } else {
            Self(host.into())
        }
    }
}

/// Replaces the random bits if the operating system gives none.
fn wall_clock_nanos() -> u32 {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    since.as_nanos() as u32
}

/// The path that a [`ResourceName`] is in: the name up to and including its last `/`.
///
/// The scope of a name without a `/` is the [root](Scope::root).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Scope(Arc<str>);

impl Scope {
    /// The scope of the names that have no `/`.
    #[must_use]
    pub fn root() -> Self {
        Self("".into())
    }

    /// The scope of the names directly under `path`, with or without a `/` at its end.
    ///
    /// # Errors
    /// [`InvalidName`] if the path is empty, longer than 255 bytes or contains a control character.
    pub fn new(path: impl AsRef<str>) -> Result<Self, InvalidName> {
        let path = path.as_ref();
        check("scope", path)?;
        Ok(if path.ends_with('/') {
            Self(path.into())
        } else {
            Self(format!("{path}/").into())
        })
    }

    /// The scope as a prefix of the names in it: empty, or ending with `/`.
    #[must_use]
    pub fn as_prefix(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_1_to_255_bytes_and_no_control_character() {
        assert!(matches!(
            ResourceName::new(""),
            Err(InvalidName::Empty { max: 255, .. })
        ));
        assert!(ResourceName::new("x".repeat(255)).is_ok());
        assert!(matches!(
            ResourceName::new("ä".repeat(128)),
            Err(InvalidName::TooLong { len: 256, .. })
        ));
        for bad in ["a\0", "a\n", "a\u{7f}", "a\u{85}"] {
            assert!(matches!(
                CandidateId::new(bad),
                Err(InvalidName::ControlCharacter { at: 1, .. })
            ));
        }
        assert!(ResourceName::new("räume/größe 🔑:*?%'\"\\").is_ok());
    }

    #[test]
    fn an_error_says_what_is_wrong_where_and_what_to_do() {
        let error = ResourceName::new("a\tb").unwrap_err().to_string();
        assert_eq!(
            error,
            "a resource name contains the control character '\\t' at byte 1: remove it"
        );
    }

    #[test]
    fn names_that_differ_only_by_a_leading_slash_are_in_different_scopes() {
        let scope = |name: &str| ResourceName::new(name).unwrap().scope();
        assert_eq!(scope("a"), Scope::root());
        assert_eq!(scope("/a").as_prefix(), "/");
        assert_eq!(scope("jobs/eu/nightly"), Scope::new("jobs/eu").unwrap());
        assert_eq!(Scope::new("jobs/").unwrap(), Scope::new("jobs").unwrap());
    }

    #[test]
    fn generated_ids_differ_within_one_process() {
        assert_ne!(CandidateId::generate(), CandidateId::generate());
        let pid = std::process::id().to_string();
        assert!(CandidateId::generate().as_str().contains(&pid));
    }

    #[test]
    fn deserializing_checks_names() {
        let name: ResourceName = serde_json::from_str("\"a/b\"").unwrap();
        assert_eq!(serde_json::to_string(&name).unwrap(), "\"a/b\"");
        assert!(serde_json::from_str::<ResourceName>("\"\"").is_err());
    }
}
