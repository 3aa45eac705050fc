//! Tools, names and call ids. Bedrock's patterns are narrower than what clients use, so what does
//! not fit is renamed by a rule that needs no memory: the same name always becomes the same name,
//! in tools, in history and in answers.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use schema::Raw;
use schema::converse::tool::{InputSchema, Tool, ToolChoice, ToolConfig, ToolSpec};
use schema::openai::tool::{self as openai, FunctionDefinition};
use serde_json::value::RawValue;

use super::schemas::{input_schema, owned, too_deep};
use crate::Invalid;
use crate::profile::{NoTool, Profile, ToolChoices};

/// Names that had to be changed, so that answers can say them as the client did.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    /// As sent: as the client said it.
    renamed: HashMap<String, String>,
}

impl Names {
    /// The client's name of a tool that Bedrock calls `sent`.
    pub(crate) fn original<'n>(&'n self, sent: &'n str) -> &'n str {
        self.renamed.get(sent).map_or(sent, String::as_str)
    }

    fn note(&mut self, sent: &str, original: &str) {
        if sent != original && !self.renamed.contains_key(sent) {
            self.renamed.insert(sent.to_owned(), original.to_owned());
        }
    }
}

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
    /// Whether, and how, the model is told to call none of them.
    pub(crate) calls: Calls,
    /// The choice could not be honoured in full.
    pub(crate) choice_ignored: bool,
}

/// Whether the model may call the tools it is told of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Calls {
    /// As it likes.
    #[default]
    Welcome,
    /// It should not, and cannot be told: they are there for the sake of history.
    Unwelcome,
    /// It is told not to, by the provider's own field.
    Forbidden,
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
    let mut tools = declare(declared, &mut tooling.names)?;
    for name in history {
        tooling.names.note(&sent_name(name), name);
    }
    let tool_choice = if tools.is_empty() {
        tools = remember(history)?;
        tooling.discourage(profile);
        let asked = choice.is_some_and(|choice| *choice != openai::ToolChoice::Auto);
        let said_none = choice == Some(&openai::ToolChoice::None);
        tooling.choice_ignored =
            asked && !(said_none && (tools.is_empty() || tooling.calls == Calls::Forbidden));
        None
    } else {
        tooling.choose(choice, &mut tools, history, profile)?
    };
    if !tools.is_empty() {
        let tools = tools.into_iter().map(Tool::ToolSpec).collect();
        tooling.config = Some(ToolConfig { tools, tool_choice });
    }
    Ok(tooling)
}

impl<'a> Tooling<'a> {
    fn choose(
        &mut self,
        choice: Option<&'a openai::ToolChoice<'a>>,
        tools: &mut Vec<ToolSpec<'a>>,
        history: &[&'a str],
        profile: &Profile,
    ) -> Result<Option<ToolChoice<'a>>, Invalid> {
        let chosen = match choice {
            None | Some(openai::ToolChoice::Auto) => return Ok(None),
            Some(openai::ToolChoice::None) => {
                if history.is_empty() {
                    tools.clear();
                } else {
                    self.discourage(profile);
                    self.choice_ignored = self.calls == Calls::Unwelcome;
                }
                return Ok(None);
            }
            Some(openai::ToolChoice::Allowed { required: false, names }) => {
                allow(names, tools)?;
                return Ok(None);
            }
            Some(openai::ToolChoice::Allowed { required: true, names }) => {
                allow(names, tools)?;
                any(profile)
            }
            Some(openai::ToolChoice::Required) => any(profile),
            Some(openai::ToolChoice::Named(name)) => named(name, tools, profile)?,
        };
        self.choice_ignored = chosen.is_none();
        Ok(chosen)
    }

    fn discourage(&mut self, profile: &Profile) {
        self.calls = match profile.no_tool {
            NoTool::ChoiceField => Calls::Forbidden,
            NoTool::Unsaid => Calls::Unwelcome,
        };
    }
}

fn declare<'a>(declared: &[Declared<'a>], names: &mut Names) -> Result<Vec<ToolSpec<'a>>, Invalid> {
    let mut taken = HashSet::with_capacity(declared.len());
    let mut tools = Vec::with_capacity(declared.len());
    for one in declared {
        let tool = tool_spec(one, names)?;
        if !taken.insert(tool.name.clone()) {
            let name = one.definition.name.as_str();
            let message = format!("Two tools are called {name:?}; give each a name of its own.");
            return Err(Invalid::value(format!("{}.name", one.param), message));
        }
        tools.push(tool);
    }
    Ok(tools)
}

/// Tools that only history knows: they may take anything.
fn remember<'a>(history: &[&'a str]) -> Result<Vec<ToolSpec<'a>>, Invalid> {
    let mut taken = HashSet::with_capacity(history.len());
    let names = history.iter().map(|name| sent_name(name));
    names
        .filter(|name| taken.insert(name.clone()))
        .map(|name| {
            let input_schema = InputSchema { json: input_schema(None, "tools")? };
            Ok(ToolSpec { description: name.clone(), name, input_schema, strict: None })
        })
        .collect()
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

fn tool_spec<'a>(declared: &Declared<'a>, names: &mut Names) -> Result<ToolSpec<'a>, Invalid> {
    let FunctionDefinition { name, description, parameters, strict: _, cache_control: _ } =
        declared.definition;
    if name.is_empty() {
        let message = "A tool needs a name of 1 to 64 characters.";
        return Err(Invalid::value(format!("{}.name", declared.param), message));
    }
    let sent = sent_name(name);
    names.note(&sent, name);
    let description = description.as_deref().filter(|text| !text.trim().is_empty());
    Ok(ToolSpec {
        name: sent,
        description: Cow::Borrowed(description.unwrap_or(name)),
        input_schema: InputSchema { json: input_schema(*parameters, &declared.param)? },
        strict: None,
    })
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
}
