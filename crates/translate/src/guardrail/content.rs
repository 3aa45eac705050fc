//! Guardrail checks around a call whose model accepts no guardrail on the call itself: the text of
//! a Converse request or answer that is checked, and the replacement where text is masked or
//! blocked. Only such calls pay for this, so bodies are read as plain JSON.

use std::borrow::Cow;

use schema::openai::moderations::{Finding, GuardrailReport};
use serde_json::{Value, json};

use crate::Invalid;
use crate::guardrail::verdict::{Action, GuardrailVerdict};
use crate::moderations::{Picture, PictureFormat};

/// Most characters in one guardrail check. A guardrail's quota is a number of units of 1000
/// characters a second, as low as 25 by default: a larger check could never succeed under it.
const WINDOW: usize = 20_000;

/// Replacement for blocked content where the guardrail has no message of its own.
const HELD_BACK: &str = "The guardrail of this model does not let this pass.";

/// A body and the parts of it that are checked.
#[derive(Debug)]
pub struct Subject {
    body: Value,
    places: Vec<Place>,
    texts: Vec<String>,
    images: Vec<(PictureFormat, String)>,
}

/// The place of a checked text in the body.
#[derive(Debug, Clone)]
enum Place {
    /// A string, by its JSON pointer.
    Text(String),
    /// Signed reasoning: it is checked, but cannot be replaced, because the signature covers its
    /// text.
    Signed,
    /// A value that is checked as its JSON text, by its JSON pointer.
    Json(String),
    /// All answer text, joined across the blocks it was divided into.
    Said,
    /// All visible reasoning, joined.
    Reasoning,
}

/// A segment of one of a subject's texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch<'s> {
    /// Index of the text.
    pub of: usize,
    /// May be blank.
    pub text: &'s str,
}

/// Selects the checked parts of a request: all text of its system prompt and its messages, the
/// inputs and results of tools, and images. Tool declarations are not checked.
///
/// # Errors
/// The body holds content that guardrails cannot read.
pub fn question(body: &[u8]) -> Result<Subject, Invalid> {
    let mut subject = Subject::read(body).map_err(|_| unreadable("this request"))?;
    let body = std::mem::take(&mut subject.body);
    for (at, block) in blocks(&body, "/system") {
        subject.ask(block, &format!("/system/{at}"))?;
    }
    for (turn, message) in blocks(&body, "/messages") {
        for (at, block) in blocks(message, "/content") {
            subject.ask(block, &format!("/messages/{turn}/content/{at}"))?;
        }
    }
    subject.body = body;
    Ok(subject)
}

/// Selects the checked parts of an answer: everything the client is shown of it, which is text,
/// reasoning, cited text, fields of the model's own response, and the inputs of tools.
///
/// # Errors
/// The body is not JSON.
pub fn answer(body: &[u8]) -> Result<Subject, serde_json::Error> {
    let mut subject = Subject::read(body)?;
    let body = std::mem::take(&mut subject.body);
    let (mut said, mut thought) = (String::new(), String::new());
    for (at, block) in blocks(&body, CONTENT) {
        said.push_str(text(block, "/text"));
        thought.push_str(text(block, "/reasoningContent/reasoningText/text"));
        for (_, cited) in blocks(block, "/citationsContent/content") {
            said.push_str(text(cited, "/text"));
        }
        for member in ["/toolUse/input", "/citationsContent/citations"] {
            if let Some(value) = block.pointer(member) {
                subject.add(Place::Json(format!("{CONTENT}/{at}{member}")), value.to_string());
            }
        }
    }
    if let Some(own) = body.get(OWN_FIELDS).filter(|own| !own.is_null()) {
        subject.add(Place::Json(format!("/{OWN_FIELDS}")), own.to_string());
    }
    subject.add(Place::Said, said);
    subject.add(Place::Reasoning, thought);
    subject.body = body;
    Ok(subject)
}

impl Subject {
    fn read(body: &[u8]) -> Result<Self, serde_json::Error> {
        let body = serde_json::from_slice(body)?;
        Ok(Self { body, places: Vec::new(), texts: Vec::new(), images: Vec::new() })
    }

