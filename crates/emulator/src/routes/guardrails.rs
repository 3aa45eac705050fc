//! ApplyGuardrail and InvokeGuardrailChecks. Every guardrail exists unless its id begins with `missing`.
//! Its filter strength is high, unless its id begins with `weak` (low) or `medium`. It blocks topics and
//! words, and masks personal data.

use serde_json::{Value, json};

use super::{
    Request, State,
    scripted::{Scripted, scripted},
};
use crate::{
    delivery::Reply,
    error::Refusal,
    json::{items, text},
    model::guardrail::{Confidence, Hit, Kind, hits},
    validate::guardrails,
};

const BLOCKED: &str = "Sorry, this is not something to talk about.";
/// Characters of one text unit.
const UNIT: usize = 1000;

/// Answers an ApplyGuardrail request.
pub(super) fn apply(
    state: &State,
    request: &Request<'_>,
    id: &str,
    version: &str,
) -> Result<Reply, Refusal> {
    if let Some(reply) = given(state, id)? {
        return Ok(reply);
    }
    let body = request.json()?;
    guardrails::apply(id, version, &body)?;
    if id.starts_with("missing") || id.contains(":guardrail/missing") {
        return Err(Refusal::new(
            404,
            "ResourceNotFoundException",
            "The guardrail identifier or version provided in the request does not exist.",
        ));
    }
    let input = text(&body, "source") == "INPUT";
    let blocks = items(&body, "content");
    let texts: Vec<&str> =
        blocks.iter().filter_map(|block| block.pointer("/text/text")?.as_str()).collect();
    let images = blocks.len() - texts.len();
    let found: Vec<Vec<Hit<'_>>> = texts
        .iter()
        .map(|text| hits(text).into_iter().filter(|hit| input || !attack(hit)).collect())
        .collect();
    let full = text(&body, "outputScope") == "FULL";
    let judged = Judged { found: found.concat(), strength: strength(id), full, input };
    let (blocks, masks) = (judged.blocks(), judged.masks());
    let outputs: Vec<Value> = match (blocks, masks) {
        (true, _) => vec![json!({ "text": BLOCKED })],
        (false, true) => {
            let masked = texts.iter().zip(&found).map(|(text, hits)| masked(text, hits));
            masked.map(|text| json!({ "text": text })).collect()
        }
        (false, false) => Vec::new(),
    };
    let characters: usize = texts.iter().map(|text| text.chars().count()).sum();
    let units = characters.div_ceil(UNIT);
    let usage = json!({
        "topicPolicyUnits": units,
        "contentPolicyUnits": units,
        "wordPolicyUnits": units,
        "sensitiveInformationPolicyUnits": units,
        "sensitiveInformationPolicyFreeUnits": 0,
        "contextualGroundingPolicyUnits": 0,
        "contentPolicyImageUnits": images,
    });
    let coverage = json!({
        "textCharacters": { "guarded": characters, "total": characters },
        "images": { "guarded": images, "total": images },
    });
    let reason = match (blocks, masks) {
        (true, _) => "Guardrail blocked.",
        (false, true) => "Guardrail masked.",
        (false, false) => "No action.",
    };
    let action = if blocks || masks { "GUARDRAIL_INTERVENED" } else { "NONE" };
    Ok(Reply::json(
        200,
        &json!({
            "usage": usage.clone(),
            "action": action,
            "actionReason": reason,
            "outputs": outputs,
            "assessments": [judged.assessment(&usage, &coverage)],
            "guardrailCoverage": coverage,
        }),
    ))
}

/// Answers an InvokeGuardrailChecks request.
pub(super) fn checks(state: &State, request: &Request<'_>) -> Result<Reply, Refusal> {
    if let Some(reply) = given(state, "guardrail-checks")? {
        return Ok(reply);
    }
    let body = request.json()?;
    guardrails::checks(&body)?;
    let mut texts = Vec::new();
    for (message, content) in items(&body, "messages").iter().enumerate() {
        for (block, content) in items(content, "content").iter().enumerate() {
            texts.push((message, block, text(content, "text")));
        }
    }
    let found: Vec<Hit<'_>> = texts.iter().flat_map(|(_, _, text)| hits(text)).collect();
    let characters: usize = texts.iter().map(|(_, _, text)| text.chars().count()).sum();
    let units = json!({ "textUnits": characters.div_ceil(UNIT) });
    let (mut results, mut usage) = (json!({}), json!({}));
    let asked = |check: &str, list: &str| {
        let check = body.pointer(&format!("/checks/{check}"))?;
        Some(items(check, list).to_vec())
    };
    for check in ["contentFilter", "promptAttack"] {
        let Some(categories) = asked(check, "categories") else { continue };
        let entries = categories.iter().map(|entry| {
            let category = text(entry, "category");
            let filter = if check == "promptAttack" { "PROMPT_ATTACK" } else { category };
            json!({ "category": category, "severityScore": confidence(&found, filter).severity() })
        });
        results[check] = json!({ "results": entries.collect::<Vec<_>>() });
        usage[check] = units.clone();
    }
    if let Some(entities) = asked("sensitiveInformation", "entities") {
        let wanted: Vec<&str> = entities.iter().map(|entity| text(entity, "type")).collect();
        let entries: Vec<Value> = texts
            .iter()
            .flat_map(|(message, block, text)| personal(*message, *block, text, &wanted))
            .collect();
        results["sensitiveInformation"] = json!({ "results": entries, "truncated": false });
        usage["sensitiveInformation"] = units;
    }
    Ok(Reply::json(200, &json!({ "results": results, "usage": usage })))
}

