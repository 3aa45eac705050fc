//! Applies the operator's guardrail for a name to calls whose bodies are otherwise unchanged: in the body
//! for Converse, in headers for InvokeModel. A caller's own guardrail replaces it only if the operator's is
//! a default.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Deserializer};

use routing::{
    AskedGuardrail, GUARDRAIL_ID, GUARDRAIL_VERSION, Guardrail, GuardrailChoice, GuardrailMode,
};

pub(crate) mod evasion;

use evasion::Part;

use super::s3;

/// Prefix of guardrail headers.
const HEADERS: &str = "x-amzn-bedrock-guardrail";

/// Reasons why a call cannot carry the guardrail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum GuardrailError {
    /// The caller asks for another guardrail.
    #[error("this model is called with the gateway's own guardrail and no other")]
    Other,
    /// The caller limits the guardrail to a part of the call, or delays its verdict until after the answer.
    #[error(
        "this model is called with the gateway's own guardrail, and {0} would have it judge less than the whole call, or later than the answer: leave it out"
    )]
    Weakened(&'static str),
    /// The operation runs models without a configured name.
    #[error(
        "this operation runs models without the guardrail that the gateway's operator has made mandatory; the operator opens it with native.other_models: allow"
    )]
    Around,
    /// The body or the guardrail's name is malformed.
    #[error("the body cannot be read as a JSON object, which the model's guardrail needs")]
    Unreadable,
}

/// The guardrail settings of a Converse body.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Guarded<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    guardrail_config: Option<Config<'a>>,
}

/// Null differs from absent: a second member would otherwise be added beside it.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Config<'de>>, D::Error> {
    Config::deserialize(deserializer).map(Some)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config<'a> {
    #[serde(borrow, default)]
    guardrail_identifier: Option<schema::Str<'a>>,
    #[serde(borrow, default)]
    guardrail_version: Option<schema::Str<'a>>,
}

/// Adds the guardrail to a call, if its operation supports one.
pub(crate) fn apply(
    guardrail: &Guardrail,
    operation: &str,
    headers: &mut HeaderMap,
    body: &mut Bytes,
) -> Result<(), GuardrailError> {
    let part = match operation {
        "Converse" | "ConverseStream" => Some(Part::Converse),
        "InvokeModel" | "InvokeModelWithResponseStream" => Some(Part::Model),
        _ => None,
    };
    if let (GuardrailMode::Mandatory, Some(part)) = (guardrail.mode, part) {
        let found = evasion::find(body, part).map_err(|_| GuardrailError::Unreadable)?;
        if let Some(member) = found {
            return Err(GuardrailError::Weakened(member));
        }
    }
    match operation {
        "Converse" | "ConverseStream" => in_body(guardrail, body),
        "InvokeModel" | "InvokeModelWithResponseStream" => in_headers(guardrail, headers),
        // Token counting generates no text.
        _ => Ok(()),
    }
}

fn in_headers(guardrail: &Guardrail, headers: &mut HeaderMap) -> Result<(), GuardrailError> {
    let asked = headers.contains_key(GUARDRAIL_ID) || headers.contains_key(GUARDRAIL_VERSION);
    let asked = asked.then(|| AskedGuardrail {
        id: only(headers, &GUARDRAIL_ID),
        version: only(headers, &GUARDRAIL_VERSION),
    });
    if guardrail.mode == GuardrailMode::Mandatory && has_others(headers) {
        return Err(GuardrailError::Other);
    }
    match guardrail.decide(asked) {
        GuardrailChoice::Asked => Ok(()),
        GuardrailChoice::Refused => Err(GuardrailError::Other),
        GuardrailChoice::Own => {
            for (name, own) in guardrail.headers() {
                let own = HeaderValue::from_str(own).map_err(|_| GuardrailError::Unreadable)?;
                headers.insert(name, own);
            }
            Ok(())
        }
    }
}

/// The value of a header that is there once.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = std::str::from_utf8(values.next()?.as_bytes()).ok()?;
    values.next().is_none().then_some(value)
}

