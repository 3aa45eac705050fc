//! Items of an input: messages, calls and their outputs, reasoning, and what agents add. An item of an
//! unknown type keeps its type.

use serde::Deserialize;
use serde::de::{Deserializer, Error};
use serde_json::value::RawValue;

use super::request::{ReasoningOptions, TextOptions};
use super::tool::SentTool;
use crate::Str;
use crate::openai::content::Content;
use crate::openai::message::Role;

/// An item.
#[derive(Debug, Clone)]
pub enum Item<'a> {
    Message(ItemMessage<'a>),
    /// A past call by the assistant.
    Call(CallItem<'a>),
    /// The output of a call.
    Output(OutputItem<'a>),
    /// Past reasoning.
    Reasoning(ReasoningItem<'a>),
    /// Another item by its id.
    Reference(Str<'a>),
    /// Tools that are declared besides those of the request.
    AdditionalTools(Vec<SentTool<'a>>),
    /// Settings that apply from here on.
    Configuration(Box<Configuration<'a>>),
    /// A message between agents.
    AgentMessage(Content<'a>),
    /// A summary of a conversation.
    Compaction(CompactionItem<'a>),
    /// The history of a tool that OpenAI runs; the model needs none of it.
    Hosted,
    /// An item of an unknown type, by its type.
    Unknown(Str<'a>),
}

/// A message.
#[derive(Debug, Clone)]
pub struct ItemMessage<'a> {
    pub role: Role,
    pub content: Option<Content<'a>>,
    /// The content as it was sent.
    pub sent: Option<&'a RawValue>,
}

/// A past call.
#[derive(Debug, Clone)]
pub struct CallItem<'a> {
    pub kind: CallItemKind,
    /// The id that its output refers to.
    pub call_id: Option<Str<'a>>,
    /// The id of the item itself.
    pub id: Option<Str<'a>>,
    /// The name of the tool; that of its type for tools without one.
    pub name: Option<Str<'a>>,
    pub namespace: Option<Str<'a>>,
    /// Arguments as JSON text, or a free-form input.
    pub input: Str<'a>,
}

/// The kinds of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallItemKind {
    Function,
    Custom,
    LocalShell,
    Shell,
    ApplyPatch,
    ToolSearch,
}

/// The output of a call.
#[derive(Debug, Clone)]
pub struct OutputItem<'a> {
    pub kind: CallItemKind,
    pub call_id: Option<Str<'a>>,
    pub id: Option<Str<'a>>,
    pub content: Option<Content<'a>>,
    /// Tools that a search has found.
    pub tools: Vec<SentTool<'a>>,
}

/// Past reasoning; what is readable of it is not sent back.
#[derive(Debug, Clone)]
pub struct ReasoningItem<'a> {
    pub id: Option<Str<'a>>,
    pub encrypted_content: Option<Str<'a>>,
}

/// A summary of a conversation, which only its maker can read.
#[derive(Debug, Clone)]
pub struct CompactionItem<'a> {
    pub kind: Str<'a>,
    pub encrypted_content: Option<Str<'a>>,
}

/// Settings that override those of the request.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Configuration<'a> {
    #[serde(borrow)]
    pub reasoning: Option<ReasoningOptions<'a>>,
    #[serde(borrow)]
    pub text: Option<TextOptions<'a>>,
}

/// A member whose form depends on the item's type.
type Raw<'a> = Option<&'a RawValue>;

/// Every member that an item may have; the type is known only at the end.
#[derive(Deserialize)]
struct ItemFields<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Str<'a>>,
    #[serde(borrow)]
    role: Raw<'a>,
    #[serde(borrow)]
    content: Raw<'a>,
    #[serde(borrow)]
    id: Raw<'a>,
    #[serde(borrow)]
    call_id: Raw<'a>,
    #[serde(borrow)]
    name: Raw<'a>,
    #[serde(borrow)]
    namespace: Raw<'a>,
    #[serde(borrow)]
    arguments: Raw<'a>,
    #[serde(borrow)]
    input: Raw<'a>,
    #[serde(borrow)]
    action: Raw<'a>,
    #[serde(borrow)]
    actions: Raw<'a>,
    #[serde(borrow)]
    operation: Raw<'a>,
    #[serde(borrow)]
    output: Raw<'a>,
    #[serde(borrow)]
    status: Raw<'a>,
    #[serde(borrow)]
    tools: Raw<'a>,
    #[serde(borrow)]
    encrypted_content: Raw<'a>,
    #[serde(borrow)]
    reasoning: Raw<'a>,
    #[serde(borrow)]
    text: Raw<'a>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Item<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        ItemFields::deserialize(deserializer)?.item().map_err(D::Error::custom)
    }
}

