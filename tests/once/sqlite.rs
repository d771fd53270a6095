use crate::{
    once::once_rules,
    store_under_test::{sqlite, threads},
};

once_rules!(threads: async { sqlite() });
