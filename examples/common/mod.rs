//! What the examples that start processes of their own share.

#![allow(dead_code, reason = "no example uses all of it")]

pub(crate) mod capture;
pub(crate) mod children;
pub(crate) mod command_line;
pub(crate) mod failure;
pub(crate) mod intervals;
pub(crate) mod node_id;
pub(crate) mod signals;
