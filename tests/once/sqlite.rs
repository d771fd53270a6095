use crate::{
    bed::{sqlite, threads},
    once::once_rules,
};

once_rules!(threads: async { sqlite() });
