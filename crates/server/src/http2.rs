//! HTTP/2 towards clients. h2 speaks the protocol; a stream becomes a request to the application that serves
//! HTTP/1.1 too, so that routes, limits and logs are the same. (actix's own HTTP/2 rests on h2 0.3, which has
//! an advisory without a fix; hyper's server asks a body for no more while the client's window is closed, and
//! so could not keep the limit on clients that stop reading.)

use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use actix_http::Request;
use actix_http::body::MessageBody;
use actix_service::Service;
use actix_web::Error;
use actix_web::dev::ServiceResponse;
use bytes::Bytes;
use futures_util::future::poll_fn;
use h2::server::{Builder, Connection};
use h2::{Ping, PingPong, Reason};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep, timeout};

use crate::connection::{ConnectionTerms, KEEP_ALIVE};
use crate::panic_guard;

mod message;
mod stream;

use stream::Ending;

/// For the client's preface.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Streams open at a time on a connection; a client queues what is more.
const STREAMS: u32 = 256;
/// Largest head of a request, in bytes as HTTP/2 counts them (431 above); that of HTTP/1.1.
const HEAD: u32 = 128 * 1024;
/// Bytes of a request that a client may send ahead: of one stream, and of all of a connection.
const STREAM_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 2 * STREAM_WINDOW;
/// Bytes of an answer that are held for a client, of each stream.
const SEND_BUFFER: usize = 64 * 1024;
/// Streams that a client gives up before they are looked at.
const UNSEEN_RESETS: usize = 64;
/// From one sign of life of a client with open streams to the next question for one.
const PING: Duration = Duration::from_secs(60);
/// For its answer. Clients that read only when asked to answer late.
const PONG: Duration = Duration::from_secs(120);
/// For the client's part of closing a connection.
const LINGER: Duration = Duration::from_secs(1);

/// Serves one connection to its end. Dropping it ends its streams, and with them their upstream calls.
pub(crate) async fn serve<T, A, B>(
    io: T,
    peer: Option<SocketAddr>,
    app: Rc<A>,
    terms: ConnectionTerms,
) where
    T: AsyncRead + AsyncWrite + Unpin,
    A: Service<Request, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    let mut connection = match timeout(HANDSHAKE, builder().handshake(io)).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return log::debug!("HTTP/2 handshake: {error}"),
        Err(_) => return log::debug!("HTTP/2 handshake: the client was silent"),
    };
    let Some(pings) = connection.ping_pong() else { return };
    let served = Served {
        connection,
        streams: JoinSet::new(),
        pings,
        awaits_pong: false,
        phase: Phase::Open,
        is_told: false,
        has_served: false,
        resets: Resets::default(),
    };
    served.run(peer, app, terms).await;
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEAD)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(UNSEEN_RESETS);
    builder
}

/// A connection being served.
struct Served<T> {
    connection: Connection<T, Bytes>,
    streams: JoinSet<Ending>,
    pings: PingPong,
    awaits_pong: bool,
    phase: Phase,
    /// Whether the process is about to end.
    is_told: bool,
    /// Whether it has taken a stream.
    has_served: bool,
    resets: Resets,
}

/// How far a connection is from its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It takes streams.
    Open,
    /// The client knows that it takes no more.
    Closing,
    /// The client has been waited for.
    Last,
}