    /// Number of texts.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Returns whether the body has no checked content.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty() && self.images.is_empty()
    }

    /// All checked text in portions of a bounded size, in the order of the texts. Long texts are
    /// cut after white space.
    pub fn portions(&self) -> Vec<Vec<Stretch<'_>>> {
        portions(self.texts.iter().map(String::as_str))
    }

    /// The checked images.
    pub fn images(&self) -> Vec<Picture<'_>> {
        self.images.iter().map(|(format, data)| Picture { format: *format, data }).collect()
    }

    /// Signed reasoning whose text the guardrail has changed. It can only be removed, by the author
    /// of the body.
    pub fn masked_thoughts(&self, texts: &[String]) -> Vec<String> {
        let all = self.places.iter().zip(&self.texts).zip(texts);
        let masked = all.filter(|((place, old), new)| matches!(place, Place::Signed) && old != new);
        masked.map(|((_, old), _)| old.clone()).collect()
    }

    /// The body with other texts in place of the checked ones; an unchanged text stays as it is. An
    /// answer whose text changes loses its citations, and reasoning loses its signature.
    ///
    /// # Errors
    /// A text that must be JSON no longer is; the body must then not be shown.
    pub fn with(mut self, texts: &[String]) -> Result<Vec<u8>, Box<Self>> {
        let changed = self.places.iter().zip(&self.texts).zip(texts);
        let changed = changed.filter(|((_, old), new)| old != new);
        let mut moved = Vec::new();
        for ((place, _), new) in changed {
            match place {
                Place::Signed => {}
                Place::Text(pointer) => replace(&mut self.body, pointer, json!(new)),
                Place::Json(pointer) => match serde_json::from_str(new) {
                    Ok(value) => replace(&mut self.body, pointer, value),
                    Err(_) => return Err(self.into()),
                },
                Place::Said => moved.push((["text", "citationsContent"], json!({ "text": new }))),
                Place::Reasoning => {
                    let thought = json!({ "reasoningText": { "text": new } });
                    let block = json!({ "reasoningContent": thought });
                    moved.push((["reasoningContent", "reasoningContent"], block));
                }
            }
        }
        // Last, because blocks move and invalidate the pointers.
        for (members, block) in moved {
            if let Some(Value::Array(content)) = self.body.pointer_mut(CONTENT) {
                one_in_place_of_all(content, members, block);
            }
        }
        Ok(self.body.to_string().into_bytes())
    }

    /// The answer with the guardrail's message in place of its content.
    pub fn held_back(mut self, message: &str) -> Vec<u8> {
        if let Some(body) = self.body.as_object_mut() {
            body.remove(OWN_FIELDS);
        }
        self.body["output"] = output(message);
        self.body["stopReason"] = json!(INTERVENED);
        self.body.to_string().into_bytes()
    }

    fn add(&mut self, place: Place, text: String) {
        if !text.trim().is_empty() {
            self.places.push(place);
            self.texts.push(text);
        }
    }

    /// Adds a block of a request. A block of an unknown kind may hold anything, so it is refused.
    fn ask(&mut self, block: &Value, pointer: &str) -> Result<(), Invalid> {
        for (member, value) in block.as_object().into_iter().flatten() {
            let pointer = format!("{pointer}/{member}");
            match member.as_str() {
                "text" => self.add(Place::Text(pointer), text(value, "").to_owned()),
                "cachePoint" => {}
                "json" => self.add(Place::Json(pointer), value.to_string()),
                "image" => self.see(value)?,
                "searchResult" => {
                    for member in ["source", "title"] {
                        let said = text(value, &format!("/{member}")).to_owned();
                        self.add(Place::Text(format!("{pointer}/{member}")), said);
                    }
                    for (at, passage) in blocks(value, "/content") {
                        let found = text(passage, "/text").to_owned();
                        self.add(Place::Text(format!("{pointer}/content/{at}/text")), found);
                    }
                }
                "toolUse" => {
                    if let Some(input) = value.pointer("/input") {
                        self.add(Place::Json(format!("{pointer}/input")), input.to_string());
                    }
                }
                "toolResult" => {
                    for (at, block) in blocks(value, "/content") {
                        self.ask(block, &format!("{pointer}/content/{at}"))?;
                    }
                }
                "reasoningContent" => {
                    let member = "/reasoningText/text";
                    let thought = text(value, member).to_owned();
                    let place = match value.pointer("/reasoningText/signature") {
                        Some(signature) if !signature.is_null() => Place::Signed,
                        _ => Place::Text(format!("{pointer}{member}")),
                    };
                    self.add(place, thought);
                }
                other => return Err(unreadable(other)),
            }
        }
        Ok(())
    }

    fn see(&mut self, image: &Value) -> Result<(), Invalid> {
        let format = match text(image, "/format") {
            "png" => PictureFormat::Png,
            "jpeg" => PictureFormat::Jpeg,
            _ => return Err(unreadable("images that are neither PNG nor JPEG")),
        };
        match text(image, "/source/bytes") {
            "" => Err(unreadable("images in S3")),
            data => {
                self.images.push((format, data.to_owned()));
                Ok(())
            }
        }
    }
}

/// The answer to a request that was blocked before it reached the model.
pub fn unasked(message: &str) -> Vec<u8> {
    let usage = json!({ "inputTokens": 0, "outputTokens": 0, "totalTokens": 0 });
    json!({ "output": output(message), "stopReason": INTERVENED, "usage": usage })
        .to_string()
        .into_bytes()
}

