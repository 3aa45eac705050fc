//! The answer: its blocks, truncated as the request demands, with its usage.

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::{
    Prompt,
    reasoning::{self, Thought},
    seal::{self, Position, Seal, short},
    tokens,
};
use crate::{
    json::{canonical, sorted},
    models::{Family, Model},
};

/// Longest quote of the user's text, in characters.
const QUOTE: usize = 400;

/// A complete answer before it is written as JSON or as events.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) blocks: Vec<Block>,
    pub(crate) stop_reason: &'static str,
    pub(crate) stop_sequence: Option<String>,
    pub(crate) usage: Usage,
    pub(crate) latency_ms: u64,
    /// `performanceConfig` and `serviceTier`, echoed if the request has them.
    pub(crate) echoed: Map<String, Value>,
    /// Newer models state the type of their tool calls.
    pub(crate) typed_calls: bool,
    /// Streams of some models include cached tokens in the input count, too.
    pub(crate) gross: bool,
    /// Claude opens a tool call with an empty fragment.
    pub(crate) empty_first_fragment: bool,
}

/// A content block.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Block {
    Text(String),
    Thought(Thought),
    Call { id: String, name: String, input: Value },
}

/// Token counts; input excludes tokens read from or written to the cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) input: u64,
    pub(crate) output: u64,
    /// Tokens read from and written to the cache, if the request has cache points.
    pub(crate) cache: Option<(u64, u64)>,
}

impl Answer {
    /// Answers with `blocks`, truncated to the limits of `prompt`.
    pub(crate) fn new(
        prompt: &Prompt<'_>,
        mut blocks: Vec<Block>,
        cache: Option<(u64, u64)>,
    ) -> Self {
        let stop_sequence = stop_at(&mut blocks, prompt);
        let cut = cut_at(&mut blocks, prompt.max_tokens);
        let calls = blocks.iter().any(|block| matches!(block, Block::Call { .. }));
        let stop_reason = match (cut, &stop_sequence, calls) {
            (true, _, _) => "max_tokens",
            // Nova keeps the word that it stopped at and reports the end of its turn.
            (false, Some(_), _) if prompt.model.family == Family::Nova => "end_turn",
            (false, Some(_), _) => "stop_sequence",
            (false, None, true) => "tool_use",
            (false, None, false) => "end_turn",
        };
        let output = blocks.iter().map(Block::tokens).sum::<u64>().max(1);
        sign(&mut blocks, prompt);
        let (read, written) = cache.unwrap_or_default();
        let input = tokens::of_request(prompt.body).saturating_sub(read + written).max(1);
        let claude = prompt.model.family == Family::Claude;
        Self {
            blocks,
            stop_reason,
            stop_sequence,
            usage: Usage { input, output, cache },
            latency_ms: 200 + output * 12,
            echoed: ["performanceConfig", "serviceTier"]
                .iter()
                .filter_map(|key| Some(((*key).to_owned(), prompt.body.get(*key)?.clone())))
                .collect(),
            typed_calls: claude && !prompt.model.id.contains("claude-3"),
            gross: prompt.model.has("gross"),
            empty_first_fragment: claude,
        }
    }

    /// The content as the blocks of a Converse message.
    pub(crate) fn content(&self) -> Vec<Value> {
        self.blocks.iter().map(|block| block.converse(self.typed_calls)).collect()
    }

    /// The Converse response.
    pub(crate) fn unary(&self, prompt: &Prompt<'_>) -> Value {
        let mut response = json!({
            "metrics": { "latencyMs": self.latency_ms },
            "output": { "message": { "role": "assistant", "content": self.content() } },
            "stopReason": self.stop_reason,
            "usage": self.usage.json(),
        });
        if let Value::Object(members) = &mut response {
            members.extend(self.echoed.clone());
            let native = json!({
                "stop_sequence": self.stop_sequence,
                "stop_reason": self.stop_reason,
                "usage": { "output_tokens_details": { "thinking_tokens": self.thinking_tokens() } },
            });
            if let Some(fields) = picked(prompt.body, &native) {
                members.insert("additionalModelResponseFields".into(), fields);
            }
        }
        sorted(response)
    }

