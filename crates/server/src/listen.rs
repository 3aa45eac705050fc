//! The first bytes of a connection decide its protocol: HTTP/2 by its preface (cleartext) or by ALPN (TLS),
//! actix's HTTP/1.1 otherwise. Both protocols call the same application of the worker. A decision costs
//! HTTP/1.1 one `recv` a connection, and nothing a request.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_http::body::MessageBody;
use actix_http::h1::H1Service;
use actix_http::{HttpService, Request};
use actix_server::GracefulShutdownSignal;
use actix_service::{IntoServiceFactory, Service, ServiceFactory, fn_factory};
use actix_tls::accept::rustls_0_23::{Acceptor, AcceptorService, TlsStream};
use actix_web::Error;
use actix_web::dev::{AppConfig, ServiceResponse};
use futures_util::future::LocalBoxFuture;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{sleep, timeout};

use crate::connection::{ConnectionTerms, KEEP_ALIVE};
use crate::http2;
use crate::tls::HTTP2;

/// First bytes of every HTTP/2 connection.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// For a client's part of a TLS handshake.
const TLS_HANDSHAKE: Duration = Duration::from_secs(2);
/// Until the first bytes of a connection, and from then on until the first head of a request is complete.
const HEAD: Duration = Duration::from_secs(5);
/// For the other side's part of closing a connection.
const DISCONNECT: Duration = Duration::from_secs(1);
/// Between two looks at a preface that comes in pieces.
const LOOK: Duration = Duration::from_millis(10);
/// Bytes of an answer that wait for a client, besides the piece that filled them. actix's own 32 KiB would be half of
/// what a reader that stalls costs.
const WRITE_BUFFER: usize = 8 * 1024;
/// For a client that connects and says nothing.
const SILENT: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// The service of one worker for connections without TLS.
pub(crate) fn cleartext<F, A, B>(
    app: F,
    terms: ConnectionTerms,
) -> impl ServiceFactory<TcpStream, Config = (), Response = (), Error = (), InitError = ()>
where
    F: IntoServiceFactory<A, Request>,
    A: ServiceFactory<Request, Config = AppConfig, Response = ServiceResponse<B>, Error = Error>,
    A: 'static,
    B: MessageBody + 'static,
{
    let app = Rc::new(app.into_factory());
    fn_factory(move || {
        let (app, terms) = (Rc::clone(&app), terms.clone());
        async move {
            let app = Rc::new(app.new_service(terms.app_config(false)).await.map_err(|_| ())?);
            let http1 = Rc::new(http1(Rc::clone(&app), terms.drain.clone()).new_service(()).await?);
            Ok(Cleartext { http1, app, terms })
        }
    })
}

/// The service of one worker for connections with TLS.
pub(crate) fn encrypted<F, A, B>(
    app: F,
    terms: ConnectionTerms,
    tls: ServerConfig,
) -> impl ServiceFactory<TcpStream, Config = (), Response = (), Error = (), InitError = ()>
where
    F: IntoServiceFactory<A, Request>,
    A: ServiceFactory<Request, Config = AppConfig, Response = ServiceResponse<B>, Error = Error>,
    A: 'static,
    B: MessageBody + 'static,
{
    let app = Rc::new(app.into_factory());
    let mut acceptor = Acceptor::new(tls);
    acceptor.set_handshake_timeout(TLS_HANDSHAKE);
    fn_factory(move || {
        let (app, terms, acceptor) = (Rc::clone(&app), terms.clone(), acceptor.clone());
        async move {
            let app = Rc::new(app.new_service(terms.app_config(true)).await.map_err(|_| ())?);
            let http1 = Rc::new(http1(Rc::clone(&app), terms.drain.clone()).new_service(()).await?);
            let acceptor = ServiceFactory::<TcpStream>::new_service(&acceptor, ()).await?;
            Ok(Encrypted { acceptor, http1, app, terms })
        }
    })
}

