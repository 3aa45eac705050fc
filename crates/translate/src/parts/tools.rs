//! Tools, names and call ids. Bedrock's patterns are narrower than what clients use, so what does
//! not fit is renamed by a rule that needs no memory: the same name always becomes the same name,
//! in tools, in history and in answers.

use std::borrow::Cow;

use schema::Raw;
use schema::converse::tool::{InputSchema, Tool, ToolChoice, ToolConfig, ToolSpec};
use schema::openai::tool::{self as openai, FunctionDefinition};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::Invalid;
use crate::profile::{NoTool, Profile, ToolChoices};

/// Names that had to be changed, so that answers can say them as the client did.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    /// As sent, as the client said it.
    renamed: Vec<(String, String)>,
}

impl Names {
    /// The client's name of a tool that Bedrock calls `sent`.
    pub(crate) fn original<'n>(&'n self, sent: &'n str) -> &'n str {
        self.renamed.iter().find(|(known, _)| known == sent).map_or(sent, |(_, original)| original)
    }

    fn note(&mut self, sent: &str, original: &str) {
        if sent != original && !self.renamed.iter().any(|(known, _)| known == sent) {
            self.renamed.push((sent.to_owned(), original.to_owned()));
        }
    }
}

/// The deepest nesting accepted in raw JSON: what the parser itself allows everywhere else.
const MAX_DEPTH: usize = 128;

const NAME_LIMIT: usize = 64;

/// A tool name within `[a-zA-Z0-9_-]{1,64}`.
pub(crate) fn sent_name(name: &str) -> Cow<'_, str> {
    fit(name, |c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
}

/// A call id within `[a-zA-Z0-9_.:-]{1,64}`.
pub(crate) fn sent_id(id: &str) -> Cow<'_, str> {
    fit(id, |c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':'))
}

fn fit(text: &str, allowed: impl Fn(char) -> bool) -> Cow<'_, str> {
    if (1..=NAME_LIMIT).contains(&text.len()) && text.chars().all(&allowed) {
        return Cow::Borrowed(text);
    }
    let suffix = format!("_{:08x}", digest(text));
    let kept = text.chars().map(|c| if allowed(c) { c } else { '_' });
    Cow::Owned(kept.take(NAME_LIMIT - suffix.len()).chain(suffix.chars()).collect())
}

/// FNV-1a, folded: names apart that look alike once their odd characters are gone. Not secret.
fn digest(text: &str) -> u32 {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let bytes = hash.to_be_bytes();
    u32::from_be_bytes([
        bytes[0] ^ bytes[4],
        bytes[1] ^ bytes[5],
        bytes[2] ^ bytes[6],
        bytes[3] ^ bytes[7],
    ])
}

/// A function on its way into `toolConfig`, with the path it came from.
pub(crate) struct Declared<'a> {
    pub(crate) definition: &'a FunctionDefinition<'a>,
    pub(crate) param: String,
}

/// What becomes of the tools of a request.
#[derive(Default)]
pub(crate) struct Tooling<'a> {
    pub(crate) config: Option<ToolConfig<'a>>,
    pub(crate) names: Names,
    /// "Call no tool" must be said by the provider's own field.
    pub(crate) forbid: bool,
    /// The choice could not be honoured in full.
    pub(crate) choice_ignored: bool,
}

/// Builds `toolConfig`. `history` names the tools that past turns called: Bedrock refuses tool
/// blocks without declared tools, so they are declared when the request declares none.
pub(crate) fn tooling<'a>(
    declared: &[Declared<'a>],
    choice: Option<&'a openai::ToolChoice<'a>>,
    history: &[&'a str],
    profile: &Profile,
) -> Result<Tooling<'a>, Invalid> {
    let mut tooling = Tooling::default();
    let mut tools = Vec::with_capacity(declared.len());
    for one in declared {
        tools.push(tool_spec(one, &mut tooling.names, &tools)?);
    }
    let declared_none = tools.is_empty();
    for name in history {
        let sent = sent_name(name);
        tooling.names.note(&sent, name);
        if declared_none && !tools.iter().any(|tool: &ToolSpec<'_>| tool.name == sent) {
            tools.push(remembered(sent)?);
        }
    }
    let choice = if declared_none { None } else { choice };
    let tool_choice = match choice {
        None | Some(openai::ToolChoice::Auto) => None,
        Some(openai::ToolChoice::None) if history.is_empty() => {
            tools.clear();
            None
        }
        Some(openai::ToolChoice::None) => {
            tooling.forbid = profile.no_tool == NoTool::ChoiceField;
            tooling.choice_ignored = !tooling.forbid;
            None
        }
        Some(openai::ToolChoice::Required) => any(profile),
        Some(openai::ToolChoice::Named(name)) => named(name, &mut tools, profile)?,
        Some(openai::ToolChoice::Allowed { required, names }) => {
            allow(names, &mut tools)?;
            if *required { any(profile) } else { None }
        }
    };
    let forced = !matches!(
        choice,
        None | Some(
            openai::ToolChoice::Auto
                | openai::ToolChoice::None
                | openai::ToolChoice::Allowed { required: false, .. }
        )
    );
    tooling.choice_ignored |= forced && tool_choice.is_none();
    if !tools.is_empty() {
        let tools = tools.into_iter().map(Tool::ToolSpec).collect();
        tooling.config = Some(ToolConfig { tools, tool_choice });
    }
    Ok(tooling)
}