    pub(crate) fn thinking_tokens(&self) -> u64 {
        let thoughts = self.blocks.iter().filter(|block| matches!(block, Block::Thought(_)));
        thoughts.map(Block::tokens).sum()
    }
}

/// The members of the model's own response that `additionalModelResponseFieldPaths` asks for.
pub(crate) fn picked(body: &Value, native: &Value) -> Option<Value> {
    let mut fields = Value::Null;
    for path in crate::json::items(body, "additionalModelResponseFieldPaths") {
        let Some(found) = path.as_str().and_then(|path| Some((path, native.pointer(path)?))) else {
            continue;
        };
        let (path, value) = found;
        let mut nested = value.clone();
        for key in path.rsplit('/').filter(|key| !key.is_empty()) {
            nested = json!({ key: nested });
        }
        merge(&mut fields, nested);
    }
    fields.is_object().then_some(fields)
}

impl Block {
    fn tokens(&self) -> u64 {
        match self {
            Self::Text(text) | Self::Thought(Thought::Plain { text, .. }) => tokens::of_text(text),
            // As long as the reasoning text that cannot be read.
            Self::Thought(Thought::Redacted(_)) => 24,
            Self::Call { name, input, .. } => {
                8 + tokens::of_text(name) + tokens::of_text(&input.to_string())
            }
        }
    }

    fn converse(&self, typed: bool) -> Value {
        match self {
            Self::Text(text) => json!({ "text": text }),
            Self::Thought(Thought::Plain { text, signature: None }) => {
                json!({ "reasoningContent": { "reasoningText": { "text": text } } })
            }
            Self::Thought(Thought::Plain { text, signature: Some(signature) }) => {
                json!({ "reasoningContent": { "reasoningText": { "signature": signature, "text": text } } })
            }
            Self::Thought(Thought::Redacted(data)) => {
                json!({ "reasoningContent": { "redactedContent": data } })
            }
            Self::Call { id, name, input } if typed => {
                json!({ "toolUse": { "input": input, "name": name, "toolUseId": id, "type": "tool_use" } })
            }
            Self::Call { id, name, input } => {
                json!({ "toolUse": { "input": input, "name": name, "toolUseId": id } })
            }
        }
    }
}

impl Usage {
    pub(crate) fn total(&self) -> u64 {
        let (read, written) = self.cache.unwrap_or_default();
        self.input + self.output + read + written
    }

    /// The same with tokens read from and written to the cache included in the input, and so counted twice
    /// in total.
    pub(crate) fn gross(self) -> Self {
        let (read, written) = self.cache.unwrap_or_default();
        Self { input: self.input + read + written, ..self }
    }

    pub(crate) fn json(&self) -> Value {
        let mut usage = json!({
            "inputTokens": self.input,
            "outputTokens": self.output,
            "serverToolUsage": {},
            "totalTokens": self.total(),
        });
        // Every cache figure appears under two names.
        if let (Some((read, written)), Value::Object(members)) = (self.cache, &mut usage) {
            for (name, count) in [("cacheReadInputToken", read), ("cacheWriteInputToken", written)]
            {
                members.insert(format!("{name}s"), count.into());
                members.insert(format!("{name}Count"), count.into());
            }
        }
        sorted(usage)
    }
}

/// The ordinary answer in text.
pub(crate) fn words(prompt: &Prompt<'_>) -> String {
    let mut lines = Vec::new();
    if !prompt.system.is_empty() {
        lines.push(format!("Keeping to the system prompt \"{}\".", quote(&prompt.system, 160)));
    }
    for result in &prompt.results {
        let verb = if result.failed { "failed with" } else { "returned" };
        lines.push(format!("The tool {} {verb}: {}", result.name, result.said));
    }
    for medium in &prompt.seen {
        lines.push(format!("I can see a {medium}."));
    }
    let asked = quote(&prompt.asked, QUOTE);
    if asked.is_empty() {
        lines.push("There was no text to answer.".into());
    } else if prompt.results.is_empty() {
        lines.push(format!(
            "You said \"{asked}\" in turn {} of this conversation, and {} is answering from the emulator, which repeats what it was given and knows nothing else.",
            prompt.turns, prompt.model.name
        ));
    } else {
        lines.push(format!("That answers \"{asked}\"."));
    }
    lines.join("\n")
}