/// The service of one worker for connections to the Unix socket. They speak HTTP/1.1: the system does not show the
/// first bytes of such a connection without taking them.
pub(crate) fn local<F, A, B>(
    app: F,
    terms: ConnectionTerms,
) -> impl ServiceFactory<UnixStream, Config = (), Response = (), Error = (), InitError = ()>
where
    F: IntoServiceFactory<A, Request>,
    A: ServiceFactory<Request, Config = AppConfig, Response = ServiceResponse<B>, Error = Error>,
    A: 'static,
    B: MessageBody + 'static,
{
    let app = Rc::new(app.into_factory());
    fn_factory(move || {
        let (app, terms) = (Rc::clone(&app), terms.clone());
        async move {
            let app = Rc::new(app.new_service(terms.app_config(false)).await.map_err(|_| ())?);
            let http1 = Rc::new(http1(app, terms.drain.clone()).new_service(()).await?);
            Ok(Local { http1, terms })
        }
    })
}

/// actix's HTTP/1.1 in front of an application that has been made.
fn http1<T, A, B>(
    app: Rc<A>,
    drain: GracefulShutdownSignal,
) -> H1Service<
    T,
    impl ServiceFactory<
        Request,
        Config = (),
        Service = Rc<A>,
        Response = A::Response,
        Error = Error,
        InitError = (),
        Future: 'static,
    >,
    B,
>
where
    T: AsyncRead + AsyncWrite + Unpin + 'static,
    A: Service<Request, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    HttpService::build()
        .graceful_shutdown_signal(move || {
            let drain = drain.clone();
            async move { drain.notified().await }
        })
        .keep_alive(KEEP_ALIVE)
        .client_request_timeout(HEAD)
        .client_disconnect_timeout(DISCONNECT)
        .h1_write_buffer_size(WRITE_BUFFER)
        // With actix's default a client that hangs up while Bedrock thinks is not noticed.
        .h1_allow_half_closed(false)
        .h1(fn_factory(move || std::future::ready(Ok::<_, ()>(Rc::clone(&app)))))
}

struct Cleartext<H, A> {
    http1: Rc<H>,
    app: Rc<A>,
    terms: ConnectionTerms,
}

impl<H, A, B> Service<TcpStream> for Cleartext<H, A>
where
    H: Service<(TcpStream, Option<SocketAddr>), Response = (), Error: fmt::Debug> + 'static,
    A: Service<Request, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ();
    type Error = ();
    type Future = LocalBoxFuture<'static, Result<(), ()>>;

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), ()>> {
        self.http1.poll_ready(cx).map_err(|_| ())
    }

    fn call(&self, io: TcpStream) -> Self::Future {
        let (http1, app, terms) =
            (Rc::clone(&self.http1), Rc::clone(&self.app), self.terms.clone());
        let open = terms.opened();
        Box::pin(async move {
            let _open = open;
            let peer = arrived(&io);
            let opening = tokio::select! {
                opening = timeout(HEAD, Opening::of(&io)) => opening,
                () = terms.drain.notified() => return Ok(()),
            };
            match opening {
                Ok(Ok(Opening::Http1)) => {
                    if let Err(error) = http1.call((io, peer)).await {
                        log::trace!("HTTP/1.1 connection: {error:?}");
                    }
                }
                Ok(Ok(Opening::Http2)) => http2::serve(io, peer, app, terms).await,
                Ok(Err(error)) => log::trace!("connection: {error}"),
                Err(_) => send_away(&io),
            }
            Ok(())
        })
    }
}

struct Local<H> {
    http1: Rc<H>,
    terms: ConnectionTerms,
}

impl<H> Service<UnixStream> for Local<H>
where
    H: Service<(UnixStream, Option<SocketAddr>), Response = (), Error: fmt::Debug> + 'static,
{
    type Response = ();
    type Error = ();
    type Future = LocalBoxFuture<'static, Result<(), ()>>;

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), ()>> {
        self.http1.poll_ready(cx).map_err(|_| ())
    }

    fn call(&self, io: UnixStream) -> Self::Future {
        let (http1, open) = (Rc::clone(&self.http1), self.terms.opened());
        Box::pin(async move {
            let _open = open;
            if let Err(error) = http1.call((io, None)).await {
                log::trace!("HTTP/1.1 connection: {error:?}");
            }
            Ok(())
        })
    }
}

