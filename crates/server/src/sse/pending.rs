//! Streams that are slow to begin. A proxy between here and the client ends a connection on which nothing
//! comes, so where a stream was asked for and no answer has begun in time, its head goes out ahead of it and
//! comments follow. Work on the answer goes on as before: attempts and fallbacks too, for nothing of an
//! answer was seen. What fails from then on has no status any more, and is an event.

use std::cell::Cell;
use std::error::Error;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::body::{MessageBody, to_bytes};
use actix_web::http::header::CONTENT_TYPE;
use async_stream::stream;
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::Stream;
use tokio::time::{Instant, timeout, timeout_at};
use translate::sse;

use crate::error::GatewayError;
use crate::panic_guard;
use crate::shutdown::Cut;
use crate::sse::stream::{EVENT_STREAM, event_stream, panicked, write_error};

/// What is known of the head of a response by those who wait for it and those who make it.
#[derive(Debug, Clone, Default)]
pub(crate) struct PendingResponse(Rc<Cell<State>>);

#[derive(Debug, Clone, Copy, Default)]
enum State {
    /// Nobody knows yet what is asked for, or it is no stream.
    #[default]
    Open,
    /// A stream is asked for, since then.
    Stream(Instant),
    /// It has gone out ahead of the answer.
    Sent,
}

impl PendingResponse {
    /// Notes that a stream is asked for.
    pub(crate) fn is_of_stream(&self) {
        self.0.set(State::Stream(Instant::now()));
    }

    /// Whether it has gone out ahead of the answer.
    pub(crate) fn is_sent(&self) -> bool {
        matches!(self.0.get(), State::Sent)
    }

    /// Notes that it goes out ahead of the answer.
    pub(crate) fn goes_out(&self) {
        self.0.set(State::Sent);
    }

    fn asked(&self) -> Option<Instant> {
        match self.0.get() {
            State::Stream(since) => Some(since),
            State::Open | State::Sent => None,
        }
    }
}

/// The response that `answer` makes, or the head of a stream that it will be in. Dropping either drops
/// `answer`, and with it all calls that it waits for.
pub(crate) async fn respond<A>(
    mut answer: Pin<Box<A>>,
    head: PendingResponse,
    silence: Duration,
    cut: Cut,
) -> HttpResponse
where
    A: Future<Output = HttpResponse> + 'static,
{
    // Never nothing: who waits must let others work.
    let silence = silence.max(Duration::from_millis(1));
    let mut until = Instant::now() + silence;
    loop {
        if let Ok(response) = timeout_at(until, answer.as_mut()).await {
            return response;
        }
        let now = Instant::now();
        until = head.asked().unwrap_or(now) + silence;
        if until <= now {
            break;
        }
    }
    head.goes_out();
    event_stream().streaming(panic_guard::told(body(answer, silence, cut), panicked()))
}

/// Comments until there is an answer, then its events.
fn body<A>(
    mut answer: Pin<Box<A>>,
    silence: Duration,
    mut cut: Cut,
) -> impl Stream<Item = Result<Bytes, Box<dyn Error>>>
where
    A: Future<Output = HttpResponse> + 'static,
{
    stream! {
        let response = loop {
            yield Ok(Bytes::from_static(sse::KEEP_ALIVE));
            match cut.or(timeout(silence, answer.as_mut())).await {
                Some(Ok(response)) => break response,
                Some(Err(_)) => {}
                None => {
                    drop(answer);
                    let mut out = BytesMut::new();
                    write_error(&GatewayError::Stopping, &mut out);
                    yield Ok(out.freeze());
                    return;
                }
            }
        };
        drop(answer);
        if response.headers().get(CONTENT_TYPE).is_none_or(|kind| kind != EVENT_STREAM) {
            yield Ok(refusal(response).await);
            return;
        }
        let mut body = pin!(response.into_body());
        while let Some(piece) = poll_fn(|cx| body.as_mut().poll_next(cx)).await {
            yield piece;
        }
    }
}

/// A refusal as the last event of a stream; there is no `[DONE]` behind it.
async fn refusal(response: HttpResponse) -> Bytes {
    let mut out = BytesMut::new();
    match to_bytes(response.into_body()).await {
        // One line, as all JSON that is written here.
        Ok(told) => {
            out.put_slice(b"data: ");
            out.put_slice(&told);
            out.put_slice(b"\n\n");
        }
        Err(error) => {
            log::error!("a refusal could not be read: {error}");
            let error = GatewayError::Internal("a refusal could not be read".to_owned());
            write_error(&error, &mut out);
        }
    }
    out.freeze()
}