impl<'a> ItemFields<'a> {
    fn item(self) -> Result<Item<'a>, String> {
        use CallItemKind::{ApplyPatch, Custom, Function, LocalShell, Shell, ToolSearch};
        let Some(kind) = self.kind.clone() else {
            return match (self.role, string(self.id)) {
                (Some(_), _) => self.message(),
                (None, Some(id)) => Ok(Item::Reference(id)),
                (None, None) => Err("an item needs a type or a role".to_owned()),
            };
        };
        Ok(match kind.as_str() {
            "message" => self.message()?,
            "function_call" => self.call(Function, self.arguments),
            "custom_tool_call" => self.call(Custom, self.input),
            "local_shell_call" => self.call(LocalShell, self.action),
            "shell_call" => self.call(Shell, self.action),
            "apply_patch_call" => self.call(ApplyPatch, self.operation),
            "tool_search_call" => self.call(ToolSearch, self.arguments),
            // Like a function of that name: no model has OpenAI's own tool.
            "computer_call" => self.computer_call(),
            "function_call_output" | "computer_call_output" => self.output(Function),
            "custom_tool_call_output" => self.output(Custom),
            "local_shell_call_output" => self.output(LocalShell),
            "shell_call_output" => self.output(Shell),
            "apply_patch_call_output" => self.output(ApplyPatch),
            "tool_search_output" => self.output(ToolSearch),
            "reasoning" => Item::Reasoning(ReasoningItem {
                id: string(self.id),
                encrypted_content: string(self.encrypted_content),
            }),
            "item_reference" => string(self.id).map_or(Item::Unknown(kind), Item::Reference),
            "additional_tools" => Item::AdditionalTools(read(self.tools).unwrap_or_default()),
            "configuration_update" => Item::Configuration(Box::new(Configuration {
                reasoning: read(self.reasoning),
                text: read(self.text),
            })),
            "agent_message" => read(self.content).map_or(Item::Unknown(kind), Item::AgentMessage),
            "compaction" | "compaction_summary" | "context_compaction" => {
                let encrypted_content = string(self.encrypted_content);
                Item::Compaction(CompactionItem { kind, encrypted_content })
            }
            "web_search_call"
            | "file_search_call"
            | "code_interpreter_call"
            | "image_generation_call"
            | "mcp_list_tools"
            | "mcp_call"
            | "mcp_approval_request"
            | "mcp_approval_response"
            | "program"
            | "program_output" => Item::Hosted,
            _ => Item::Unknown(kind),
        })
    }

    fn message(self) -> Result<Item<'a>, String> {
        let role = self.role.map_or(Ok(Role::User), |raw| serde_json::from_str(raw.get()));
        let role = role.map_err(|error| format!("invalid role: {}", plain(&error)))?;
        let sent = self.content.filter(|raw| raw.get() != "null");
        let content = match sent {
            None => None,
            Some(raw) => {
                let content = serde_json::from_str::<Content<'a>>(raw.get());
                Some(content.map_err(|error| format!("invalid content: {}", plain(&error)))?)
            }
        };
        Ok(Item::Message(ItemMessage { role, content, sent }))
    }

    fn computer_call(&self) -> Item<'a> {
        match self.call(CallItemKind::Function, self.actions.or(self.action)) {
            Item::Call(call) => Item::Call(CallItem { name: Some("computer".into()), ..call }),
            other => other,
        }
    }

    fn call(&self, kind: CallItemKind, input: Raw<'a>) -> Item<'a> {
        // Arguments are a text; some clients send the JSON itself, as the other kinds do.
        let input = input.map(|raw| string(Some(raw)).unwrap_or_else(|| raw.get().into()));
        Item::Call(CallItem {
            kind,
            call_id: string(self.call_id),
            id: string(self.id),
            name: string(self.name),
            namespace: string(self.namespace),
            input: input.unwrap_or_default(),
        })
    }

    fn output(&self, kind: CallItemKind) -> Item<'a> {
        let given = self.output.or(self.content).filter(|raw| raw.get() != "null");
        let given = given.or(if kind == CallItemKind::ApplyPatch { self.status } else { None });
        let content = given.map(|raw| {
            let content = read::<Content<'a>>(Some(raw));
            // An output in another form reaches the model as JSON.
            content.unwrap_or_else(|| Content::Text(raw.get().into()))
        });
        Item::Output(OutputItem {
            kind,
            call_id: string(self.call_id),
            id: string(self.id),
            content,
            tools: read(self.tools).unwrap_or_default(),
        })
    }
}

impl<'a> ItemMessage<'a> {
    /// A message of one text, which the gateway adds.
    pub fn of_text(role: Role, text: Str<'a>) -> Self {
        Self { role, content: Some(Content::Text(text)), sent: None }
    }
}

fn string<'a>(raw: Raw<'a>) -> Option<Str<'a>> {
    read(raw)
}

/// Reads a member in its expected form; in another form it has no effect.
fn read<'a, T: Deserialize<'a>>(raw: Raw<'a>) -> Option<T> {
    serde_json::from_str(raw?.get()).ok()
}

/// An error without its place, which is counted from the beginning of the member.
fn plain(error: &serde_json::Error) -> String {
    let told = error.to_string();
    told.rsplit_once(" at line ").map_or(told.clone(), |(told, _)| told.to_owned())
}
