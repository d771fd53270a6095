//! Proxies between the nodes and the store, which can be cut, muted, slowed down, and half-closed.
//!
//! Existing crates control a proxy in another language, or belong to one database. This is two loops that copy
//! bytes.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    runtime::Handle,
    sync::watch,
    time::sleep,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProxyFault {
    None,
    /// Connections are closed, new ones, too.
    Cut,
    /// Bytes wait, and are delivered when the fault is over.
    Mute,
    /// Each piece is delayed by this.
    Slow(Duration),
    /// Existing connections are closed in one direction; new ones work.
    HalfClosed(Direction),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    ToStore,
    ToNode,
}

/// All proxies of all nodes.
#[derive(Clone, Debug)]
pub(crate) struct Proxies {
    faults: Arc<Vec<watch::Sender<ProxyFault>>>,
    runtime: Handle,
}

/// The owner of a connection: the number of a node, or a number that no node has.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Owner {
    Only(usize),
    /// The node whose name is in the first message of the connection, or this number if there is none.
    Named {
        or: usize,
    },
}

/// The prefix of the name by which a shared proxy recognizes a node.
pub(crate) const NAME: &str = "torture-node-";

impl Proxies {
    /// Proxies for the owners 0 to `last`.
    pub(crate) fn new(last: usize, runtime: Handle) -> Self {
        let faults = (0..=last).map(|_| watch::Sender::new(ProxyFault::None));
        let faults = Arc::new(faults.collect());
        Self { faults, runtime }
    }

    pub(crate) fn fault(&self, owner: usize, fault: ProxyFault) {
        self.faults[owner].send_replace(fault);
    }

    /// Starts a proxy for a server, and returns its port.
    pub(crate) fn start(&self, server: u16, owner: Owner) -> io::Result<u16> {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = self.runtime.block_on(TcpListener::bind(address))?;
        let port = listener.local_addr()?.port();
        let proxies = self.clone();
        self.runtime.spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((near, _)) => drop(tokio::spawn(proxies.clone().carry(near, server, owner))),
                    // Too many open files, for a moment.
                    Err(_) => sleep(Duration::from_millis(10)).await,
                }
            }
        });
        Ok(port)
    }

    /// An error closes the connection, as it would without a proxy.
    async fn carry(self, mut near: TcpStream, server: u16, owner: Owner) -> io::Result<()> {
        let mut first = vec![0; 16384];
        let size = near.read(&mut first).await?;
        first.truncate(size);
        let owner = match owner {
            Owner::Only(owner) => owner,
            Owner::Named { or } => named(&first).unwrap_or(or),
        };
        let Some(fault) = self.faults.get(owner) else {
            return Ok(());
        };
        if *fault.borrow() == ProxyFault::Cut {
            return Ok(());
        }
        let far = TcpStream::connect(("127.0.0.1", server)).await?;
        near.set_nodelay(true)?;
        far.set_nodelay(true)?;
        let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
        tokio::spawn(pass(
            far_in,
            near_out,
            Direction::ToNode,
            fault.subscribe(),
            None,
        ));
        pass(
            near_in,
            far_out,
            Direction::ToStore,
            fault.subscribe(),
            Some(first),
        )
        .await
    }
}

/// The number of the node whose name is in a message.
fn named(message: &[u8]) -> Option<usize> {
    let at = message
        .windows(NAME.len())
        .position(|at| at == NAME.as_bytes())?;
    let digit = message.get(at + NAME.len())?;
    char::from(*digit).to_digit(10).map(|digit| digit as usize)
}

/// Copies one direction. Only a change of the fault half-closes it, so a connection that is made during the
/// fault works.
async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    way: Direction,
    mut fault: watch::Receiver<ProxyFault>,
    mut first: Option<Vec<u8>>,
) -> io::Result<()> {
    let mut buffer = vec![0; 16384];
    loop {
        let piece = match first.take() {
            Some(first) => first,
            None => tokio::select! {
                read = from.read(&mut buffer) => buffer[..read?].to_vec(),
                changed = fault.changed() => {
                    // The run is over.
                    if changed.is_err() { return Ok(()) }
                    match *fault.borrow_and_update() {
                        ProxyFault::Cut => return Ok(()),
                        ProxyFault::HalfClosed(closed) if closed == way => break,
                        _ => continue,
                    }
                }
            },
        };
        if piece.is_empty() {
            break;
        }
        let present = *fault.borrow();
        match present {
            ProxyFault::Slow(late) => sleep(late).await,
            ProxyFault::Mute => drop(fault.wait_for(|fault| *fault != ProxyFault::Mute).await),
            _ => {}
        }
        if *fault.borrow() == ProxyFault::Cut {
            return Ok(());
        }
        to.write_all(&piece).await?;
    }
    to.shutdown().await
}

