//! Wires between the nodes and the store that can be cut, made slow or mute, and closed on one side.
//!
//! The crates that do this drive a proxy of another language, or belong to one database; it is two
//! loops that copy bytes.

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
pub(crate) enum Harm {
    None,
    /// Connections are closed, new ones too.
    Cut,
    /// Bytes stay where they are, and go on when this is over.
    Mute,
    /// Each piece comes so much later.
    Slow(Duration),
    /// Connections that are there are closed in one direction; new ones are as usual.
    HalfClosed(Way),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    ToStore,
    ToNode,
}

/// All wires of all nodes.
#[derive(Clone, Debug)]
pub(crate) struct Wires {
    harms: Arc<Vec<watch::Sender<Harm>>>,
    runtime: Handle,
}

/// By this name, followed by its number, a node is known to a wire that all nodes share.
pub(crate) const NAME: &str = "torture-node-";

impl Wires {
    pub(crate) fn new(nodes: usize, runtime: Handle) -> Self {
        let harms = (0..=nodes).map(|_| watch::Sender::new(Harm::None));
        let harms = Arc::new(harms.collect());
        Self { harms, runtime }
    }

    pub(crate) fn harm(&self, node: usize, harm: Harm) {
        self.harms[node].send_replace(harm);
    }

    /// Lays a wire to a server; it is this node's, or that of whoever says its name in the first
    /// message. Who says none is left alone.
    pub(crate) fn lay(&self, server: u16, node: Option<usize>) -> io::Result<u16> {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = self.runtime.block_on(TcpListener::bind(address))?;
        let port = listener.local_addr()?.port();
        let wires = self.clone();
        self.runtime.spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((near, _)) => drop(tokio::spawn(wires.clone().carry(near, server, node))),
                    // Too many files, for a moment.
                    Err(_) => sleep(Duration::from_millis(10)).await,
                }
            }
        });
        Ok(port)
    }

    /// An error closes the connection, as it would without us.
    async fn carry(self, mut near: TcpStream, server: u16, node: Option<usize>) -> io::Result<()> {
        let mut first = vec![0; 16384];
        let size = near.read(&mut first).await?;
        first.truncate(size);
        let node = node.or_else(|| named(&first)).unwrap_or_default();
        let Some(harm) = self.harms.get(node) else {
            return Ok(());
        };
        if *harm.borrow() == Harm::Cut {
            return Ok(());
        }
        let far = TcpStream::connect(("127.0.0.1", server)).await?;
        near.set_nodelay(true)?;
        far.set_nodelay(true)?;
        let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
        tokio::spawn(pass(far_in, near_out, Way::ToNode, harm.subscribe(), None));
        pass(
            near_in,
            far_out,
            Way::ToStore,
            harm.subscribe(),
            Some(first),
        )
        .await
    }
}

/// The node that gives its name in a message.
fn named(message: &[u8]) -> Option<usize> {
    let at = message
        .windows(NAME.len())
        .position(|at| at == NAME.as_bytes())?;
    let digit = message.get(at + NAME.len())?;
    char::from(*digit).to_digit(10).map(|digit| digit as usize)
}

/// A connection made while others are half closed is a new one: only a change closes it.
async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    way: Way,
    mut harm: watch::Receiver<Harm>,
    mut first: Option<Vec<u8>>,
) -> io::Result<()> {
    let mut buffer = vec![0; 16384];
    loop {
        let piece = match first.take() {
            Some(first) => first,
            None => tokio::select! {
                read = from.read(&mut buffer) => buffer[..read?].to_vec(),
                changed = harm.changed() => {
                    // Gone with the run.
                    if changed.is_err() { return Ok(()) }
                    match *harm.borrow_and_update() {
                        Harm::Cut => return Ok(()),
                        Harm::HalfClosed(closed) if closed == way => break,
                        _ => continue,
                    }
                }
            },
        };
        if piece.is_empty() {
            break;
        }
        let present = *harm.borrow();
        match present {
            Harm::Slow(late) => sleep(late).await,
            Harm::Mute => drop(harm.wait_for(|harm| *harm != Harm::Mute).await),
            _ => {}
        }
        if *harm.borrow() == Harm::Cut {
            return Ok(());
        }
        to.write_all(&piece).await?;
    }
    to.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_known_by_its_name() {
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
