//! Passes the events of a model's own stream on. They are this API's already: each goes out with its
//! name and its own text, but for the model's name, which is the caller's, and Bedrock's members.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::BytesMut;
use schema::anthropic::messages::native::{
    InvocationMetrics, NativeAnswer, NativeBlock, NativeDelta, NativeError, NativeEvent,
    NativeUsage, OWN_MEMBERS,
};
use schema::anthropic::object::RawObject;
use schema::converse::response::{CacheWrites, TokenUsage};
use serde_json::value::to_raw_value;

use crate::Stamp;
use crate::answer_stream::{
    CHECKED_LIMIT, NativeEventError, Progress, StreamError, Truncated, Unwritable,
};
use crate::messages::MessagesReply;
use crate::messages::bedrock_members::BedrockMembers;
use crate::reasoning::{Passage, ReasoningItem, SavedTurn, Step, Turn};
use crate::spent::{BilledTier, Spent};
use crate::sse;

/// The translator of a model's own stream.
#[derive(Debug)]
pub(super) struct NativeStream {
    reply: MessagesReply,
    stamp: Stamp,
    usage: NativeUsage,
    metrics: InvocationMetrics,
    has_usage: bool,
    /// Text so far, where the caller requested a format.
    checked: Option<String>,
    /// The answer ended by itself, without a call.
    is_whole: bool,
    members: BedrockMembers,
    /// The end of the message, which waits for Bedrock's members and the validation.
    ending: Option<String>,
    /// The last event, which waits for the validation.
    held: Option<String>,
    stopped: bool,
    steps: Vec<Step>,
    unsaved: Vec<String>,
}

impl NativeStream {
    pub(super) fn new(reply: MessagesReply, stamp: Stamp) -> Self {
        let checked = reply.reply.wanted.is_some().then(String::new);
        Self {
            reply,
            stamp,
            usage: NativeUsage::default(),
            metrics: InvocationMetrics::default(),
            has_usage: false,
            checked,
            is_whole: false,
            members: BedrockMembers::default(),
            ending: None,
            held: None,
            stopped: false,
            steps: Vec::new(),
            unsaved: Vec::new(),
        }
    }

    pub(super) fn push(
        &mut self,
        text: &[u8],
        out: &mut BytesMut,
    ) -> Result<Progress, NativeEventError> {
        let event: NativeEvent<'_> =
            serde_json::from_slice(text).map_err(NativeEventError::Unreadable)?;
        if let Some(error) = &event.error {
            return Err(failed(error));
        }
        let text = std::str::from_utf8(text).unwrap_or_default();
        self.read(&event);
        let told = match &*event.kind {
            "message_start" => Cow::Owned(self.opening(text).map_err(unreadable)?),
            _ if text.contains(OWN_MEMBERS) => Cow::Owned(self.plain(text).map_err(unreadable)?),
            _ => Cow::Borrowed(text),
        };
        match &*event.kind {
            "message_delta" => self.ending = Some(told.into_owned()),
            "message_stop" => {
                self.stopped = true;
                self.held = Some(told.into_owned());
                let is_whole = self.is_whole && !self.members.intervened();
                if let Some(answer) = self.checked.take().filter(|_| is_whole) {
                    return Ok(Progress { reasoning: None, answer: Some(answer) });
                }
                self.write_end(None, out)?;
            }
            kind => pass(kind, &told, out),
        }
        Ok(Progress { reasoning: self.take_saved(), answer: None })
    }

    pub(super) fn is_complete(&self) -> bool {
        self.stopped
    }

    pub(super) fn close(&mut self, out: &mut BytesMut) -> Result<Progress, StreamError> {
        if !self.stopped {
            return Err(Truncated.into());
        }
        self.judged(None, out)?;
        Ok(Progress::default())
    }

    /// Writes the end; an answer that does not match says so in it.
    pub(super) fn judged(
        &mut self,
        word: Option<&'static str>,
        out: &mut BytesMut,
    ) -> Result<(), Unwritable> {
        self.write_end(word, out)
    }