/// Whether headers contain guardrail settings other than id and version.
fn has_others(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| {
        name.as_str().starts_with(HEADERS) && *name != GUARDRAIL_ID && *name != GUARDRAIL_VERSION
    })
}

/// Operations that run models named in their bodies, or used by agents, flows, knowledge bases, memories and jobs, or that
/// show answers of other callers' models.
const RUN_OTHERS: [&str; 30] = [
    "AgenticRetrieveStream",
    "CreateAdvancedPromptOptimizationJob",
    "CreateEvaluationJob",
    "CreateEvent",
    "CreateModelInvocationJob",
    "Evaluate",
    "GenerateQuery",
    "IngestData",
    "InvokeAgent",
    "InvokeAgentRuntime",
    "InvokeAgentRuntimeCommand",
    "InvokeBlueprintOptimizationAsync",
    "InvokeDataAutomation",
    "InvokeDataAutomationAsync",
    "InvokeFlow",
    "InvokeHarness",
    "InvokeInlineAgent",
    "MantleChatCompletion",
    "MantleMessage",
    "MantleResponse",
    "MantleStoredResponse",
    "OptimizePrompt",
    "RetrieveAndGenerate",
    "RetrieveAndGenerateStream",
    "StartAsyncInvoke",
    "StartBatchEvaluation",
    "StartDatasetGeneration",
    "StartFlowExecution",
    "StartMemoryExtractionJob",
    "StartRecommendation",
];

/// The member by which a retrieval names a reranker.
const RERANKS: &str = "rerankingConfiguration";

/// Whether an operation can run models without a configured name.
pub(crate) fn runs_others(operation: &str) -> bool {
    RUN_OTHERS.contains(&operation)
}

/// Whether this call can run models that its path does not name, rerankers among them: guardrails have no say in those.
pub(crate) fn runs_unseen(operation: &str, body: &[u8]) -> bool {
    match operation {
        "Rerank" => true,
        "Retrieve" => s3::may_mention(body, &[RERANKS]),
        _ => runs_others(operation),
    }
}

fn in_body(guardrail: &Guardrail, body: &mut Bytes) -> Result<(), GuardrailError> {
    let read: Guarded<'_> = serde_json::from_slice(body).map_err(|_| GuardrailError::Unreadable)?;
    let asked = read.guardrail_config.as_ref().map(|config| AskedGuardrail {
        id: config.guardrail_identifier.as_deref(),
        version: config.guardrail_version.as_deref(),
    });
    match guardrail.decide(asked) {
        GuardrailChoice::Asked => Ok(()),
        GuardrailChoice::Refused => Err(GuardrailError::Other),
        GuardrailChoice::Own => {
            *body = with_config(guardrail, body)?;
            Ok(())
        }
    }
}

