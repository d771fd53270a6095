use std::{sync::Arc, time::Duration};

use tenure::{Fault, FaultyStore};

use crate::{
    bed::{Bed, memory, paused},
    locks::lock_rules,
};

async fn bed() -> Bed {
    let mut bed = memory();
    // The first of the two takes time, so that there is something to cancel.
    let slow = FaultyStore::new(bed.stores[0].clone());
    slow.always(Fault::Delay(Duration::from_millis(6)));
    bed.stores[0] = Arc::new(slow);
    bed
}

lock_rules!(paused: bed());