    /// Writes the end of the message and the last event, once.
    fn write_end(
        &mut self,
        word: Option<&'static str>,
        out: &mut BytesMut,
    ) -> Result<(), Unwritable> {
        let Some(stop) = self.held.take() else { return Ok(()) };
        if let Some(ending) = self.ending.take() {
            let changed = self.changed_ending(&ending, word)?;
            pass("message_delta", changed.as_deref().unwrap_or(&ending), out);
        }
        pass("message_stop", &stop, out);
        Ok(())
    }

    /// The end of the message with what Bedrock and the validation tell of it; `None` for one that
    /// passes as it came.
    fn changed_ending(
        &self,
        ending: &str,
        word: Option<&'static str>,
    ) -> Result<Option<String>, serde_json::Error> {
        let Some(outcrop) = self.members.outcrop(word)? else { return Ok(None) };
        let mut event: RawObject<'_> = serde_json::from_str(ending)?;
        let delta = match event.get("delta") {
            Some(raw) => {
                let mut delta = RawObject::of(raw)?;
                self.members.end(&mut delta)?;
                Some(delta.to_raw()?)
            }
            None => None,
        };
        if let Some(delta) = delta {
            event.set("delta", delta);
        }
        event.set("outcrop", outcrop);
        Ok(Some(event.to_raw()?.get().to_owned()))
    }

    pub(super) fn spent(&self) -> Spent {
        let usage = self.has_usage.then(|| token_usage(self.usage, self.metrics));
        let details = self.usage.output_tokens_details.unwrap_or_default();
        Spent::new(usage, details.thinking_tokens, BilledTier::default())
    }

    /// Notes what the gateway needs of an event.
    fn read(&mut self, event: &NativeEvent<'_>) {
        if let Some(NativeAnswer { usage, .. }) = &event.message {
            self.count(*usage);
        }
        self.count(event.usage);
        if let Some(metrics) = event.metrics {
            (self.metrics, self.has_usage) = (metrics, true);
        }
        if let Some(block) = &event.content_block {
            self.begin(block);
        }
        let Some(NativeDelta { text, thinking, signature, stop_reason }) = &event.delta else {
            return;
        };
        if let Some(text) = text.as_deref() {
            self.say(text);
        }
        if let Some(Step::Reasoning(ReasoningItem::Text { text, signature: whole })) =
            self.steps.last_mut()
        {
            text.push_str(thinking.as_deref().unwrap_or_default());
            if let Some(signature) = signature.as_deref() {
                *whole = Some(signature.to_owned());
            }
        }
        if let Some(reason) = stop_reason.as_deref() {
            self.is_whole = reason == "end_turn";
        }
    }

    fn begin(&mut self, block: &NativeBlock<'_>) {
        let NativeBlock { kind, text, id, thinking, signature, data } = block;
        match (&**kind, id, data) {
            ("text", ..) => {
                self.steps.push(Step::Text(Passage::default()));
                self.say(text.as_deref().unwrap_or_default());
            }
            ("thinking", ..) => {
                let text = thinking.as_deref().unwrap_or_default().to_owned();
                let signature = signature.as_deref().filter(|text| !text.is_empty());
                let signature = signature.map(ToOwned::to_owned);
                self.steps.push(Step::Reasoning(ReasoningItem::Text { text, signature }));
            }
            ("redacted_thinking", _, Some(data)) => {
                self.steps.push(Step::Reasoning(ReasoningItem::Redacted(data.to_string())));
            }
            ("tool_use", Some(id), _) => {
                self.steps.push(Step::Call(id.to_string()));
                if self.reply.reply.keeps_turns() {
                    self.unsaved.push(id.to_string());
                }
            }
            _ => {}
        }
    }

    fn say(&mut self, text: &str) {
        if let Some(checked) = self.checked.as_mut().filter(|text| text.len() <= CHECKED_LIMIT) {
            checked.push_str(text);
        }
        if let Some(Step::Text(said)) = self.steps.last_mut() {
            *said = said.and(Passage::of(text));
        }
    }

