//! Tools and tool choice: declarations become `toolConfig`, with the names, schemas and forms that
//! Bedrock accepts.

use std::collections::HashSet;

use schema::Str;
use schema::converse::tool::{InputSchema, Tool, ToolChoice, ToolConfig, ToolSpec};

use super::schemas::tool_schema;
use crate::Invalid;
use crate::profile::{NoTool, Profile, Surface, ToolChoices};
use crate::stored_prompt::own_tools;

mod call_ids;
mod declared;
mod delivery;
mod form;
mod hosted;
mod names;

pub(crate) use call_ids::{SentIds, sent_id};
pub(crate) use declared::{Declared, DeclaredTool, Declaring, ToolGrammar, ToolInput};
pub use delivery::Delivery;
pub(crate) use delivery::delivery;
pub(crate) use form::{CalledWith, Form, Unwrap, input, unwrapped};
pub(crate) use names::{SentToolNames, sent_name};

/// The translated tools of a request.
#[derive(Default)]
pub(crate) struct Tooling<'a> {
    pub(crate) config: Option<ToolConfig<'a>>,
    pub(crate) names: SentToolNames,
    /// Permission to call them, and the means by which calls are forbidden.
    pub(crate) calls: Calls,
    /// The choice could not be honoured in full.
    pub(crate) choice_ignored: bool,
}

/// The caller's choice among the declared tools.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ChoiceRequest<'a> {
    pub(crate) rule: CallRule<'a>,
    /// The only tools that may be called.
    pub(crate) allowed: Option<&'a [Str<'a>]>,
}

impl ChoiceRequest<'_> {
    /// Whether it has no effect where no tools are declared.
    fn is_ignored(&self) -> bool {
        match self.rule {
            CallRule::Free => self.allowed.is_some(),
            CallRule::NoCalls => false,
            CallRule::Call | CallRule::CallOf(_) => true,
        }
    }
}

/// The calls that the caller requires of an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum CallRule<'a> {
    /// Any or none, as the model decides.
    #[default]
    Free,
    NoCalls,
    /// At least one.
    Call,
    /// A call of this tool.
    CallOf(&'a str),
}

/// Permission to call the declared tools.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Calls {
    /// Allowed.
    #[default]
    Welcome,
    /// Not wanted, but the service has no field for it: the tools are declared only because of
    /// history. The prompt forbids calls, and calls made all the same are not shown to the client.
    Unwelcome,
    /// Forbidden by the provider's own field.
    Forbidden,
}

/// Builds `toolConfig`. `history` names the tools that past turns called: Bedrock refuses tool
/// blocks without declared tools, so they are declared if the request declares none. `declared_by`
/// is the field to name where a model supports no tools.
pub(crate) fn tooling<'a>(
    declared: Declared<'a>,
    declared_by: &'static str,
    choice: ChoiceRequest<'a>,
    history: &[&'a str],
    profile: &Profile,
) -> Result<Tooling<'a>, Invalid> {
    let Declared { mut tools, mut hosted, names } = declared;
    let mut tooling = Tooling { names, ..Tooling::default() };
    for name in history {
        tooling.names.note(&sent_name(name, profile.tool_names), name);
    }
    if profile.surface == Surface::Prompt {
        if !tools.is_empty() || !hosted.is_empty() {
            return Err(own_tools(declared_by));
        }
        tooling.choice_ignored = choice.is_ignored();
        return Ok(tooling);
    }
    let field = if tools.is_empty() { "messages" } else { declared_by };
    let tool_choice = if tools.is_empty() {
        tools = remember(history, profile)?;
        tooling.discourage(profile);
        tooling.choice_ignored = choice.is_ignored();
        None
    } else {
        tooling.choose(choice, &mut tools, history, profile)?
    };
    if choice.rule == CallRule::NoCalls {
        hosted.clear();
    }
    if profile.tool_choice == ToolChoices::NoTools && !tools.is_empty() {
        return Err(no_tools(field));
    }
    if !tools.is_empty() || !hosted.is_empty() {
        let hosted = hosted.into_iter().map(Tool::SystemTool);
        let tools = tools.into_iter().map(Tool::ToolSpec).chain(hosted).collect();
        tooling.config = Some(ToolConfig { tools, tool_choice });
    }
    Ok(tooling)
}

impl<'a> Tooling<'a> {
    /// Returns whether tools are declared whose calls only the prompt forbids.
    pub(crate) fn is_unwelcome(&self) -> bool {
        self.calls == Calls::Unwelcome && self.config.is_some()
    }

    /// Returns whether the service runs some of the tools, which may then be called.
    pub(crate) fn is_served(&self) -> bool {
        let tools = self.config.iter().flat_map(|config| &config.tools);
        tools.into_iter().any(|tool| matches!(tool, Tool::SystemTool(_)))
    }

    fn choose(
        &mut self,
        ChoiceRequest { rule, allowed }: ChoiceRequest<'a>,
        tools: &mut Vec<ToolSpec<'a>>,
        history: &[&'a str],
        profile: &Profile,
    ) -> Result<Option<ToolChoice<'a>>, Invalid> {
        if let Some(names) = allowed {
            allow(names, tools, profile)?;
        }
        let chosen = match rule {
            CallRule::Free => return Ok(None),
            CallRule::NoCalls => {
                if history.is_empty() {
                    tools.clear();
                } else {
                    self.discourage(profile);
                }
                return Ok(None);
            }
            CallRule::Call => any(profile),
            CallRule::CallOf(name) => named(name, tools, profile)?,
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

/// Refuses tools for a model without tool support. Leaving the tools out would run an agent that
/// never acts.
fn no_tools(field: &'static str) -> Invalid {
    let message = "This model takes no tools. Leave out tools and the calls of the history, or choose a model that takes them: GET /v1/models lists which do.";
    Invalid::value(field, message).with_code("unsupported_parameter")
}

/// Declares tools known only from history, with schemas that accept any input.
fn remember<'a>(history: &[&'a str], profile: &Profile) -> Result<Vec<ToolSpec<'a>>, Invalid> {
    let mut taken = HashSet::with_capacity(history.len());
    let names = history.iter().map(|name| sent_name(name, profile.tool_names));
    names
        .filter(|name| taken.insert(name.clone()))
        .map(|name| {
            let input_schema = InputSchema { json: tool_schema(None, "tools", profile)?.json };
            Ok(ToolSpec { description: name.clone(), name, input_schema, strict: None })
        })
        .collect()
}

fn any<'a>(profile: &Profile) -> Option<ToolChoice<'a>> {
    (profile.tool_choice >= ToolChoices::Any).then_some(ToolChoice::Any {})
}

/// Forces a tool by name; for a model that only supports "any", the other tools are left out.
fn named<'a>(
    name: &'a str,
    tools: &mut Vec<ToolSpec<'a>>,
    profile: &Profile,
) -> Result<Option<ToolChoice<'a>>, Invalid> {
    let sent = sent_name(name, profile.tool_names);
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
        ToolChoices::NoTools | ToolChoices::Auto => None,
    })
}

fn allow(
    names: &[Str<'_>],
    tools: &mut Vec<ToolSpec<'_>>,
    profile: &Profile,
) -> Result<(), Invalid> {
    let allowed: Vec<_> = names.iter().map(|name| sent_name(name, profile.tool_names)).collect();
    tools.retain(|tool| allowed.contains(&tool.name));
    if tools.is_empty() {
        let message = "tool_choice allows none of the tools in tools.";
        return Err(Invalid::value("tool_choice", message));
    }
    Ok(())
}