#[cfg(test)]
mod tests {
    use std::{
        io::{ErrorKind, Read as _, Write as _},
        net,
    };

    use super::*;

    const SHORT: Duration = Duration::from_millis(100);
    const LONG: Duration = Duration::from_secs(10);

    /// The end of the node, that of the server, and what is between them.
    struct Line {
        near: net::TcpStream,
        far: net::TcpStream,
        proxies: Proxies,
        _runtime: tokio::runtime::Runtime,
    }

    /// Connects through a proxy of node 1, and sends a byte from each end.
    fn line() -> Line {
        let runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = { runtime }.worker_threads(1).enable_all().build().unwrap();
        let proxies = Proxies::new(1, runtime.handle().clone());
        let server = net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = proxies.start(server.local_addr().unwrap().port(), Owner::Only(1));
        let near = net::TcpStream::connect(("127.0.0.1", port.unwrap())).unwrap();
        (&near).write_all(b"1").unwrap();
        let (far, _) = server.accept().unwrap();
        let mut line = Line {
            near,
            far,
            proxies,
            _runtime: runtime,
        };
        assert_eq!(received(&mut line.far, LONG), Some(vec![b'1']));
        line.far.write_all(b"2").unwrap();
        assert_eq!(received(&mut line.near, LONG), Some(vec![b'2']));
        line
    }

    /// `None` if nothing arrives in time; empty if the other side is closed.
    fn received(end: &mut net::TcpStream, limit: Duration) -> Option<Vec<u8>> {
        end.set_read_timeout(Some(limit)).unwrap();
        let mut buffer = [0; 16];
        match end.read(&mut buffer) {
            Ok(size) => Some(buffer[..size].to_vec()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(_) => Some(Vec::new()),
        }
    }

    #[test]
    fn a_cut_connection_is_closed_for_both_sides() {
        let mut line = line();
        line.proxies.fault(1, ProxyFault::Cut);
        assert_eq!(received(&mut line.near, LONG), Some(Vec::new()));
        assert_eq!(received(&mut line.far, LONG), Some(Vec::new()));
    }

    #[test]
    fn a_muted_proxy_delivers_when_the_fault_is_over() {
        let mut line = line();
        line.proxies.fault(1, ProxyFault::Mute);
        line.near.write_all(b"3").unwrap();
        assert_eq!(received(&mut line.far, SHORT), None);
        line.proxies.fault(1, ProxyFault::None);
        assert_eq!(received(&mut line.far, LONG), Some(vec![b'3']));
    }

    #[test]
    fn a_half_closed_connection_still_works_in_the_other_direction() {
        let mut line = line();
        line.proxies
            .fault(1, ProxyFault::HalfClosed(Direction::ToNode));
        assert_eq!(received(&mut line.near, LONG), Some(Vec::new()));
        line.near.write_all(b"3").unwrap();
        assert_eq!(received(&mut line.far, LONG), Some(vec![b'3']));
    }

    #[test]
    fn a_fault_does_not_affect_the_connections_of_another_node() {
        let mut line = line();
        line.proxies.fault(0, ProxyFault::Cut);
        line.near.write_all(b"3").unwrap();
        assert_eq!(received(&mut line.far, LONG), Some(vec![b'3']));
    }

    #[test]
    fn a_node_is_recognized_by_its_name() {
        assert_eq!(named(b"\x07name\0torture-node-7\0"), Some(7));
        for message in [
            &b"torture-node-"[..],
            b"torture-node",
            b"",
            b"torture-node-x",
        ] {
            assert_eq!(named(message), None, "{message:?}");
        }
    }
}
