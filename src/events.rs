//! The events that the crate writes to `tracing`. The crate's documentation lists all of them, and a
//! test compares that table with the code.

/// Writes an event of this name, which is also its field `event`, under the target `tenure`.
macro_rules! event {
    ($level:ident, $name:literal, $($rest:tt)+) => {
        tracing::$level!(name: $name, target: "tenure", event = $name, $($rest)+)
    };
}
