//! The connection to Redis. One task opens it, looks after it and opens it again, so that a call never waits for that
//! longer than its patience: while Redis is away, calls are told so at once.

use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ErrorKind, FromRedisValue, RedisError, RedisResult,
    ScriptInvocation, ServerErrorKind,
};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::RedisOptions;
use super::calls::SharedCall;
use super::scripts::Scripts;

/// Longest time to open a connection, which only the task waits.
const CONNECT: Duration = Duration::from_secs(2);
/// The time between two looks at a connection, and the longest answer to one and to a batch of the task.
const LOOK: Duration = Duration::from_secs(1);

/// The connection, and what is known of the server.
pub(super) struct Link {
    client: Client,
    scripts: Scripts,
    /// Taken to see whether scripts run: a server may refuse writes and still answer.
    probe: SharedCall,
    /// Longest wait of a call.
    patience: Duration,
    /// Pause between two attempts to reach a server that is away.
    pause: Duration,
    state: watch::Sender<LinkState>,
    outage: Mutex<Option<Outage>>,
}

/// The server is away once no task looks after the connection any more.
struct Kept<'l>(&'l Link);

/// A time without Redis.
#[derive(Debug, Default)]
struct Outage {
    /// Calls that were not asked, or not answered.
    calls: u64,
}

#[derive(Clone)]
enum LinkState {
    /// A connection is being opened: the first one, or the next after one that was closed.
    Opening,
    /// A connection is open.
    Open(OpenLink),
    /// The server cannot be reached, is slow, or runs no scripts.
    Away,
}

/// An open connection.
#[derive(Clone)]
pub(super) struct OpenLink {
    /// Counts connections.
    pub(super) number: u64,
    connection: MultiplexedConnection,
}

/// The outcome of a question.
pub(super) enum Answer<T> {
    /// The server answered.
    Told(T),
    /// The server was not asked.
    NotAsked,
    /// It was asked, and may have done it or not.
    Lost,
}

impl Link {
    pub(super) fn new(options: RedisOptions, scripts: Scripts, probe: SharedCall) -> Self {
        let RedisOptions { client, patience, pause, lease: _ } = options;
        let state = watch::Sender::new(LinkState::Opening);
        Self { client, scripts, probe, patience, pause, state, outage: Mutex::new(None) }
    }

    pub(super) fn scripts(&self) -> &Scripts {
        &self.scripts
    }

    /// Runs a script for a call. A connection that was closed while it was idle is no failure.
    pub(super) async fn ask<T: FromRedisValue>(&self, what: &ScriptInvocation<'_>) -> Answer<T> {
        let deadline = Instant::now() + self.patience;
        let mut answer = Answer::NotAsked;
        for is_last in [false, true] {
            let Ok(Some(mut open)) = timeout_at(deadline, self.opened()).await else { break };
            answer = Answer::Lost;
            match timeout_at(deadline, what.invoke_async(&mut open.connection)).await {
                Ok(Ok(told)) => return Answer::Told(told),
                Ok(Err(error)) if is_closed(&error) && !is_last => self.reopen(open.number),
                Ok(Err(error)) => {
                    self.fail(open.number, &reason(&error));
                    break;
                }
                Err(_) => {
                    self.fail(open.number, "no answer in time");
                    break;
                }
            }
        }
        if let Some(outage) = &mut *self.outage() {
            outage.calls += 1;
        }
        answer
    }

    /// Runs scripts one after the other; whether all did. Each must be one that may run twice.
    pub(super) async fn run(&self, all: &[ScriptInvocation<'_>]) -> bool {
        let LinkState::Open(mut open) = self.present() else { return false };
        let mut pipe = redis::pipe();
        for one in all {
            pipe.invoke_script(one).ignore();
        }
        let done: Result<RedisResult<()>, _> =
            timeout(LOOK, pipe.query_async(&mut open.connection)).await;
        match done {
            Ok(Ok(())) => return true,
            Ok(Err(error)) if is_closed(&error) => self.reopen(open.number),
            // The next attempt finds them.
            Ok(Err(error)) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                match timeout(LOOK, self.scripts.load(&mut open.connection)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => self.fail(open.number, &reason(&error)),
                    Err(_) => self.fail(open.number, "no answer in time"),
                }
            }
            Ok(Err(error)) => self.fail(open.number, &reason(&error)),
            Err(_) => self.fail(open.number, "no answer in time"),
        }
        false
    }

    /// Waits until the first attempt to connect has ended.
    pub(super) async fn is_decided(&self) {
        self.opened().await;
    }

    /// Waits for a connection with another number.
    pub(super) async fn next(&self, number: u64) -> u64 {
        let mut states = self.state.subscribe();
        let is_next =
            |state: &LinkState| matches!(state, LinkState::Open(open) if open.number != number);
        match states.wait_for(is_next).await.as_deref() {
            Ok(LinkState::Open(open)) => open.number,
            // The sender lives as long as this.
            Ok(LinkState::Opening | LinkState::Away) | Err(_) => number,
        }
    }