/// The replacement for content that a guardrail blocks.
pub fn message(verdict: &GuardrailVerdict) -> Cow<'static, str> {
    let message = verdict.outputs.join("\n");
    if message.trim().is_empty() { HELD_BACK.into() } else { message.into() }
}

/// Adds the verdict on a further portion to the report; the most severe action wins.
pub fn add(report: &mut GuardrailReport, verdict: &GuardrailVerdict) {
    let action = match verdict.action {
        Action::Measured => None,
        Action::Passed => Some("NONE"),
        Action::Intervened | Action::Masked => Some("GUARDRAIL_INTERVENED"),
        Action::Unknown => Some("UNKNOWN"),
    };
    if report.action.is_none_or(|before| before == "NONE") {
        report.action = action.or(report.action);
        report.action_reason.clone_from(&verdict.reason);
    }
    let new = |finding: &&Finding| !report.findings.contains(finding);
    let new: Vec<Finding> = verdict.findings.iter().filter(new).cloned().collect();
    report.findings.extend(new);
}

/// Writes the guardrail reports into an answer, as its trace.
///
/// # Errors
/// The body is not JSON.
pub fn traced(
    body: &[u8],
    input: Option<&GuardrailReport>,
    output: Option<&GuardrailReport>,
) -> Result<Vec<u8>, serde_json::Error> {
    let mut body: Value = serde_json::from_slice(body)?;
    let mut trace = json!({});
    for (side, report) in [("input", input), ("output", output)] {
        if let Some(report) = report {
            trace[side] = serde_json::to_value(report)?;
        }
    }
    if let Some(body) = body.as_object_mut() {
        let traces = body.entry("trace").or_insert_with(|| json!({}));
        if traces.is_null() {
            *traces = json!({});
        }
        if let Some(traces) = traces.as_object_mut() {
            traces.insert("guardrail".to_owned(), trace);
        }
    }
    Ok(body.to_string().into_bytes())
}

const CONTENT: &str = "/output/message/content";
/// Fields of the model's own response, which a client may have requested.
const OWN_FIELDS: &str = "additionalModelResponseFields";
const INTERVENED: &str = "guardrail_intervened";

fn output(message: &str) -> Value {
    json!({ "message": { "role": "assistant", "content": [{ "text": message }] } })
}

fn blocks<'v>(value: &'v Value, pointer: &str) -> impl Iterator<Item = (usize, &'v Value)> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten().enumerate()
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn replace(body: &mut Value, pointer: &str, new: Value) {
    if let Some(place) = body.pointer_mut(pointer) {
        *place = new;
    }
}

/// Replaces the first block that has one of these members, and removes the others.
fn one_in_place_of_all(content: &mut Vec<Value>, members: [&str; 2], block: Value) {
    let is_one = |block: &Value| members.iter().any(|member| block.get(member).is_some());
    let first = content.iter().position(is_one).unwrap_or(content.len());
    content.retain(|block| !is_one(block));
    content.insert(first.min(content.len()), block);
}

/// Groups texts into portions that fit one guardrail check.
pub(crate) fn portions<'t>(texts: impl Iterator<Item = &'t str>) -> Vec<Vec<Stretch<'t>>> {
    let (mut portions, mut portion, mut room) = (Vec::new(), Vec::new(), WINDOW);
    for (of, text) in texts.enumerate() {
        for (text, length) in stretches(text) {
            if length > room && !portion.is_empty() {
                portions.push(std::mem::take(&mut portion));
                room = WINDOW;
            }
            room -= length;
            portion.push(Stretch { of, text });
        }
    }
    if !portion.is_empty() {
        portions.push(portion);
    }
    portions
}

/// A text in segments, with their lengths in characters.
fn stretches(text: &str) -> impl Iterator<Item = (&str, usize)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let end = rest.char_indices().nth(WINDOW).map_or(rest.len(), |(end, _)| end);
        let head = rest.get(..end).unwrap_or_default();
        // The cut falls after white space, unless the segment has none or only white space before
        // it.
        let cut = match head.trim_end_matches(|c: char| !c.is_whitespace()) {
            before if end < rest.len() && !before.trim().is_empty() => before.len(),
            _ => end,
        };
        let (stretch, left) = rest.split_at_checked(cut)?;
        rest = left;
        (!stretch.is_empty()).then(|| (stretch, stretch.chars().count()))
    })
}

fn unreadable(what: &str) -> Invalid {
    let message = format!(
        "A guardrail judges what goes to this model, and reads text, PNG and JPEG, but not {what}."
    );
    Invalid::value("messages", message).with_code("guardrail_cannot_read")
}

#[cfg(test)]
mod tests;
