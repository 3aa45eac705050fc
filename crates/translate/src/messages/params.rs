//! The scalar parameters of a messages request, as the inputs that the shared parts take.

use schema::anthropic::messages::content::CacheControl;
use schema::anthropic::messages::{MessagesRequest, OutputFormat};
use serde_json::{Map, Value};

use crate::parts::cache::CacheMark;
use crate::parts::format::{self, Format, JsonAnswer};
use crate::parts::model_fields::Extras;
use crate::parts::params::Sampling;
use crate::parts::request_metadata::MetadataFields;
use crate::parts::thinking::{Amount, ReasoningRequest, Says, Switch};
use crate::{Invalid, Profile, Report};

/// The field of the token limit.
pub(super) const MAX_TOKENS: &str = "max_tokens";
/// The mode that reasons only as far as tool calls need it.
const BETWEEN_TOOLS: &str = "between_tools";
/// The display of an answer whose reasoning has signatures alone.
const OMITTED: &str = "omitted";
const USER_ID: &str = "user_id";
/// Marks of a user id made by Claude Code's former versions, which ends in the session.
const SESSION: &str = "_session_";

/// The limits and sampling parameters.
///
/// # Errors
/// There is no token limit.
pub(super) fn sampling<'a>(request: &'a MessagesRequest<'a>) -> Result<Sampling<'a>, Invalid> {
    let Some(limit) = request.max_tokens else {
        return Err(
            Invalid::value(MAX_TOKENS, "Field required").with_code("missing_required_parameter")
        );
    };
    let stop = request.stop_sequences.as_deref();
    Ok(Sampling {
        max_tokens: Some((MAX_TOKENS, limit)),
        temperature: request.temperature,
        top_p: request.top_p,
        stop: stop.map(|stop| ("stop_sequences", stop)),
    })
}

/// The sampling parameters that only some models support.
pub(super) fn extras(request: &MessagesRequest<'_>) -> Extras {
    Extras { top_k: request.top_k, frequency_penalty: None, presence_penalty: None, seed: None }
}

/// Reads the fields that request reasoning.
///
/// # Errors
/// An unknown value, or a number out of range.
pub(super) fn reasoning_request<'a>(
    request: &'a MessagesRequest<'a>,
) -> Result<ReasoningRequest<'a>, Invalid> {
    let mut wish = ReasoningRequest::default();
    if let Some(field) = &request.thinking {
        let switch = match &*field.kind {
            "enabled" | "adaptive" => Switch::On,
            "disabled" | BETWEEN_TOOLS => Switch::Off,
            other => {
                let message = format!(
                    "thinking.type is enabled, adaptive, disabled or between_tools, and not {other:?}."
                );
                return Err(Invalid::value("thinking.type", message));
            }
        };
        let amount = Amount::tokens("thinking.budget_tokens", field.budget_tokens)?;
        wish.hear("thinking", Says { switch: Some(switch), amount });
        wish.between_tools = &*field.kind == BETWEEN_TOOLS;
        wish.display = field.display.as_deref();
        // Reasoning is left out of the answer here, where the model does not do so itself.
        wish.hidden = wish.display == Some(OMITTED);
        let is_asked = field.display.is_some() && !wish.hidden;
        wish.display_field.extend(is_asked.then_some("thinking.display"));
    }
    // How much a model thinks is not whether it does.
    if let (Some(effort), Some(Switch::On) | None) = (effort(request), wish.switch) {
        let says = Says::effort(EFFORT, effort)?;
        wish.hear(EFFORT, says);
    }
    Ok(wish)
}

/// The field of the effort.
pub(super) const EFFORT: &str = "output_config.effort";

/// The requested effort.
pub(super) fn effort<'a>(request: &'a MessagesRequest<'_>) -> Option<&'a str> {
    request.output_config.as_ref().and_then(|config| config.effort.as_deref())
}

/// The requested format of an answer, and the method for it on a model of this profile.
pub(super) fn format<'a>(
    request: &'a MessagesRequest<'a>,
    profile: &Profile,
) -> Result<Format<'a>, Invalid> {
    format::format(wanted_format(request)?, profile)
}

