//! Events of agents and flows as Converse's. Text comes in pieces of bytes, with the passages that it rests on; traces and
//! the tokens in them come where they were asked for. An agent's answer ends with its events.

use schema::converse::event::{BlockDelta, Delta, MessageStop, Metadata, StreamEvent};
use schema::converse::response::{StopReason, TokenUsage};
use schema::surface::agent::{AgentEvent, ModelUsage, Passage};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use super::Sink;
use super::chat_stream::stop;
use crate::answer_stream::{NativeEventError, Unwritable};

/// Decodes base64; `None` where it is none.
pub type DecodeBase64 = fn(&str) -> Option<Vec<u8>>;

/// The exception of an answer that cannot be passed on.
const UNANSWERABLE: &str = "validationException";

/// The translator of one answer's events.
#[derive(Debug)]
pub(super) struct AgentEvents {
    decode: DecodeBase64,
    has_begun: bool,
    has_ended: bool,
    /// The block that is open, or the next one.
    block: u32,
    is_open: bool,
    /// Bytes of a character that is not complete.
    cut: Vec<u8>,
    traces: Vec<Box<RawValue>>,
    usage: ModelUsage,
    ending: AnswerEnd,
}

/// The event that ends an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AnswerEnd {
    /// None: the end of the stream.
    OfStream,
    /// An event of its own.
    Told,
}

impl AgentEvents {
    pub(super) fn new(decode: DecodeBase64, ending: AnswerEnd) -> Self {
        Self {
            decode,
            has_begun: false,
            has_ended: false,
            block: 0,
            is_open: false,
            cut: Vec::new(),
            traces: Vec::new(),
            usage: ModelUsage::default(),
            ending,
        }
    }

    /// Translates an event.
    ///
    /// # Errors
    /// It cannot be passed on, read or written.
    pub(super) fn push(
        &mut self,
        data: &[u8],
        sink: &mut Sink<'_>,
    ) -> Result<(), NativeEventError> {
        let event: AgentEvent<'_> =
            serde_json::from_slice(data).map_err(NativeEventError::Unreadable)?;
        if event.invocation_inputs.is_some() {
            let message = "The agent returns control to its caller for an action, which is not passed on here: call it with InvokeAgent through AWS's SDKs.";
            return Err(failed(message));
        }
        if event.files.is_some() {
            let message = "The agent answers with files, which are not passed on here: call it with InvokeAgent through AWS's SDKs.";
            return Err(failed(message));
        }
        self.begin(sink)?;
        if let Some(encoded) = &event.bytes {
            let Some(bytes) = (self.decode)(encoded) else {
                let error = serde::de::Error::custom("a piece of text is no base64");
                return Err(NativeEventError::Unreadable(error));
            };
            let text = self.whole_characters(bytes);
            self.say(&text, sink)?;
        }
        if let Some(attribution) = &event.attribution {
            for citation in &attribution.citations {
                for passage in &citation.retrieved_references {
                    self.cite(passage, sink)?;
                }
            }
            self.close(sink)?;
        }
        if let Some(content) = &event.content {
            match &content.document {
                Value::String(text) => self.say(text, sink)?,
                other => self.say(&other.to_string(), sink)?,
            }
        }
        if let Some(trace) = event.trace {
            self.usage.add(event.model_usage());
            self.traces.push(trace.to_owned());
        }
        if event.completion_reason.is_some() {
            self.end(sink)?;
        }
        Ok(())
    }

    /// Ends the answer with the stream, where no event does.
    pub(super) fn finish(&mut self, sink: &mut Sink<'_>) -> Result<(), NativeEventError> {
        if self.ending == AnswerEnd::OfStream && !self.has_ended {
            self.begin(sink)?;
            self.end(sink)?;
        }
        Ok(())
    }

    fn begin(&mut self, sink: &mut Sink<'_>) -> Result<(), Unwritable> {
        if std::mem::replace(&mut self.has_begun, true) {
            return Ok(());
        }
        sink(&StreamEvent::MessageStart)
    }

    /// The text of bytes that may end within a character.
    fn whole_characters(&mut self, bytes: Vec<u8>) -> String {
        let mut all = std::mem::take(&mut self.cut);
        all.extend(bytes);
        if let Err(error) = std::str::from_utf8(&all)
            && error.error_len().is_none()
        {
            self.cut = all.split_off(error.valid_up_to());
        }
        String::from_utf8_lossy(&all).into_owned()
    }

    fn say(&mut self, text: &str, sink: &mut Sink<'_>) -> Result<(), Unwritable> {
        if text.is_empty() {
            return Ok(());
        }
        self.delta(Delta { text: Some(text.into()), ..Delta::default() }, sink)
    }

    fn cite(&mut self, passage: &Passage<'_>, sink: &mut Sink<'_>) -> Result<(), Unwritable> {
        let citation = to_raw_value(&citation(passage))?;
        self.delta(Delta { citation: Some(&citation), ..Delta::default() }, sink)
    }

    fn delta(&mut self, delta: Delta<'_>, sink: &mut Sink<'_>) -> Result<(), Unwritable> {
        self.is_open = true;
        let content_block_index = self.block;
        sink(&StreamEvent::ContentBlockDelta(BlockDelta { content_block_index, delta }))
    }

    fn close(&mut self, sink: &mut Sink<'_>) -> Result<(), Unwritable> {
        if std::mem::take(&mut self.is_open) {
            stop(self.block, sink)?;
            self.block += 1;
        }
        Ok(())
    }

    fn end(&mut self, sink: &mut Sink<'_>) -> Result<(), Unwritable> {
        self.has_ended = true;
        let rest = String::from_utf8_lossy(&std::mem::take(&mut self.cut)).into_owned();
        self.say(&rest, sink)?;
        self.close(sink)?;
        let stop_reason = StopReason::EndTurn;
        sink(&StreamEvent::MessageStop(MessageStop {
            stop_reason,
            additional_model_response_fields: None,
        }))?;
        let trace = trace(&self.traces).map(|trace| to_raw_value(&trace)).transpose()?;
        let usage = usage(self.usage);
        let trace = trace.as_deref();
        sink(&StreamEvent::Metadata(Metadata { trace, usage, ..Metadata::default() }))
    }
}

/// Tokens of all models that the agent called.
fn usage(ModelUsage { input_tokens, output_tokens }: ModelUsage) -> TokenUsage {
    let total_tokens = input_tokens.saturating_add(output_tokens);
    TokenUsage { input_tokens, output_tokens, total_tokens, ..TokenUsage::default() }
}

fn trace(traces: &[Box<RawValue>]) -> Option<Value> {
    (!traces.is_empty()).then(|| json!({ "agent": traces }))
}

/// A passage as a citation of Converse's; a page that has a URL is one of the web.
fn citation(passage: &Passage<'_>) -> Value {
    let Passage { location, content, metadata } = passage;
    let place = location.place();
    let title = place.and_then(|place| place.rsplit('/').find(|part| !part.is_empty()));
    let mut citation = json!({ "title": title, "source": place });
    if let Some(text) = content.as_ref().and_then(|content| content.text.as_deref()) {
        citation["sourceContent"] = json!([{ "text": text }]);
    }
    let page = place.filter(|place| place.starts_with("http://") || place.starts_with("https://"));
    if let Some(url) = page {
        citation["location"] = json!({ "web": { "url": url } });
    }
    if let Some(metadata) = metadata {
        citation["metadata"] = json!(metadata);
    }
    citation
}

fn failed(message: &str) -> NativeEventError {
    NativeEventError::Failed { exception: UNANSWERABLE, message: message.to_owned() }
}
