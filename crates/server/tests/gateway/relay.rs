//! A relay between the gateway and its emulator, which holds back answers until the test lets them through:
//! an upstream stays silent for as long as the client needs to see what silence brings, on any machine.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::rig::Rig;

pub(crate) struct Relay {
    is_open: watch::Sender<bool>,
    accepting: actix_rt::task::JoinHandle<()>,
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Relay {
    /// A gateway whose calls go through a relay that is closed.
    pub(crate) async fn start(yaml: &str) -> (Rig, Self) {
        let options = emulator::Options { pace: Duration::ZERO, ..emulator::Options::default() };
        let emulator = emulator::start(options).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (is_open, gate) = watch::channel(false);
        let accepting = actix_rt::spawn(accept(listener, emulator.addr(), gate));
        let rig = Rig::between(emulator, &url, yaml).await;
        (rig, Self { is_open, accepting })
    }

    /// Lets answers through.
    pub(crate) fn open(&self) {
        self.is_open.send_replace(true);
    }

    /// Holds answers back from now on.
    pub(crate) fn close(&self) {
        self.is_open.send_replace(false);
    }
}

async fn accept(listener: TcpListener, upstream: SocketAddr, gate: watch::Receiver<bool>) {
    while let Ok((client, _)) = listener.accept().await {
        let server = TcpStream::connect(upstream).await.unwrap();
        let (asking, answering) = client.into_split();
        let (answers, questions) = server.into_split();
        actix_rt::spawn(pass(asking, questions, None));
        actix_rt::spawn(pass(answers, answering, Some(gate.clone())));
    }
}

/// Copies bytes until either side closes; waits before each write until `gate` is open.
async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut gate: Option<watch::Receiver<bool>>,
) {
    let mut piece = [0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut piece).await {
        if let Some(gate) = &mut gate
            && gate.wait_for(|is_open| *is_open).await.is_err()
        {
            return;
        }
        if to.write_all(&piece[..read]).await.is_err() {
            return;
        }
    }
}