impl<T> Served<T>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    async fn run<A, B>(mut self, peer: Option<SocketAddr>, app: Rc<A>, terms: ConnectionTerms)
    where
        A: Service<Request, Response = ServiceResponse<B>, Error = Error> + 'static,
        B: MessageBody + 'static,
    {
        let mut drain = pin!(terms.drain.notified());
        let mut draining = pin!(terms.shared.draining.begins());
        let mut timer = pin!(sleep(KEEP_ALIVE));
        loop {
            tokio::select! {
                biased;
                () = &mut drain, if self.phase == Phase::Open => self.close(),
                () = &mut draining, if !self.is_told => {
                    self.is_told = true;
                    // A connection that was just made serves one stream: its client may have come back to
                    // the only replica it knows.
                    if self.has_served {
                        self.close();
                    }
                }
                Some(ended) = self.streams.join_next(), if !self.streams.is_empty() => {
                    self.ended(ended);
                    if !self.streams.is_empty() {
                        continue;
                    }
                }
                accepted = self.connection.accept() => match accepted {
                    Some(Ok((request, respond))) => {
                        let (app, shared) = (Rc::clone(&app), terms.shared.clone());
                        let answer = stream::answer(request, respond, peer, app, shared);
                        self.streams.spawn_local(answer);
                        self.has_served = true;
                        if self.is_told {
                            self.close();
                        }
                        if self.streams.len() > 1 {
                            continue;
                        }
                    }
                    Some(Err(error)) => return log::debug!("HTTP/2 connection: {error}"),
                    None => return,
                },
                pong = poll_fn(|cx| self.pings.poll_pong(cx)), if self.awaits_pong => match pong {
                    Ok(_) => self.awaits_pong = false,
                    Err(error) => return log::debug!("HTTP/2 connection: {error}"),
                },
                () = &mut timer => {
                    if self.is_over() {
                        return;
                    }
                }
            }
            timer.as_mut().reset(Instant::now() + self.patience(&terms));
        }
    }

    /// Takes no more streams; those that are open may finish.
    fn close(&mut self) {
        if self.phase == Phase::Open {
            self.connection.graceful_shutdown();
            self.phase = Phase::Closing;
        }
    }

    /// Notes the end of a stream. A client that gives up more than people do is sent away.
    fn ended(&mut self, ended: Result<Ending, JoinError>) {
        match ended {
            Ok(Ending::Answered) => {}
            Ok(Ending::GivenUp) => {
                if !self.resets.admit(Instant::now()) && self.phase != Phase::Last {
                    log::warn!(
                        "HTTP/2 connection: closed, since its client resets too many streams"
                    );
                    self.connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                    self.phase = Phase::Last;
                }
            }
            Err(error) if error.is_panic() => {
                panic_guard::note("a stream of an HTTP/2 connection");
            }
            Err(_) => {}
        }
    }

    /// How long the connection may stay as it is.
    fn patience(&self, terms: &ConnectionTerms) -> Duration {
        match (self.streams.is_empty(), self.phase) {
            (false, _) if self.awaits_pong => PONG,
            (false, _) => PING,
            (true, Phase::Open) => KEEP_ALIVE,
            (true, Phase::Closing) => LINGER,
            // The client has yet to take what was answered.
            (true, Phase::Last) => terms.shared.now().config.timeouts.write_stall,
        }
    }

    /// Takes the next step where nothing has happened for too long; tells whether there is none.
    fn is_over(&mut self) -> bool {
        match (self.streams.is_empty(), self.phase) {
            (false, _) if self.awaits_pong => {
                log::debug!("HTTP/2 connection: its client answers no more");
                return true;
            }
            (false, _) => {
                self.awaits_pong = self.pings.send_ping(Ping::opaque()).is_ok();
                return !self.awaits_pong;
            }
            (true, Phase::Open) => self.close(),
            (true, Phase::Closing) if self.connection.has_streams() => self.phase = Phase::Last,
            (true, Phase::Closing | Phase::Last) => return true,
        }
        false
    }
}

/// Streams that a client gives up. Each costs a call that was begun: so many at once, and so many a second
/// from then on, are what agents that stop their work need.
#[derive(Debug, Default)]
struct Resets(Option<Instant>);

impl Resets {
    const AT_ONCE: u32 = 2 * STREAMS;
    const EACH: Duration = Duration::from_millis(50);

    /// Counts one; tells whether it is within the limit.
    fn admit(&mut self, now: Instant) -> bool {
        let due = self.0.map_or(now, |due| due.max(now)) + Self::EACH;
        self.0 = Some(due);
        due <= now + Self::EACH * Self::AT_ONCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resets_are_admitted_at_once_and_then_by_the_second() {
        let (mut resets, mut now) = (Resets::default(), Instant::now());
        let admitted = (0..10_000).filter(|_| resets.admit(now)).count();
        assert_eq!(admitted, Resets::AT_ONCE as usize);

        let mut resets = Resets::default();
        for _ in 0..100_000 {
            now += Resets::EACH;
            assert!(resets.admit(now));
        }
        assert!((0..Resets::AT_ONCE - 1).all(|_| resets.admit(now)));
        assert!(!resets.admit(now));
    }
}