/// The scripted answer for calls with a guardrail's id.
fn given(state: &State, id: &str) -> Result<Option<Reply>, Refusal> {
    Ok(match scripted(state, id, None)? {
        Scripted::Answer(answer) => Some(Reply::json(200, &answer)),
        Scripted::Text(reply) => Some(reply),
        Scripted::Usual(_) | Scripted::Events(_) | Scripted::Bytes(_) => None,
    })
}

fn personal(message: usize, block: usize, text: &str, wanted: &[&str]) -> Vec<Value> {
    let offset = |at: usize| text[..at].chars().count();
    let of = |hit: Hit<'_>| match &hit.kind {
        Kind::Personal(name) if wanted.contains(&name.as_str()) => Some(json!({
            "type": name,
            "confidenceScore": 0.99,
            "beginOffset": offset(hit.at),
            "endOffset": offset(hit.at + hit.text.len()),
            "messageIndex": message,
            "contentIndex": block,
        })),
        _ => None,
    };
    hits(text).into_iter().filter_map(of).collect()
}

/// Findings of a guardrail, and its filter strength.
struct Judged<'a> {
    found: Vec<Hit<'a>>,
    strength: Confidence,
    full: bool,
    input: bool,
}

impl Judged<'_> {
    fn blocks(&self) -> bool {
        self.found.iter().any(|hit| match &hit.kind {
            Kind::Content(_, confidence) => self.breaches(*confidence),
            Kind::Topic(_) | Kind::Word(_) => true,
            Kind::Personal(_) => false,
        })
    }

    fn masks(&self) -> bool {
        self.found.iter().any(|hit| matches!(hit.kind, Kind::Personal(_)))
    }

    /// A filter of high strength acts at low confidence, one of low strength only at high confidence.
    fn breaches(&self, confidence: Confidence) -> bool {
        let least = match self.strength {
            Confidence::None => return false,
            Confidence::Low => Confidence::High,
            Confidence::Medium => Confidence::Medium,
            Confidence::High => Confidence::Low,
        };
        confidence >= least
    }

    fn assessment(&self, usage: &Value, coverage: &Value) -> Value {
        let mut assessment = json!({
            "invocationMetrics": {
                "guardrailProcessingLatency": 12, "usage": usage, "guardrailCoverage": coverage,
            },
        });
        let parts = [
            ("contentPolicy", "filters", self.filters()),
            ("topicPolicy", "topics", self.topics()),
            ("sensitiveInformationPolicy", "piiEntities", self.entities()),
        ];
        for (policy, list, entries) in parts {
            if !entries.is_empty() {
                assessment[policy] = json!({ list: entries });
            }
        }
        if let Some(entities) = assessment.get_mut("sensitiveInformationPolicy") {
            entities["regexes"] = json!([]);
        }
        let words = self.words();
        if !words.is_empty() {
            assessment["wordPolicy"] = json!({ "customWords": words, "managedWordLists": [] });
        }
        assessment
    }

    /// With the full scope, filters without a finding are included.
    fn filters(&self) -> Vec<Value> {
        let attacks = self.input.then_some("PROMPT_ATTACK");
        let all = guardrails::CATEGORIES.into_iter().chain(attacks);
        all.filter_map(|filter| {
            let confidence = confidence(&self.found, filter);
            let detected = self.breaches(confidence);
            (self.full || detected).then(|| {
                json!({
                    "type": filter,
                    "confidence": confidence.name(),
                    "filterStrength": self.strength.name(),
                    "action": if detected { "BLOCKED" } else { "NONE" },
                    "detected": detected,
                })
            })
        })
        .collect()
    }

    fn topics(&self) -> Vec<Value> {
        let of = |hit: &Hit<'_>| match &hit.kind {
            Kind::Topic(name) => {
                Some(json!({ "name": name, "type": "DENY", "action": "BLOCKED", "detected": true }))
            }
            _ => None,
        };
        self.found.iter().filter_map(of).collect()
    }

    fn words(&self) -> Vec<Value> {
        let of = |hit: &Hit<'_>| match &hit.kind {
            Kind::Word(word) => {
                Some(json!({ "match": word, "action": "BLOCKED", "detected": true }))
            }
            _ => None,
        };
        self.found.iter().filter_map(of).collect()
    }

    fn entities(&self) -> Vec<Value> {
        let of = |hit: &Hit<'_>| match &hit.kind {
            Kind::Personal(name) => Some(json!({
                "match": hit.text, "type": name, "action": "ANONYMIZED", "detected": true,
            })),
            _ => None,
        };
        self.found.iter().filter_map(of).collect()
    }
}

fn strength(id: &str) -> Confidence {
    let name = id.rsplit('/').next().unwrap_or_default();
    match name {
        name if name.starts_with("weak") => Confidence::Low,
        name if name.starts_with("medium") => Confidence::Medium,
        _ => Confidence::High,
    }
}

fn attack(hit: &Hit<'_>) -> bool {
    matches!(hit.kind, Kind::Content("PROMPT_ATTACK", _))
}

fn confidence(found: &[Hit<'_>], filter: &str) -> Confidence {
    let of = |hit: &Hit<'_>| match hit.kind {
        Kind::Content(name, confidence) if name == filter => Some(confidence),
        _ => None,
    };
    found.iter().filter_map(of).max().unwrap_or(Confidence::None)
}

/// The text with personal data replaced by its type.
fn masked(text: &str, hits: &[Hit<'_>]) -> String {
    let mut masked = text.to_owned();
    for hit in hits {
        if let Kind::Personal(name) = &hit.kind {
            masked = masked.replace(hit.text, &format!("{{{name}}}"));
        }
    }
    masked
}
