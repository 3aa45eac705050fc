//! Parameters that an operator gives for a target: they count where a chat request gives none.

use schema::openai::chat::ChatRequest;
use serde_json::{Map, Value};

/// Parameters for requests that do not give them, in the words of a chat request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defaults {
    /// A chat request that holds nothing else.
    body: String,
    /// Most tokens that an answer may have.
    most: Option<u64>,
}

/// Members of a model's own body that say how it thinks: a request with one of them has chosen.
pub(crate) const THINKING: [&str; 5] =
    ["thinking", "reasoning_config", "reasoningConfig", "reasoning_effort", "output_config"];

impl Defaults {
    /// Members of a request that can be given in advance.
    pub const NAMES: [&str; 21] = [
        "additional_model_request_fields",
        "anthropic_beta",
        "frequency_penalty",
        "max_completion_tokens",
        "max_tokens",
        "parallel_tool_calls",
        "performance_config",
        "presence_penalty",
        "reasoning",
        "reasoning_effort",
        "request_metadata",
        "safety_identifier",
        "seed",
        "service_tier",
        "stop",
        "temperature",
        "thinking",
        "top_k",
        "top_p",
        "user",
        "verbosity",
    ];

    /// Reads members of a request.
    ///
    /// # Errors
    /// A member cannot have the value it has; told in the words of a request's own mistakes.
    pub fn read(mut members: Map<String, Value>) -> Result<Self, String> {
        members.insert("model".to_owned(), Value::from(""));
        members.insert("messages".to_owned(), Value::Array(Vec::new()));
        let body = Value::Object(members).to_string();
        let request: ChatRequest<'_> = serde_json::from_str(&body).map_err(|error| {
            let told = error.to_string();
            told.rsplit_once(" at line ").map_or(told.clone(), |(told, _)| told.to_owned())
        })?;
        let most = request.max_completion_tokens.or(request.max_tokens);
        let most = most.and_then(|most| u64::try_from(most).ok());
        Ok(Self { body, most })
    }

    /// The members, in a chat request that holds nothing else.
    pub(crate) fn body(&self) -> &str {
        &self.body
    }

    /// Most tokens that an answer may have, where a request does not say.
    pub fn most(&self) -> Option<u64> {
        self.most
    }

    /// Gives a request what it does not give itself. Members with one meaning are one choice: a request that
    /// names a limit, or says how to think, in its words or in the model's own, has none of these defaults.
    ///
    /// # Errors
    /// None: [`Self::read`] has read the same text.
    pub fn fill<'a>(&'a self, request: &mut ChatRequest<'a>) -> Result<(), serde_json::Error> {
        let own: ChatRequest<'a> = serde_json::from_str(&self.body)?;
        if request.max_tokens.is_none() && request.max_completion_tokens.is_none() {
            request.max_tokens = own.max_tokens;
            request.max_completion_tokens = own.max_completion_tokens;
        }
        if !chooses_thinking(request) {
            request.reasoning_effort = own.reasoning_effort;
            request.thinking = own.thinking;
            request.reasoning = own.reasoning;
        }
        or(&mut request.temperature, own.temperature);
        or(&mut request.top_p, own.top_p);
        or(&mut request.top_k, own.top_k);
        or(&mut request.stop, own.stop);
        or(&mut request.seed, own.seed);
        or(&mut request.frequency_penalty, own.frequency_penalty);
        or(&mut request.presence_penalty, own.presence_penalty);
        or(&mut request.verbosity, own.verbosity);
        or(&mut request.service_tier, own.service_tier);
        or(&mut request.parallel_tool_calls, own.parallel_tool_calls);
        or(&mut request.performance_config, own.performance_config);
        or(&mut request.anthropic_beta, own.anthropic_beta);
        or(&mut request.user, own.user);
        or(&mut request.safety_identifier, own.safety_identifier);
        let (fields, metadata) = (own.additional_model_request_fields, own.request_metadata);
        join(&mut request.additional_model_request_fields, fields);
        join(&mut request.request_metadata, metadata);
        Ok(())
    }
}