fn wanted_format<'a>(request: &'a MessagesRequest<'a>) -> Result<Option<JsonAnswer<'a>>, Invalid> {
    const PARAM: &str = "output_config.format.schema";
    let Some(OutputFormat { kind, schema }) = output_format(request) else { return Ok(None) };
    match (&**kind, schema) {
        ("json_schema", Some(schema)) => Ok(Some(JsonAnswer {
            schema: Some(schema),
            name: None,
            description: None,
            param: PARAM,
        })),
        ("json_schema", None) => {
            Err(Invalid::value(PARAM, "Field required").with_code("missing_required_parameter"))
        }
        (other, _) => {
            let message = format!("output_config.format.type is json_schema, and not {other:?}.");
            Err(Invalid::value("output_config.format.type", message))
        }
    }
}

/// The format in its present place, or in its former one.
pub(super) fn output_format<'a>(request: &'a MessagesRequest<'a>) -> Option<&'a OutputFormat<'a>> {
    let now = request.output_config.as_ref().and_then(|config| config.format.as_ref());
    now.or(request.output_format.as_ref())
}

/// The service tier in Bedrock's terms; Anthropic's two names are known beside Bedrock's own.
pub(super) fn service_tier<'a>(request: &'a MessagesRequest<'_>) -> Option<&'a str> {
    match request.service_tier.as_deref() {
        Some("standard_only") => Some("default"),
        Some("auto") | None => None,
        other => other,
    }
}

/// A mark as caching takes it.
pub(super) fn cache_mark(mark: &CacheControl<'_>) -> CacheMark {
    let ttl = match mark.ttl.as_deref() {
        Some("1h") => Some(60),
        Some("5m") => Some(5),
        Some(_) | None => None,
    };
    CacheMark { field: "cache_control", ttl }
}

/// The metadata of a request for AWS's logs. An id that is a JSON object is taken apart, because its
/// notation is refused there.
pub(super) struct CallMetadata<'a> {
    parts: Option<Map<String, Value>>,
    own: Option<&'a Map<String, Value>>,
    requested: Option<&'a Map<String, Value>>,
}

impl<'a> CallMetadata<'a> {
    pub(super) fn of(request: &'a MessagesRequest<'a>) -> Self {
        let parts = user_id(request.metadata.as_ref()).and_then(id_parts);
        Self { parts, own: request.metadata.as_ref(), requested: request.request_metadata.as_ref() }
    }

    pub(super) fn fields(&self) -> MetadataFields<'_> {
        MetadataFields {
            user: None,
            safety_identifier: None,
            metadata: self.parts.as_ref().or(self.own),
            request_metadata: self.requested,
        }
    }
}

/// The end user in a request's metadata. Claude Code's id holds the session too, which is another for
/// every conversation.
pub(super) fn end_user(metadata: Option<&Map<String, Value>>) -> Option<String> {
    let id = user_id(metadata)?.trim();
    if let Some(parts) = id_parts(id) {
        let text = |name: &str| {
            let text = parts.get(name)?.as_str()?.trim();
            (!text.is_empty()).then(|| text.to_owned())
        };
        return text("account_uuid").or_else(|| text("device_id"));
    }
    let id = id.split_once(SESSION).map_or(id, |(user, _)| user);
    (!id.is_empty()).then(|| id.to_owned())
}

/// The user id in a request's metadata.
pub(super) fn user_id(metadata: Option<&Map<String, Value>>) -> Option<&str> {
    metadata?.get(USER_ID)?.as_str()
}

fn id_parts(id: &str) -> Option<Map<String, Value>> {
    if !id.starts_with('{') {
        return None;
    }
    serde_json::from_str(id).ok()
}

/// Reports members of the metadata that Anthropic's API does not have.
pub(super) fn other_metadata(request: &MessagesRequest<'_>, report: &mut Report) {
    for name in request.metadata.iter().flat_map(Map::keys).filter(|name| *name != USER_ID) {
        report.ignore(&format!("metadata.{name}"));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_end_user_is_not_the_session() {
        let of = |id: Value| {
            let metadata = json!({ "user_id": id });
            end_user(metadata.as_object())
        };
        assert_eq!(of(json!("ann")).as_deref(), Some("ann"));
        assert_eq!(of(json!(" ")), None);
        assert_eq!(of(json!(7)), None);
        let code = json!({ "device_id": "d1", "account_uuid": "", "session_id": "s" }).to_string();
        assert_eq!(of(json!(code)).as_deref(), Some("d1"));
        assert_eq!(of(json!("user_1_account_2_session_3")).as_deref(), Some("user_1_account_2"));
    }
}