    /// Keeps a connection open, without end.
    pub(super) async fn keep(&self) {
        let _kept = Kept(self);
        let mut number = 0;
        loop {
            // Before the first one a slow start is no outage.
            let patience = if number == 0 { CONNECT } else { self.patience };
            let mut opening = pin!(self.open());
            let connection = match timeout(patience, &mut opening).await {
                Ok(connection) => connection,
                Err(_) => {
                    self.is_away("no connection in time");
                    let late = timeout(CONNECT, opening).await;
                    late.unwrap_or_else(|_| Err("no connection in time".to_owned()))
                }
            };
            match connection {
                Err(reason) => self.is_away(&reason),
                Ok(connection) => {
                    number += 1;
                    self.is_open(OpenLink { number, connection: connection.clone() });
                    self.look_after(OpenLink { number, connection }).await;
                }
            }
            if let LinkState::Away = self.present() {
                sleep(self.pause).await;
            }
        }
    }

    async fn open(&self) -> Result<MultiplexedConnection, String> {
        // A batch of the task may take longer than a call.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(None);
        let connection = self.client.get_multiplexed_async_connection_with_config(&config).await;
        let mut connection = connection.map_err(|error| reason(&error))?;
        self.scripts.load(&mut connection).await.map_err(|error| reason(&error))?;
        // A server that cannot do this in time would only hold up calls.
        match timeout(self.patience, self.look(&mut connection)).await {
            Ok(Ok(())) => Ok(connection),
            Ok(Err(error)) => Err(reason(&error)),
            Err(_) => Err("no answer in time".to_owned()),
        }
    }

    /// Looks at a connection now and then, until it is not the present one any more.
    async fn look_after(&self, mut open: OpenLink) {
        let mut states = self.state.subscribe();
        let number = open.number;
        let is_other =
            |state: &LinkState| !matches!(state, LinkState::Open(open) if open.number == number);
        while timeout(LOOK, states.wait_for(is_other)).await.is_err() {
            match timeout(LOOK, self.look(&mut open.connection)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) if is_closed(&error) => self.reopen(number),
                Ok(Err(error)) => self.fail(number, &reason(&error)),
                Err(_) => self.fail(number, "no answer in time"),
            }
        }
    }

    async fn look(&self, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        let _: Vec<i64> = self.scripts.take(&self.probe).invoke_async(connection).await?;
        let _: i64 = self.scripts.end(&self.probe, &[0]).invoke_async(connection).await?;
        Ok(())
    }

    fn present(&self) -> LinkState {
        self.state.borrow().clone()
    }

    /// Whether a connection is open.
    pub(super) fn is_connected(&self) -> bool {
        matches!(*self.state.borrow(), LinkState::Open(_))
    }

    /// The connection, once it is not being opened any more; none while the server is away.
    async fn opened(&self) -> Option<OpenLink> {
        let mut states = self.state.subscribe();
        let state = states.wait_for(|state| !matches!(state, LinkState::Opening)).await.ok()?;
        match &*state {
            LinkState::Open(open) => Some(open.clone()),
            LinkState::Opening | LinkState::Away => None,
        }
    }

    fn is_open(&self, open: OpenLink) {
        let number = open.number;
        self.state.send_replace(LinkState::Open(open));
        match self.outage().take() {
            Some(Outage { calls }) => log::info!(
                "the Redis of the rate limits is back: this process counted {calls} calls by itself"
            ),
            None if number == 1 => {
                let address = self.client.get_connection_info().addr();
                log::info!("rate limits are shared through the Redis at {address}");
            }
            None => {}
        }
    }

    /// A connection is closed: the next one is opened at once.
    fn reopen(&self, number: u64) {
        self.leave(number, LinkState::Opening);
    }

    /// A connection fails: there is none for a while.
    fn fail(&self, number: u64, reason: &str) {
        if self.leave(number, LinkState::Away) {
            self.tell(reason);
        }
    }

    fn is_away(&self, reason: &str) {
        self.state.send_replace(LinkState::Away);
        self.tell(reason);
    }

    /// Whether this was the connection in use.
    fn leave(&self, number: u64, next: LinkState) -> bool {
        self.state.send_if_modified(|state| {
            let is_present = matches!(state, LinkState::Open(open) if open.number == number);
            if is_present {
                *state = next;
            }
            is_present
        })
    }

    /// Logs an outage, once.
    fn tell(&self, reason: &str) {
        let mut outage = self.outage();
        if outage.is_none() {
            *outage = Some(Outage::default());
            log::warn!(
                "the Redis of the rate limits fails ({reason}): until it is back, each process counts for itself"
            );
        }
    }

    fn outage(&self) -> std::sync::MutexGuard<'_, Option<Outage>> {
        self.outage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        self.0.state.send_replace(LinkState::Away);
    }
}

fn is_closed(error: &RedisError) -> bool {
    error.is_io_error() || error.is_unrecoverable_error()
}

/// The loggable part of an error: the server's text may quote data sent to it.
fn reason(error: &RedisError) -> String {
    match error.code() {
        Some(code) => format!("{:?}, {code}", error.kind()),
        None => format!("{:?}", error.kind()),
    }
}
