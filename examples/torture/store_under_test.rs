//! The store of a run: its servers, its wires, and what can be done to it.

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

    /// For the supervisor, past all wires.
    fn url(&self) -> String;

    /// For a node, over its wires.
    fn url_of(&self, node: usize) -> String;

    /// Whether challengers judge by their own clocks, from when they first saw a lease, that it has
    /// run out.
    fn is_observed(&self) -> bool;

    /// Begins a fault and says what it is; `None` if that is not possible now.
    fn strike(&mut self, choice: u8) -> Result<Option<String>, Failure>;

    /// Ends the fault.
    fn relieve(&mut self) -> Result<(), Failure>;
}

/// The most nodes that there are.
pub(crate) const NODES: usize = 9;

/// Starts what the store needs, for up to [`NODES`] nodes. It ends when this is dropped.
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
