//! A proxy in front of a server that counts requests and can lose answers.

use std::{
    mem,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::support::Server;

#[derive(Clone, Debug, Default)]
pub(crate) struct Wire {
    /// How many answers to an `UpdateItem` to lose, each with its connection.
    pub(crate) cut: Arc<AtomicUsize>,
    /// Whether answers never arrive, on connections that stay open.
    pub(crate) hang: Arc<AtomicBool>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Wire {
    /// A URL at which the server can be reached through this proxy.
    pub(crate) async fn lay(&self, server: Server) -> String {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        format!("http://{}", self.lay_at(any, server).await)
    }

    pub(crate) async fn lay_at(&self, address: SocketAddr, server: Server) -> SocketAddr {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (wire, far) = (self.clone(), server.url());
        let far = far.strip_prefix("http://").unwrap().to_owned();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect(&far).await.unwrap();
                tokio::spawn(wire.clone().carry(near, far));
            }
        });
        address
    }

    /// The operations that were sent since the last call.
    pub(crate) fn requests(&self) -> Vec<String> {
        mem::take(&mut self.requests.lock().unwrap())
    }

    async fn carry(self, near: TcpStream, far: TcpStream) {
        let (mut near_in, mut near_out) = near.into_split();
        let (mut far_in, mut far_out) = far.into_split();
        let (mut up, mut down) = (vec![0; 65536], vec![0; 65536]);
        let (mut lose, mut swallow) = (false, false);
        loop {
            tokio::select! {
                read = near_in.read(&mut up) => {
                    let Ok(1..) = read else { return };
                    let sent = &up[..read.unwrap()];
                    if let Some(operation) = operation(sent) {
                        lose = operation == "UpdateItem"
                            && self.cut.fetch_update(SeqCst, SeqCst, |n| n.checked_sub(1)).is_ok();
                        swallow = self.hang.load(SeqCst);
                        self.requests.lock().unwrap().push(operation);
                    }
                    if far_out.write_all(sent).await.is_err() { return }
                }
                read = far_in.read(&mut down) => {
                    let Ok(1..) = read else { return };
                    if lose { return }
                    if swallow { continue }
                    if near_out.write_all(&down[..read.unwrap()]).await.is_err() { return }
                }
            }
        }
    }
}

/// The operation that the head of a request names.
fn operation(sent: &[u8]) -> Option<String> {
    let sent = String::from_utf8_lossy(sent);
    let (_, rest) = sent.split_once("DynamoDB_20120810.")?;
    let end = rest.find(|c: char| !c.is_ascii_alphabetic())?;
    Some(rest[..end].to_owned())
}
