//! Starts and stops an emulator. It runs on a thread of its own, so that a blocking test or an embedding
//! server with its own actix system cannot starve it.

use std::{
    any::Any,
    io,
    net::{SocketAddr, TcpListener},
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use actix_web::{App, HttpServer, dev::ServerHandle, rt::net::TcpStream, web};
use tokio::sync::oneshot;

use crate::{
    delivery::Connection,
    journal::Journal,
    options::Options,
    routes::{self, State},
    script::Script,
};

/// Slightly above Bedrock's body limit of 25 million bytes, so that the limit can be reported.
const BODY_LIMIT: usize = 32 * 1024 * 1024;
/// Longest time for a client to send its request headers.
const SLOW_CLIENT: Duration = Duration::from_secs(60);

/// A started emulator. Dropping it stops it too, without waiting.
pub struct Running {
    addr: SocketAddr,
    script: Script,
    journal: Journal,
    handle: ServerHandle,
    thread: Option<JoinHandle<()>>,
    stopped: Option<oneshot::Receiver<()>>,
}

/// Binds and serves.
///
/// # Errors
/// The address cannot be bound, or the server cannot be started.
pub async fn start(options: Options) -> io::Result<Running> {
    let listener = TcpListener::bind(options.listen)?;
    let addr = listener.local_addr()?;
    let state = Arc::new(State::new(options));
    let (script, journal) = (state.script.clone(), state.journal.clone());
    let (ready, started) = oneshot::channel();
    let (done, stopped) = oneshot::channel();
    let thread = std::thread::Builder::new().name("emulator".into()).spawn(move || {
        actix_rt::System::new().block_on(serve(listener, state, ready));
        // The receiver may be gone already, which is fine.
        let _ = done.send(());
    })?;
    let handle = started.await.map_err(io::Error::other)??;
    log::debug!("emulator listens on {addr}");
    Ok(Running { addr, script, journal, handle, thread: Some(thread), stopped: Some(stopped) })
}

impl Running {
    /// The address it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The endpoint URL for clients, without a trailing slash.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The steps for the next calls.
    pub fn script(&self) -> &Script {
        &self.script
    }

    /// The calls so far.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The server's own handle, for stopping it from elsewhere.
    pub fn handle(&self) -> ServerHandle {
        self.handle.clone()
    }

    /// Stops at once and interrupts open answers. Returns when the port is free.
    pub async fn stop(mut self) {
        self.handle.stop(false).await;
        if let Some(stopped) = self.stopped.take() {
            // An error means that the thread has ended already.
            let _ = stopped.await;
        }
        if let Some(thread) = self.thread.take() {
            // The thread has signalled its end, so this does not block.
            let _ = thread.join();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.thread.is_some() {
            // The call itself sends the command; the future would only wait for its completion.
            drop(self.handle.stop(false));
        }
    }
}

async fn serve(
    listener: TcpListener,
    state: Arc<State>,
    ready: oneshot::Sender<io::Result<ServerHandle>>,
) {
    let data = web::Data::from(state);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(data.clone())
            .app_data(web::PayloadConfig::new(BODY_LIMIT))
            .default_service(web::to(routes::dispatch))
    })
    .workers(1)
    // Long enough for a machine under load, whose clients are not slow.
    .client_request_timeout(SLOW_CLIENT)
    .disable_signals()
    .tcp_nodelay(true)
    .keep_alive(Duration::from_secs(75))
    // A client that closes its half has disconnected: its answer is dropped.
    .h1_allow_half_closed(false)
    .on_connect(|socket: &dyn Any, data| {
        if let Some(fd) = socket.downcast_ref::<TcpStream>().and_then(second_handle) {
            data.insert(Connection(fd));
        }
    })
    .listen(listener);
    match server.map(HttpServer::run) {
        Ok(server) => {
            // A caller that gave up has dropped its end; the server then stops with its handle's command.
            if ready.send(Ok(server.handle())).is_ok()
                && let Err(error) = server.await
            {
                log::error!("emulator stopped: {error}");
            }
        }
        Err(error) => drop(ready.send(Err(error))),
    }
}

fn second_handle(socket: &TcpStream) -> Option<OwnedFd> {
    socket.as_fd().try_clone_to_owned().ok()
}
