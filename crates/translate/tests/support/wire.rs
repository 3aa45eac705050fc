//! Drives stream translators as the server does, and reads what they wrote.

use bytes::BytesMut;
use schema::converse::event::StreamEvent;
use schema::converse::response::ConverseResponse;
use serde_json::Value;
use translate::answer_stream::{AnswerStream, Progress, StreamError, Truncated, replay};
use translate::chat::ChatStream;
use translate::reasoning::SavedTurn;
use translate::spent::Spent;

/// The output of the translators of one response.
#[derive(Debug, Default)]
pub(crate) struct Wire(pub(crate) BytesMut);

impl Wire {
    /// Pushes an event; answers in a requested format count as valid.
    pub(crate) fn push(
        &mut self,
        chat: &mut ChatStream,
        name: &str,
        payload: &str,
    ) -> Option<SavedTurn> {
        let event = StreamEvent::parse(name, payload.as_bytes()).unwrap();
        let progress = chat.push(&event, &mut self.0).unwrap();
        self.goes_on(chat, progress)
    }

    #[allow(dead_code, reason = "not every test file replays")]
    pub(crate) fn replay(&mut self, chat: &mut ChatStream, response: ConverseResponse<'_>) {
        let progress = replay(response, chat, &mut self.0).unwrap();
        self.goes_on(chat, progress);
    }

    /// Ends one answer.
    #[allow(dead_code, reason = "not every test file ends its answers")]
    pub(crate) fn close(&mut self, chat: &mut ChatStream) -> Result<Spent, Truncated> {
        match chat.close(&mut self.0) {
            Ok(progress) => self.goes_on(chat, progress),
            Err(StreamError::Truncated(truncated)) => return Err(truncated),
            Err(StreamError::Unwritable(error)) => panic!("{error}"),
        };
        Ok(chat.spent())
    }

    #[allow(dead_code, reason = "not every test file ends its answers")]
    /// Ends the last answer, and with it the response.
    pub(crate) fn finish(
        &mut self,
        chat: &mut ChatStream,
        others: Spent,
    ) -> Result<Spent, Truncated> {
        let total = others.and(self.close(chat)?);
        chat.finish(total, &mut self.0).unwrap();
        Ok(total)
    }

    /// The chunks so far, as JSON.
    #[allow(dead_code, reason = "some test files compare bytes")]
    pub(crate) fn chunks(&self) -> Vec<Value> {
        let text = std::str::from_utf8(&self.0).unwrap();
        assert!(text.is_empty() || text.ends_with("\n\n"), "only whole events are written");
        let events =
            text.split_terminator("\n\n").map(|event| event.strip_prefix("data: ").unwrap());
        let chunks = events.filter(|data| *data != "[DONE]");
        chunks.map(|data| serde_json::from_str(data).unwrap()).collect()
    }

    fn goes_on(&mut self, chat: &mut ChatStream, progress: Progress) -> Option<SavedTurn> {
        if progress.answer.is_some() {
            chat.judged(None, &mut self.0).unwrap();
        }
        progress.reasoning
    }
}