fn any<'a>(profile: &Profile) -> Option<ToolChoice<'a>> {
    (profile.tool_choice >= ToolChoices::Any).then_some(ToolChoice::Any {})
}

/// A tool by name; where a model only knows "any", the others are left out and any one is forced.
fn named<'a>(
    name: &'a str,
    tools: &mut Vec<ToolSpec<'a>>,
    profile: &Profile,
) -> Result<Option<ToolChoice<'a>>, Invalid> {
    let sent = sent_name(name);
    if !tools.iter().any(|tool| tool.name == sent) {
        let message = format!("tool_choice names the tool {name:?}, which is not in tools.");
        return Err(Invalid::value("tool_choice", message));
    }
    Ok(match profile.tool_choice {
        ToolChoices::Named => Some(ToolChoice::Tool { name: sent }),
        ToolChoices::Any => {
            tools.retain(|tool| tool.name == sent);
            Some(ToolChoice::Any {})
        }
        ToolChoices::Auto => None,
    })
}

fn allow(names: &[schema::Str<'_>], tools: &mut Vec<ToolSpec<'_>>) -> Result<(), Invalid> {
    let allowed: Vec<_> = names.iter().map(|name| sent_name(name)).collect();
    tools.retain(|tool| allowed.contains(&tool.name));
    if tools.is_empty() {
        let message = "tool_choice allows none of the tools in tools.";
        return Err(Invalid::value("tool_choice", message));
    }
    Ok(())
}

fn tool_spec<'a>(
    declared: &Declared<'a>,
    names: &mut Names,
    before: &[ToolSpec<'a>],
) -> Result<ToolSpec<'a>, Invalid> {
    let FunctionDefinition { name, description, parameters, strict: _ } = declared.definition;
    if name.is_empty() {
        let message = "A tool needs a name of 1 to 64 characters.";
        return Err(Invalid::value(format!("{}.name", declared.param), message));
    }
    let sent = sent_name(name);
    if before.iter().any(|tool| tool.name == sent) {
        let message =
            format!("Two tools are called {:?}; give each a name of its own.", name.as_str());
        return Err(Invalid::value(format!("{}.name", declared.param), message));
    }
    names.note(&sent, name);
    let description = description.as_deref().filter(|text| !text.trim().is_empty());
    Ok(ToolSpec {
        name: sent,
        description: Cow::Borrowed(description.unwrap_or(name)),
        input_schema: InputSchema { json: input_schema(*parameters, &declared.param)? },
        strict: None,
    })
}

/// A tool that only history knows: it may take anything.
fn remembered(name: Cow<'_, str>) -> Result<ToolSpec<'_>, Invalid> {
    let description = name.clone();
    let input_schema = InputSchema { json: input_schema(None, "tools")? };
    Ok(ToolSpec { name, description, input_schema, strict: None })
}

/// The only member of a schema's root that decides anything here.
#[derive(Deserialize)]
struct SchemaRoot<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<&'a RawValue>,
}