/// The body with one more member at its beginning; all other bytes are unchanged.
fn with_config(guardrail: &Guardrail, body: &[u8]) -> Result<Bytes, GuardrailError> {
    let brace = body.iter().position(|byte| *byte == b'{').ok_or(GuardrailError::Unreadable)?;
    let rest = body.get(brace + 1..).unwrap_or_default();
    let config = serde_json::json!({
        "guardrailIdentifier": guardrail.id,
        "guardrailVersion": guardrail.version,
    });
    let is_empty = rest.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'}');
    let comma = if is_empty { "" } else { "," };
    let head = format!("{{\"guardrailConfig\":{config}{comma}");
    let mut whole = Vec::with_capacity(head.len() + rest.len());
    whole.extend_from_slice(head.as_bytes());
    whole.extend_from_slice(rest);
    Ok(whole.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guardrail(mode: GuardrailMode) -> Guardrail {
        Guardrail { id: "gr\"1".to_owned(), version: "2".to_owned(), mode }
    }

    fn body(mode: GuardrailMode, text: &str) -> Result<String, GuardrailError> {
        let mut body = Bytes::copy_from_slice(text.as_bytes());
        apply(&guardrail(mode), "Converse", &mut HeaderMap::new(), &mut body)?;
        Ok(String::from_utf8(body.to_vec()).unwrap())
    }

    #[test]
    fn a_converse_body_gets_one_more_member_and_keeps_every_byte() {
        use GuardrailMode::{Default, Mandatory};
        let config = r#""guardrailConfig":{"guardrailIdentifier":"gr\"1","guardrailVersion":"2"}"#;
        for mode in [Default, Mandatory] {
            assert_eq!(body(mode, " { }\n").unwrap(), format!("{{{config} }}\n"));
            assert_eq!(body(mode, "{ \"a\" : 1 }").unwrap(), format!("{{{config}, \"a\" : 1 }}"));
            for text in ["", "[]", "{", "nothing", r#"{"guardrailConfig":null}"#] {
                assert_eq!(body(mode, text), Err(GuardrailError::Unreadable), "{text}");
            }
        }
    }

    #[test]
    fn a_callers_own_counts_only_against_a_default() {
        let other = r#"{"guardrailConfig":{"guardrailIdentifier":"x","guardrailVersion":"2"}}"#;
        assert_eq!(body(GuardrailMode::Default, other).unwrap(), other);
        for refused in [
            other,
            r#"{"guardrailConfig":{}}"#,
            r#"{"guardrail\u0043onfig":{"guardrailIdentifier":"x"}}"#,
        ] {
            assert_eq!(body(GuardrailMode::Mandatory, refused), Err(GuardrailError::Other));
        }
        let late = r#"{"guardrailConfig":{"guardrailIdentifier":"gr\"1","guardrailVersion":"2","streamProcessingMode":"async"}}"#;
        let weakened = Err(GuardrailError::Weakened("streamProcessingMode"));
        assert_eq!(body(GuardrailMode::Mandatory, late), weakened);
        assert_eq!(body(GuardrailMode::Default, late).unwrap(), late);
        let same = r#"{"guardrailConfig":{"guardrailIdentifier":"gr\"1","guardrailVersion":"2","trace":"enabled"}}"#;
        assert_eq!(body(GuardrailMode::Mandatory, same).unwrap(), same);
        let twice = r#"{"guardrailConfig":null,"guardrailConfig":{"guardrailIdentifier":"x"}}"#;
        assert_eq!(body(GuardrailMode::Mandatory, twice), Err(GuardrailError::Unreadable));
    }

    #[test]
    fn invoke_model_gets_it_in_headers() {
        let own = |mode| Guardrail { id: "gr1".to_owned(), ..guardrail(mode) };
        let run = |mode, asked: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in asked {
                headers.append(*name, HeaderValue::from_static(value));
            }
            apply(&own(mode), "InvokeModel", &mut headers, &mut Bytes::from("{}"))?;
            let text = |name| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
            Ok((text(GUARDRAIL_ID).unwrap_or_default(), text(GUARDRAIL_VERSION)))
        };
        let ours = Ok(("gr1".to_owned(), Some("2".to_owned())));
        let id = GUARDRAIL_ID.as_str().to_owned().leak();
        let version = GUARDRAIL_VERSION.as_str().to_owned().leak();
        assert_eq!(run(GuardrailMode::Default, &[]), ours);
        assert_eq!(run(GuardrailMode::Mandatory, &[]), ours);
        assert_eq!(run(GuardrailMode::Default, &[(id, "x")]), Ok(("x".to_owned(), None)));
        assert_eq!(run(GuardrailMode::Mandatory, &[(id, "gr1"), (version, "2")]), ours);
        for asked in [
            &[(&*id, "x"), (&*version, "2")][..],
            &[(&*id, "gr1")],
            &[(&*version, "2")],
            &[(&*id, "gr1"), (&*id, "x"), (&*version, "2")],
            &[("x-amzn-bedrock-guardrail-of-tomorrow", "x")],
        ] {
            assert_eq!(run(GuardrailMode::Mandatory, asked), Err(GuardrailError::Other));
        }
    }
}
