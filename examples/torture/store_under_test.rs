//! The store of a run: its servers, their proxies, and the faults that it can have.

#[cfg(feature = "dynamodb")]
mod dynamodb;
#[cfg(feature = "mongodb")]
mod mongodb;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::{path::Path, time::Duration};

use tokio::runtime::Handle;

use crate::{args::Kind, failure::Failure, proxies::Proxies};

pub(crate) trait StoreUnderTest {
    /// The ttls that leases may have.
    fn ttls(&self) -> &'static [Duration];

    /// The URL for the supervisor, without a proxy.
    fn url(&self) -> String;

    /// The URL for a node, through its proxies.
    fn url_of(&self, node: usize) -> String;

    /// Whether challengers judge the expiry of a lease by their own clocks, from when they first saw it.
    fn is_observed(&self) -> bool;

    /// Begins a fault and says what it is; `None` if that is not possible now.
    fn strike(&mut self, choice: u8) -> Result<Option<String>, Failure>;

    /// Ends the fault.
    fn relieve(&mut self) -> Result<(), Failure>;
}

/// The largest number of nodes.
pub(crate) const NODES: usize = 9;

/// Starts what the store needs, for up to [`NODES`] nodes. Dropping the result ends it.
pub(crate) fn make(
    kind: Kind,
    folder: &Path,
    runtime: &Handle,
) -> Result<(Box<dyn StoreUnderTest>, Option<Proxies>), Failure> {
    match kind {
        #[cfg(feature = "sqlite")]
        Kind::Sqlite => Ok((Box::new(sqlite::File::new(folder)), None)),
        #[cfg(feature = "mongodb")]
        Kind::Mongodb => {
            let proxies = Proxies::new(NODES + mongodb::MEMBERS, runtime.clone());
            let set = mongodb::Set::start(folder, &proxies, runtime)?;
            Ok((Box::new(set), Some(proxies)))
        }
        #[cfg(feature = "dynamodb")]
        Kind::Dynamodb => {
            let proxies = Proxies::new(NODES, runtime.clone());
            let server = dynamodb::Server::start(&proxies)?;
            Ok((Box::new(server), Some(proxies)))
        }
    }
}
