use crate::{
    locks::lock_rules,
    store_under_test::{sqlite, threads},
};

lock_rules!(threads: async { sqlite() });
