use crate::{
    bed::{sqlite, threads},
    locks::lock_rules,
};

lock_rules!(threads: async { sqlite() });
