//! A proxy in front of the primary that can lose answers.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use mongodb::options::{ClientOptions, ServerAddress};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

#[derive(Clone, Debug, Default)]
pub(crate) struct Wire {
    /// How many answers to a `findAndModify` to lose, each with its connection.
    pub(crate) cut: Arc<AtomicUsize>,
    /// Whether answers to a `findAndModify` never arrive, on connections that stay open.
    pub(crate) hang: Arc<AtomicBool>,
    /// By how many milliseconds answers to a `findAndModify` and to a `find` are delayed.
    pub(crate) late: Arc<AtomicU64>,
    /// Whether the server pretends to be MongoDB 3.6, by the version of its protocol.
    pub(crate) old: Arc<AtomicBool>,
    /// Whether nothing passes, in either direction, on connections that stay open and on new ones.
    pub(crate) frozen: Arc<AtomicBool>,
}

impl Wire {
    /// Options of a client that reaches the primary only through this proxy.
    pub(crate) async fn lay(&self, primary: String) -> ClientOptions {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let address = self.lay_at(any, primary).await;
        options_of(address)
    }

    pub(crate) async fn lay_at(&self, address: SocketAddr, primary: String) -> SocketAddr {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let wire = self.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect(&primary).await.unwrap();
                tokio::spawn(wire.clone().carry(near, far));
            }
        });
        address
    }

    async fn carry(self, near: TcpStream, far: TcpStream) {
        let (mut near_in, mut near_out) = near.into_split();
        let (mut far_in, mut far_out) = far.into_split();
        let (mut up, mut down) = (vec![0; 65536], vec![0; 65536]);
        let (mut lose, mut swallow, mut late) = (false, false, 0);
        loop {
            tokio::select! {
                read = near_in.read(&mut up) => {
                    let Ok(1..) = read else { return };
                    let sent = &up[..read.unwrap()];
                    if sent.windows(13).any(|word| word == b"findAndModify") {
                        lose = self.cut.fetch_update(SeqCst, SeqCst, |n| n.checked_sub(1)).is_ok();
                        swallow = self.hang.load(SeqCst);
                    }
                    let is_find = sent.windows(4).any(|word| word == b"find");
                    late = if is_find { self.late.load(SeqCst) } else { 0 };
                    self.thaw().await;
                    if far_out.write_all(sent).await.is_err() { return }
                }
                read = far_in.read(&mut down) => {
                    let Ok(size @ 1..) = read else { return };
                    if lose { return }
                    if swallow { continue }
                    self.thaw().await;
                    tokio::time::sleep(Duration::from_millis(late)).await;
                    if self.old.load(SeqCst) { make_old(&mut down[..size]) }
                    if near_out.write_all(&down[..size]).await.is_err() { return }
                }
            }
        }
    }

    async fn thaw(&self) {
        while self.frozen.load(SeqCst) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Options of a client that knows only this address and connects to it directly.
pub(crate) fn options_of(address: SocketAddr) -> ClientOptions {
    let mut options = ClientOptions::default();
    options.hosts = vec![ServerAddress::parse(address.to_string()).unwrap()];
    options.direct_connection = Some(true);
    options
}

fn make_old(answer: &mut [u8]) {
    const FIELD: &[u8] = b"maxWireVersion\0";
    let found = answer.windows(FIELD.len()).position(|at| at == FIELD);
    if let Some(at) = found {
        answer[at + FIELD.len()] = 6;
    }
}
