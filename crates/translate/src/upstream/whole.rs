//! A complete answer in Converse's form, as it is written from another API's.

use schema::surface::chat::ChatUsage;
use schema::surface::responses::ResponsesUsage;
use serde_json::{Map, Value, json};

/// Counts that both APIs give, the input with what was read from the cache and written to it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) input: u64,
    pub(super) output: u64,
    pub(super) cached: u64,
    pub(super) written: u64,
    pub(super) reasoning: u64,
}

impl From<ChatUsage> for Counts {
    fn from(usage: ChatUsage) -> Self {
        let ChatUsage {
            prompt_tokens,
            completion_tokens,
            prompt_tokens_details: read,
            completion_tokens_details: written,
        } = usage;
        Self {
            input: prompt_tokens,
            output: completion_tokens,
            cached: read.cached_tokens,
            written: read.cache_write_tokens,
            reasoning: written.reasoning_tokens,
        }
    }
}

impl From<ResponsesUsage> for Counts {
    fn from(usage: ResponsesUsage) -> Self {
        let ResponsesUsage {
            input_tokens,
            output_tokens,
            input_tokens_details: read,
            output_tokens_details: written,
        } = usage;
        Self {
            input: input_tokens,
            output: output_tokens,
            cached: read.cached_tokens,
            written: read.cache_write_tokens,
            reasoning: written.reasoning_tokens,
        }
    }
}

impl Counts {
    /// The input besides what the cache counts.
    pub(super) fn fresh(self) -> u64 {
        self.input.saturating_sub(self.cached.saturating_add(self.written))
    }

    /// All tokens.
    pub(super) fn total(self) -> u64 {
        self.input.saturating_add(self.output)
    }

    /// The model's own response, as far as Converse would have been asked for it.
    pub(super) fn details(self) -> Option<Value> {
        let details = json!({ "output_tokens_details": { "reasoning_tokens": self.reasoning } });
        (self.reasoning > 0).then(|| json!({ "usage": details }))
    }
}

/// The blocks of an answer.
#[derive(Debug, Default)]
pub(super) struct Blocks(Vec<Value>);

impl Blocks {
    pub(super) fn text(&mut self, text: &str) {
        if !text.is_empty() {
            self.0.push(json!({ "text": text }));
        }
    }

    pub(super) fn reasoning(&mut self, text: &str) {
        if !text.is_empty() {
            let reasoning = json!({ "reasoningText": { "text": text } });
            self.0.push(json!({ "reasoningContent": reasoning }));
        }
    }

    pub(super) fn encrypted(&mut self, encrypted: &str) {
        if !encrypted.is_empty() {
            self.0.push(json!({ "reasoningContent": { "redactedContent": encrypted } }));
        }
    }

    /// Adds a call. Returns whether its arguments are JSON.
    pub(super) fn call(&mut self, id: &str, name: &str, arguments: &str) -> bool {
        let arguments = if arguments.trim().is_empty() { "{}" } else { arguments };
        let input = serde_json::from_str::<Value>(arguments);
        let is_json = input.is_ok();
        let input = input.unwrap_or_else(|_| json!({}));
        self.0.push(json!({ "toolUse": { "toolUseId": id, "name": name, "input": input } }));
        is_json
    }

    /// The answer.
    pub(super) fn answer(self, stop_reason: &str, counts: Counts) -> Value {
        let mut answer = Map::new();
        let message = json!({ "role": "assistant", "content": self.0 });
        answer.insert("output".to_owned(), json!({ "message": message }));
        answer.insert("stopReason".to_owned(), stop_reason.into());
        let usage = json!({
            "inputTokens": counts.fresh(),
            "outputTokens": counts.output,
            "totalTokens": counts.total(),
            "cacheReadInputTokens": counts.cached,
            "cacheWriteInputTokens": counts.written,
        });
        answer.insert("usage".to_owned(), usage);
        if let Some(details) = counts.details() {
            answer.insert("additionalModelResponseFields".to_owned(), details);
        }
        Value::Object(answer)
    }
}

/// Converse's reason for a chat's.
pub(super) fn stop_reason(finish: Option<&str>) -> &'static str {
    match finish {
        Some("tool_calls" | "function_call") => "tool_use",
        Some("length") => "max_tokens",
        Some("content_filter") => "content_filtered",
        Some(_) | None => "end_turn",
    }
}

/// The reason of an answer whose call cannot be read.
pub(super) const MALFORMED: &str = "malformed_tool_use";
