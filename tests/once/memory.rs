use crate::{
    once::once_rules,
    store_under_test::{memory, paused},
};

once_rules!(paused: async { memory() });