/// The schema as it came, byte for byte; Bedrock wants an object at the root, so a root that does
/// not say its type is told to be one.
fn input_schema<'a>(parameters: Option<&'a RawValue>, param: &str) -> Result<Raw<'a>, Invalid> {
    let complain = |message: &'static str| {
        Invalid::value(format!("{param}.parameters"), message)
            .with_code("invalid_function_parameters")
    };
    let Some(parameters) = parameters.filter(|raw| raw.get() != "null") else {
        return owned(r#"{"type":"object","properties":{}}"#.to_owned())
            .map_err(|_| complain("The schema is not valid JSON."));
    };
    let text = parameters.get();
    if !text.starts_with('{') {
        return Err(complain("The parameters of a tool are a JSON Schema object."));
    }
    if too_deep(text) {
        return Err(complain("The schema is nested too deeply; 128 levels are the limit."));
    }
    let root: SchemaRoot<'_> = serde_json::from_str(text)
        .map_err(|_| complain("The schema gives a member of its root twice."))?;
    if root.kind.is_some() {
        return Ok(Cow::Borrowed(parameters));
    }
    let rest = text[1..].trim_start();
    let comma = if rest.starts_with('}') { "" } else { "," };
    owned(format!(r#"{{"type":"object"{comma}{rest}"#))
        .map_err(|_| complain("The schema is not valid JSON."))
}

/// Arguments of a past call as the object Bedrock wants. Text that is no JSON object is kept as
/// text, not lost: the model then sees what it wrote.
pub(crate) fn input<'a>(arguments: &'a str) -> Result<Raw<'a>, serde_json::Error> {
    let text = arguments.trim();
    if text.is_empty() {
        return owned("{}".to_owned());
    }
    match serde_json::from_str::<&'a RawValue>(text) {
        Ok(raw) if raw.get().starts_with('{') && !too_deep(raw.get()) => Ok(Cow::Borrowed(raw)),
        _ => owned(serde_json::json!({ "arguments": text }).to_string()),
    }
}

fn owned<'a>(text: String) -> Result<Raw<'a>, serde_json::Error> {
    RawValue::from_string(text).map(Cow::Owned)
}

/// Raw JSON has no depth limit of its own, and what reads it next may recurse.
pub(crate) fn too_deep(json: &str) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    json.bytes().any(|byte| {
        match (in_string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_string = !in_string,
            (false, b'{' | b'[') => depth += 1,
            (false, b'}' | b']') => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > MAX_DEPTH
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_fit_stay_and_others_are_told_apart() {
        assert!(matches!(sent_name("get_weather-2"), Cow::Borrowed(_)));
        let (dotted, slashed) = (sent_name("files.read"), sent_name("files/read"));
        assert!(dotted.starts_with("files_read_") && slashed.starts_with("files_read_"));
        assert_ne!(dotted, slashed);
        let long = "x".repeat(65);
        assert_eq!(sent_name(&long).len(), 64);
        assert_ne!(sent_name(&long), sent_name(&"x".repeat(66)));
        assert_eq!(sent_name("é").len(), 10);
        assert_eq!(sent_id("functions.f:0"), "functions.f:0");
        assert_ne!(sent_id(""), "");
    }

    #[test]
    fn arguments_become_an_object_and_nothing_is_lost() {
        let of = |text: &str| input(text).unwrap().get().to_owned();
        assert_eq!(of(r#" {"b": 1, "a": 2} "#), r#"{"b": 1, "a": 2}"#);
        assert_eq!(of(""), "{}");
        assert_eq!(of("[1]"), r#"{"arguments":"[1]"}"#);
        assert_eq!(of(r#"{"a":1}{"b":2}"#), r#"{"arguments":"{\"a\":1}{\"b\":2}"}"#);
        assert_eq!(of("\"x"), r#"{"arguments":"\"x"}"#);
    }

    #[test]
    fn schemas_keep_their_bytes_and_get_a_type() {
        let raw = |text: &'static str| -> &'static RawValue { serde_json::from_str(text).unwrap() };
        let of = |text| input_schema(Some(raw(text)), "t").map(|raw| raw.get().to_owned());
        let kept = r#"{ "type": "object", "properties": {"z": {}, "a": {}} }"#;
        assert_eq!(of(kept).unwrap(), kept);
        assert_eq!(of(r#"{"properties":{}}"#).unwrap(), r#"{"type":"object","properties":{}}"#);
        assert_eq!(of("{ }").unwrap(), r#"{"type":"object"}"#);
        assert_eq!(of("[]").unwrap_err().code, "invalid_function_parameters");
        assert_eq!(of("null").unwrap(), r#"{"type":"object","properties":{}}"#);
    }

    #[test]
    fn depth_is_counted_outside_strings() {
        assert!(!too_deep(&"[".repeat(128)));
        assert!(too_deep(&"[".repeat(129)));
        assert!(!too_deep(&format!("\"{}\"", "[".repeat(500))));
        assert!(!too_deep(&format!("\"\\\"{}\"", "[".repeat(500))));
    }
}
