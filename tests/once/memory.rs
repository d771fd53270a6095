use crate::{
    bed::{memory, paused},
    once::once_rules,
};

once_rules!(paused: async { memory() });