fn chooses_thinking(request: &ChatRequest<'_>) -> bool {
    let raw = request.additional_model_request_fields.as_ref();
    request.reasoning_effort.is_some()
        || request.thinking.is_some()
        || request.reasoning.is_some()
        || raw.is_some_and(|raw| THINKING.iter().any(|name| raw.contains_key(*name)))
}

/// Sets a member that a request does not give.
pub(crate) fn or<T>(place: &mut Option<T>, default: Option<T>) {
    if place.is_none() {
        *place = default;
    }
}

/// Adds the members that a request does not name.
pub(crate) fn join(place: &mut Option<Map<String, Value>>, default: Option<Map<String, Value>>) {
    let Some(default) = default else { return };
    let members = place.get_or_insert_default();
    for (name, value) in default {
        members.entry(name).or_insert(value);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn filled(members: Value, request: &str) -> String {
        let Value::Object(members) = members else { panic!("{members}") };
        let defaults = Defaults::read(members).unwrap();
        let mut request: ChatRequest<'_> = serde_json::from_str(request).unwrap();
        defaults.fill(&mut request).unwrap();
        format!(
            "{:?} {:?} {:?} {:?} {:?} {}",
            request.max_tokens,
            request.max_completion_tokens,
            request.temperature,
            request.stop,
            request.reasoning_effort,
            request.thinking.is_some()
        )
    }

    #[test]
    fn a_request_gives_its_own_first() {
        let defaults = json!({ "max_tokens": 5, "temperature": 0.5, "stop": ["a"], "thinking": { "type": "disabled" } });
        for (request, expected) in [
            ("", r#"Some(5) None Some(0.5) Some(Many(["a"])) None true"#),
            (
                r#","max_completion_tokens":9"#,
                r#"None Some(9) Some(0.5) Some(Many(["a"])) None true"#,
            ),
            (
                r#","temperature":0,"stop":"b","reasoning_effort":"low""#,
                r#"Some(5) None Some(0.0) Some(One("b")) Some("low") false"#,
            ),
            (
                r#","max_tokens":null,"additional_model_request_fields":{"thinking":{}}"#,
                r#"Some(5) None Some(0.5) Some(Many(["a"])) None false"#,
            ),
        ] {
            let request = format!(r#"{{"model":"m","messages":[]{request}}}"#);
            assert_eq!(filled(defaults.clone(), &request), expected, "{request}");
        }
    }

    #[test]
    fn raw_members_are_joined() {
        let defaults = json!({ "additional_model_request_fields": { "a": 1, "b": 1 } });
        let Value::Object(members) = defaults else { panic!() };
        let defaults = Defaults::read(members).unwrap();
        let body = r#"{"model":"m","messages":[],"additional_model_request_fields":{"b":2}}"#;
        let mut request: ChatRequest<'_> = serde_json::from_str(body).unwrap();
        defaults.fill(&mut request).unwrap();
        let told = request.additional_model_request_fields.map(Value::Object);
        assert_eq!(told, Some(json!({ "a": 1, "b": 2 })));
    }

    #[test]
    fn every_name_is_read_and_filled_in() {
        for name in Defaults::NAMES {
            let value = match name {
                "max_tokens" | "max_completion_tokens" | "seed" | "top_k" => json!(7),
                "frequency_penalty" | "presence_penalty" | "temperature" | "top_p" => json!(0.5),
                "parallel_tool_calls" => json!(false),
                "performance_config" => json!({ "latency": "optimized" }),
                "thinking" => json!({ "type": "disabled" }),
                "reasoning" => json!({ "effort": "low" }),
                "additional_model_request_fields" | "request_metadata" => json!({ "a": "b" }),
                _ => json!("low"),
            };
            let members = Map::from_iter([(name.to_owned(), value)]);
            let defaults = Defaults::read(members).unwrap_or_else(|told| panic!("{name}: {told}"));
            let mut request: ChatRequest<'_> =
                serde_json::from_str(r#"{"model":"","messages":[]}"#).unwrap();
            let before = format!("{request:?}");
            defaults.fill(&mut request).unwrap();
            assert_ne!(format!("{request:?}"), before, "{name}");
        }
        let wrong = Map::from_iter([("temperature".to_owned(), json!("warm"))]);
        assert!(Defaults::read(wrong).unwrap_err().contains("invalid type: string"));
    }
}