/// An id for the `index`th tool call of the answer to `body`: equal requests get equal ids.
pub(crate) fn call_id(model: &Model, name: &str, body: &Value, index: usize) -> String {
    if model.family == Family::Kimi {
        return format!("functions.{name}:{index}");
    }
    let said = canonical(body.get("messages").unwrap_or(&Value::Null));
    let digest = Sha256::digest(format!("{said}/{name}/{index}").as_bytes());
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let id: String =
        digest.iter().take(22).map(|byte| char::from(ALPHABET[usize::from(byte & 63)])).collect();
    format!("tooluse_{id}")
}

/// The `index`th reasoning block of an answer, if the request enables reasoning.
pub(crate) fn thought(prompt: &Prompt<'_>, index: usize) -> Option<Block> {
    reasoning::wanted(prompt.model, prompt.body).then(|| {
        Block::Thought(reasoning::thought(prompt.model, prompt.body, &prompt.asked, index))
    })
}

/// Binds each reasoning block to its position in the answer to `prompt`.
fn sign(blocks: &mut [Block], prompt: &Prompt<'_>) {
    let count = blocks.iter().filter(|block| matches!(block, Block::Thought(_))).count();
    if count == 0 {
        return;
    }
    let mut position = Position::end(prompt.body);
    let turn = short(&[position.spot().prefix, position.spot().before].concat());
    for block in blocks {
        let seal = || Seal::new(prompt.model, prompt.account, turn, (position.spot(), count));
        match block {
            Block::Thought(Thought::Plain { text, signature: Some(signature) }) => {
                *signature = seal().sign(text);
            }
            Block::Thought(Thought::Redacted(data)) => {
                *data = seal::redacted(prompt.model, &seal());
            }
            Block::Thought(Thought::Plain { signature: None, .. })
            | Block::Text(_)
            | Block::Call { .. } => {}
        }
        position.pass(&block.converse(false));
    }
}

fn quote(text: &str, limit: usize) -> String {
    let flat = text.trim();
    match flat.char_indices().nth(limit) {
        Some((end, _)) => format!("{}...", &flat[..end]),
        None => flat.to_owned(),
    }
}

/// Ends the text at its first stop sequence; returns the sequence.
fn stop_at(blocks: &mut Vec<Block>, prompt: &Prompt<'_>) -> Option<String> {
    let keep = prompt.model.family == Family::Nova;
    for index in 0..blocks.len() {
        let Some(Block::Text(text)) = blocks.get_mut(index) else { continue };
        let first = prompt
            .stops
            .iter()
            .filter_map(|stop| Some((text.find(stop)?, *stop)))
            .min_by_key(|(at, stop)| (*at, stop.len()));
        if let Some((at, stop)) = first {
            text.truncate(if keep { at + stop.len() } else { at });
            blocks.truncate(index + 1);
            return Some(stop.to_owned());
        }
    }
    None
}

/// Drops the content beyond `limit` tokens; returns whether any was dropped.
fn cut_at(blocks: &mut Vec<Block>, limit: Option<u64>) -> bool {
    let Some(limit) = limit else { return false };
    let mut left = limit;
    for index in 0..blocks.len() {
        let needed = blocks.get(index).map_or(0, Block::tokens);
        if needed <= left {
            left -= needed;
            continue;
        }
        let kept = usize::try_from(left * 4).unwrap_or(usize::MAX);
        let partial = match blocks.get_mut(index) {
            Some(Block::Text(text) | Block::Thought(Thought::Plain { text, .. })) => {
                if let Some((end, _)) = text.char_indices().nth(kept) {
                    text.truncate(end);
                }
                !text.is_empty()
            }
            Some(Block::Thought(Thought::Redacted(_)) | Block::Call { .. }) | None => false,
        };
        blocks.truncate(index + usize::from(partial));
        return true;
    }
    false
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}