    /// Later counts replace earlier ones.
    fn count(&mut self, next: NativeUsage) {
        self.has_usage |= next != NativeUsage::default();
        let known = &mut self.usage;
        known.input_tokens = next.input_tokens.or(known.input_tokens);
        known.output_tokens = next.output_tokens.or(known.output_tokens);
        known.cache_read_input_tokens =
            next.cache_read_input_tokens.or(known.cache_read_input_tokens);
        known.cache_creation_input_tokens =
            next.cache_creation_input_tokens.or(known.cache_creation_input_tokens);
        known.cache_creation = next.cache_creation.or(known.cache_creation);
        known.output_tokens_details = next.output_tokens_details.or(known.output_tokens_details);
    }

    fn take_saved(&mut self) -> Option<SavedTurn> {
        if self.unsaved.is_empty() {
            return None;
        }
        let steps = self.steps.clone();
        let turn = Turn { steps, placed: true, origin: self.reply.reply.origin, preface: None };
        Some(SavedTurn { calls: std::mem::take(&mut self.unsaved), turn: Arc::new(turn) })
    }

    /// The first event, with the model as the caller named it.
    fn opening(&mut self, text: &str) -> Result<String, serde_json::Error> {
        let mut event: RawObject<'_> = serde_json::from_str(text)?;
        let message = match event.get("message") {
            Some(raw) => {
                let mut message = RawObject::of(raw)?;
                message.set("model", to_raw_value(&self.stamp.model)?);
                Some(message.to_raw()?)
            }
            None => None,
        };
        if let Some(message) = message {
            event.set("message", message);
        }
        self.members.take(&mut event)?;
        Ok(event.to_raw()?.get().to_owned())
    }

    /// An event without Bedrock's members.
    fn plain(&mut self, text: &str) -> Result<String, serde_json::Error> {
        let mut event: RawObject<'_> = serde_json::from_str(text)?;
        self.members.take(&mut event)?;
        Ok(event.to_raw()?.get().to_owned())
    }
}

/// The counts of an answer in Bedrock's terms.
pub(in crate::messages) fn token_usage(
    usage: NativeUsage,
    metrics: InvocationMetrics,
) -> TokenUsage {
    let count = |own: Option<u64>, of_bedrock: Option<u64>| own.or(of_bedrock).unwrap_or_default();
    let writes = usage.cache_creation.unwrap_or_default();
    let input_tokens = count(usage.input_tokens, metrics.input_token_count);
    // The last event counts what was written for certain.
    let output_tokens = count(metrics.output_token_count, usage.output_tokens);
    let cache_read_input_tokens =
        count(usage.cache_read_input_tokens, metrics.cache_read_input_token_count);
    let cache_write_input_tokens =
        count(usage.cache_creation_input_tokens, metrics.cache_write_input_token_count);
    let all = [input_tokens, output_tokens, cache_read_input_tokens, cache_write_input_tokens];
    TokenUsage {
        input_tokens,
        output_tokens,
        total_tokens: all.into_iter().fold(0, u64::saturating_add),
        cache_read_input_tokens,
        cache_write_input_tokens,
        cache_details: CacheWrites {
            five_minutes: writes.ephemeral_5m_input_tokens,
            one_hour: writes.ephemeral_1h_input_tokens,
        },
    }
}

/// Writes an event with its own text. A line break between its members would end it.
fn pass(name: &str, text: &str, out: &mut BytesMut) {
    sse::name_event(out, name);
    out.extend_from_slice(b"data: ");
    if text.contains(['\n', '\r']) {
        out.extend_from_slice(text.replace(['\n', '\r'], " ").as_bytes());
    } else {
        out.extend_from_slice(text.as_bytes());
    }
    out.extend_from_slice(b"\n\n");
}

fn unreadable(error: serde_json::Error) -> NativeEventError {
    NativeEventError::Unreadable(error)
}

/// The failure that an error within a stream means, by Bedrock's name for it.
fn failed(NativeError { kind, message }: &NativeError<'_>) -> NativeEventError {
    let exception = match &**kind {
        "overloaded_error" => "serviceUnavailableException",
        "rate_limit_error" => "throttlingException",
        "invalid_request_error" | "request_too_large" => "validationException",
        "timeout_error" => "modelTimeoutException",
        _ => "modelStreamErrorException",
    };
    NativeEventError::Failed { exception, message: message.to_string() }
}
