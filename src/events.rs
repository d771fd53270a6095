//! The macros that write the crate's events to `tracing`. The crate's documentation has a table of all
//! events, and a test compares it with the code.

/// Writes an event of this name, which is also its field `event`, under the target `tenure`.
macro_rules! event {
    ($level:ident, $name:literal, $($rest:tt)+) => {
        tracing::$level!(name: $name, target: "tenure", event = $name, $($rest)+)
    };
}

/// Writes an event of a lock: [`event!`] with the lock's resource and candidate.
macro_rules! lock_event {
    ($level:ident, $name:literal, $config:expr, $($rest:tt)+) => {
        event!(
            $level,
            $name,
            resource = %$config.resource,
            candidate = %$config.candidate,
            $($rest)+
        )
    };
}