struct Encrypted<H, A> {
    acceptor: AcceptorService,
    http1: Rc<H>,
    app: Rc<A>,
    terms: ConnectionTerms,
}

impl<H, A, B> Service<TcpStream> for Encrypted<H, A>
where
    H: Service<(TlsStream<TcpStream>, Option<SocketAddr>), Response = (), Error: fmt::Debug>
        + 'static,
    A: Service<Request, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ();
    type Error = ();
    type Future = LocalBoxFuture<'static, Result<(), ()>>;

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), ()>> {
        // Handshakes have a limit of their own.
        match Service::<TcpStream>::poll_ready(&self.acceptor, cx) {
            Poll::Ready(_) => self.http1.poll_ready(cx).map_err(|_| ()),
            Poll::Pending => Poll::Pending,
        }
    }

    fn call(&self, io: TcpStream) -> Self::Future {
        let (http1, app, terms) =
            (Rc::clone(&self.http1), Rc::clone(&self.app), self.terms.clone());
        let (peer, open) = (arrived(&io), terms.opened());
        let handshake = self.acceptor.call(io);
        Box::pin(async move {
            let _open = open;
            let Ok(io) = handshake.await else { return Ok(()) };
            let is_http2 = io.get_ref().1.alpn_protocol() == Some(HTTP2);
            if is_http2 {
                http2::serve(io, peer, app, terms).await;
            } else if let Err(error) = http1.call((io, peer)).await {
                log::trace!("HTTP/1.1 connection: {error:?}");
            }
            Ok(())
        })
    }
}

/// Tells a client that has not sent enough to be understood. Its bytes are read first: the system resets a
/// connection that is closed with some unread, and the client may not see the answer.
fn send_away(io: &TcpStream) {
    let _ = io.try_read(&mut [0; PREFACE.len()]);
    let _ = io.try_write(SILENT);
}

/// Prepares a connection; gives the other side's address.
fn arrived(io: &TcpStream) -> Option<SocketAddr> {
    // A token must not wait for the acknowledgement of the one before.
    if let Err(error) = io.set_nodelay(true) {
        log::trace!("connection: {error}");
    }
    io.peer_addr().ok()
}

/// The protocol that a connection without TLS begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opening {
    Http1,
    Http2,
}

impl Opening {
    /// Waits for the first bytes, and leaves them unread.
    async fn of(io: &TcpStream) -> io::Result<Self> {
        let mut seen = [0; PREFACE.len()];
        loop {
            let count = io.peek(&mut seen).await?;
            let is_prefix = count > 0 && PREFACE.starts_with(&seen[..count]);
            match (is_prefix, count == PREFACE.len()) {
                (false, _) => return Ok(Self::Http1),
                (true, true) => return Ok(Self::Http2),
                // A second look at the same bytes would not wait for more.
                (true, false) => sleep(LOOK).await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpStream as StdStream;

    use tokio::net::TcpListener;

    use super::*;

    async fn opening(pieces: &'static [&'static [u8]]) -> Opening {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let client = std::thread::spawn(move || {
            let mut client = StdStream::connect(address).unwrap();
            for piece in pieces {
                client.write_all(piece).unwrap();
                std::thread::sleep(Duration::from_millis(30));
            }
        });
        let (io, _) = listener.accept().await.unwrap();
        let opening = Opening::of(&io).await.unwrap();
        client.join().unwrap();
        opening
    }

    #[actix_rt::test]
    async fn the_first_bytes_tell_the_protocol() {
        assert_eq!(opening(&[PREFACE]).await, Opening::Http2);
        assert_eq!(opening(&[b"P", b"RI * HT", b"TP/2.0\r\n\r\nSM\r\n\r\n"]).await, Opening::Http2);
        for http1 in [
            &[b"GET / HTTP/1.1\r\n\r\n" as &[u8]][..],
            &[b"P", b"OST / HTTP/1.1\r\n\r\n"],
            &[b"PR", b"OPFIND / HTTP/1.1\r\n\r\n"],
            &[b"PRI * HTTP/1.1\r\n\r\n"],
            &[b"\0"],
            &[],
        ] {
            assert_eq!(opening(http1).await, Opening::Http1, "{http1:?}");
        }
    }
}
