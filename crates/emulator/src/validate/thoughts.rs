//! Reasoning blocks sent back: their issuer, integrity and position, and the bindings that the newest
//! models check.
//!
//! Sources: Bedrock's user guide, "Preserved thinking" (2026-11), for the checks of model, conversation and
//! account; anthropics/claude-code#63835 and maximhq/bifrost#6342 for the positions in the latest turn.

use serde_json::Value;

use super::Place;
use crate::{
    error::Refusal,
    json::{items, text},
    model::{
        Remembered,
        seal::{Kind, Position, Seal, Short, Spot, short, unredacted, wire},
    },
    models::{Family, Model},
};

/// Inputs besides the request that the check of a reasoning block needs.
pub(crate) struct Replay<'a> {
    /// The calling account.
    pub(crate) account: Short,
    /// Reasoning blocks of scripted answers.
    pub(crate) remembered: &'a Remembered,
}

/// A reasoning block that the model does not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dropped {
    pub(crate) message: usize,
    pub(crate) block: usize,
    /// The binding that failed: `model`, `account` or `prefix`.
    pub(crate) reason: &'static str,
}

impl std::fmt::Display for Dropped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "messages.{}.content.{}: {}", self.message, self.block, self.reason)
    }
}

/// Result of checking a reasoning block.
enum Fate {
    Kept,
    Dropped(&'static str),
}

/// Checks the reasoning blocks of a request; returns those that the model does not read.
pub(super) fn check(
    model: &Model,
    body: &Value,
    replay: &Replay<'_>,
) -> Result<Vec<Dropped>, Refusal> {
    let thoughts = super::blocks(body).filter(|place| is_thought(place.content));
    if model.family == Family::Claude {
        return if thoughts.count() == 0 { Ok(Vec::new()) } else { claude(model, body, replay) };
    }
    for place in thoughts {
        others(model, &place, replay)?;
    }
    Ok(Vec::new())
}

/// With a reasoning budget, the turn that called the answered tools must begin with its reasoning blocks.
pub(super) fn first_is_thought(body: &Value) -> Result<(), Refusal> {
    let messages = items(body, "messages");
    let answers = messages.last().is_some_and(has_results);
    let Some(caller) = messages.len().checked_sub(2).filter(|_| answers) else { return Ok(()) };
    let content = messages.get(caller).map(|message| items(message, "content")).unwrap_or_default();
    if content.first().is_some_and(|block| !is_thought(block)) {
        return Err(Refusal::from_model(&format!(
            "messages.{caller}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `tool_use`. When `thinking` is enabled, a final `assistant` message must start with a thinking block."
        )));
    }
    Ok(())
}

fn claude(model: &Model, body: &Value, replay: &Replay<'_>) -> Result<Vec<Dropped>, Refusal> {
    let messages = items(body, "messages");
    let checked = first_checked(messages);
    let mut position = Position::start(body);
    let mut dropped = Vec::new();
    for (message, content) in messages.iter().enumerate() {
        position.open(text(content, "role"));
        let mut turn = Vec::new();
        for (block, content) in items(content, "content").iter().enumerate() {
            if is_thought(content) {
                let place = Place { message, block, content };
                let (seals, spot) = (seals(&place, replay)?, position.spot());
                if let Fate::Dropped(reason) = fate(model, body, (&place, &seals, &spot), replay)? {
                    dropped.push(Dropped { message, block, reason });
                    continue;
                }
                turn.push((place, seals, spot));
            }
            position.pass(content);
        }
        if message >= checked {
            places(&turn)?;
        }
    }
    Ok(dropped)
}

/// The message from which on reasoning blocks are read: the latest one of the assistant, and all since the
/// last user text.
fn first_checked(messages: &[Value]) -> usize {
    let is = |message: &Value, role: &str| text(message, "role") == role;
    let asked = messages.iter().rposition(|message| is(message, "user") && !has_results(message));
    let latest = messages.iter().rposition(|message| is(message, "assistant"));
    latest.unwrap_or_default().min(asked.map_or(0, |asked| asked + 1))
}

/// The seals of a reasoning block of Claude, one for each time that it was issued.
fn seals(place: &Place<'_>, replay: &Replay<'_>) -> Result<Vec<Seal>, Refusal> {
    let path = place.path();
    let thought = place.content.get("reasoningContent").unwrap_or(&Value::Null);
    let words = thought.pointer("/reasoningText/text").and_then(Value::as_str);
    let problem = match (words, wire(thought)) {
        (Some(_), "") => {
            return Err(Refusal::from_model(&format!("{path}.thinking.signature: Field required")));
        }
        (Some(words), signature) => match Seal::read(signature, words) {
            Some(seal) if seal.maker == short(b"Anthropic") => return Ok(vec![seal]),
            _ => "Invalid `signature` in `thinking` block",
        },
        (None, data) => match unredacted(data) {
            Some(seal) if seal.maker == short(b"Anthropic") => return Ok(vec![seal]),
            _ => "Invalid `data` in `redacted_thinking` block",
        },
    };
    let remembered = replay.remembered.seals(thought);
    if remembered.is_empty() {
        return Err(Refusal::from_model(&format!("{path}: {problem}")));
    }
    Ok(remembered)
}

/// Model and account decide whether the block is read at all; a changed conversation causes a refusal.
fn fate(
    model: &Model,
    body: &Value,
    (place, seals, spot): (&Place<'_>, &[Seal], &Spot),
    replay: &Replay<'_>,
) -> Result<Fate, Refusal> {
    let own = short(model.id.as_bytes());
    let checks = model.has("bound");
    let mut left = seals.to_vec();
    left.retain(|seal| match seal.kind {
        Kind::Readable => true,
        Kind::Bound => seal.model == own,
        Kind::Free => !checks || seal.model == own,
    });
    if left.is_empty() {
        return Ok(Fate::Dropped("model"));
    }
    if !checks {
        return Ok(Fate::Kept);
    }
    left.retain(|seal| seal.account == replay.account);
    if left.is_empty() {
        return Ok(Fate::Dropped("account"));
    }
    // Reasoning blocks may be omitted from the front, but not between others.
    let follows = |seal: &Seal| spot.before == Short::default() || spot.before == seal.spot.before;
    if left.iter().any(|seal| seal.spot.prefix == spot.prefix && follows(seal)) {
        return Ok(Fate::Kept);
    }
    let behaviour = "/additionalModelRequestFields/thinking/block_binding/prefix_mismatch_behavior";
    if body.pointer(behaviour).and_then(Value::as_str) == Some("drop_block") {
        return Ok(Fate::Dropped("prefix"));
    }
    let block = if place.content.pointer("/reasoningContent/redactedContent").is_some() {
        "Invalid `data` in `redacted_thinking` block"
    } else {
        "Invalid `signature` in `thinking` block"
    };
    Err(Refusal::from_model(&format!(
        "{}: {block}. The block is bound to a different conversation. Remove the block, or set `thinking.block_binding.prefix_mismatch_behavior` to \"drop_block\". That setting requires the `thinking-binding-controls-2026-08-01` value in the `anthropic-beta` header.",
        place.path()
    )))
}

/// Requires all reasoning blocks of an answer, each at its position, or none of them.
fn places(turn: &[(Place<'_>, Vec<Seal>, Spot)]) -> Result<(), Refusal> {
    let mut answers: Option<Vec<Short>> = None;
    for (place, seals, spot) in turn {
        let fits =
            |seal: &&Seal| seal.spot.place == spot.place && usize::from(seal.count) == turn.len();
        let mut own: Vec<Short> = seals.iter().filter(fits).map(|seal| seal.turn).collect();
        own.retain(|answer| answers.as_ref().is_none_or(|answers| answers.contains(answer)));
        if own.is_empty() {
            return Err(Refusal::from_model(&format!(
                "{}: `thinking` or `redacted_thinking` blocks in the latest assistant message cannot be modified. These blocks must remain as they were in the original response.",
                place.path()
            )));
        }
        answers = Some(own);
    }
    Ok(())
}

/// The other families accept no signature, and some no reasoning blocks at all.
fn others(model: &Model, place: &Place<'_>, replay: &Replay<'_>) -> Result<(), Refusal> {
    // An account's own model may be of any family.
    if model.has("thoughts") {
        return Ok(());
    }
    let thought = place.content.get("reasoningContent").unwrap_or(&Value::Null);
    if model.has("sealed") {
        return sealed(model, thought, replay);
    }
    if thought.pointer("/reasoningText/signature").is_some_and(|signature| !signature.is_null()) {
        return Err(Refusal::validation(
            "This model doesn't support the reasoningContent.reasoningText.signature field. Remove reasoningContent.reasoningText.signature and try again.",
        ));
    }
    if refuses_thoughts(model) {
        return Err(Refusal::validation(
            "This model doesn't support the reasoningContent content block that you provided. Update the content block and try again.",
        ));
    }
    Ok(())
}

/// Encrypted reasoning blocks are accepted unchanged; readable ones are refused.
fn sealed(model: &Model, thought: &Value, replay: &Replay<'_>) -> Result<(), Refusal> {
    if thought.get("reasoningText").is_some_and(|words| !words.is_null()) {
        return Err(Refusal::validation(
            "This model doesn't support the reasoningContent.reasoningText.text field for assistant messages. Remove reasoningContent.reasoningText.text and try again.",
        ));
    }
    let maker = short(model.provider.as_bytes());
    let own = unredacted(wire(thought)).filter(|seal| seal.maker == maker);
    let remembered = || replay.remembered.seals(thought).iter().any(|seal| seal.maker == maker);
    if own.is_some() || remembered() {
        return Ok(());
    }
    Err(Refusal::from_model("The encrypted content could not be verified."))
}

fn refuses_thoughts(model: &Model) -> bool {
    let id = model.id.as_str();
    matches!(model.family, Family::Llama | Family::Gpt | Family::Grok | Family::DeepSeek)
        || [
            "amazon.nova-lite",
            "amazon.nova-pro",
            "google.gemma",
            "mistral.devstral",
            "mistral.ministral",
            "mistral.mistral-large",
            "nvidia.nemotron-nano-9b",
            "nvidia.nemotron-super",
            "qwen.qwen3-235b",
            "qwen.qwen3-coder",
            "writer.palmyra",
        ]
        .iter()
        .any(|prefix| id.starts_with(prefix))
}

fn is_thought(block: &Value) -> bool {
    block.get("reasoningContent").is_some()
}

fn has_results(message: &Value) -> bool {
    items(message, "content").iter().any(|block| block.get("toolResult").is_some())
}
