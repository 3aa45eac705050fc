//! Tools whose declaration is known by their type alone: commands, patches, and a search for tools.

use schema::openai::responses::item::CallItemKind;
use schema::openai::responses::tool::ToolFields;
use serde_json::value::RawValue;

/// A tool that the client runs and OpenAI defines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::responses) enum Builtin {
    LocalShell,
    Shell,
    ApplyPatch,
    /// A search for tools by the client.
    ToolSearch,
}

const LOCAL_SHELL: &str = r#"{"type":"object","properties":{"command":{"type":"array","items":{"type":"string"},"description":"The program and its arguments."},"working_directory":{"type":"string"},"timeout_ms":{"type":"integer"},"env":{"type":"object","additionalProperties":{"type":"string"}}},"required":["command"]}"#;
const SHELL: &str = r#"{"type":"object","properties":{"commands":{"type":"array","items":{"type":"string"},"description":"Commands for a shell, each run on its own."},"timeout_ms":{"type":"integer"},"max_output_length":{"type":"integer"}},"required":["commands"]}"#;
const APPLY_PATCH: &str = r#"{"type":"object","properties":{"type":{"type":"string","enum":["create_file","update_file","delete_file"]},"path":{"type":"string","description":"The file, relative to the workspace."},"diff":{"type":"string","description":"The change of the file; not for delete_file."}},"required":["type","path"]}"#;
const TOOL_SEARCH: &str =
    r#"{"type":"object","properties":{"query":{"type":"string"}},"required":["query"]}"#;

const PATCH_RULES: &str = "Creates, updates or deletes a file. The diff of create_file is the content of the file, every line with + in front. The diff of update_file has sections that begin with a line @@ and, where it helps to find the place, a line of the file behind it; in a section, lines with a space in front are context, lines with - are removed and lines with + are added. Three lines of context stand before and after a change, as they are in the file.";

impl Builtin {
    /// The tool of a declaration; `None` for one that the client does not run.
    pub(super) fn of(fields: &ToolFields<'_>) -> Option<Self> {
        let is_local =
            fields.environment.as_ref().is_none_or(|environment| environment.kind == "local");
        match &*fields.kind {
            "local_shell" => Some(Self::LocalShell),
            "shell" if is_local => Some(Self::Shell),
            "apply_patch" => Some(Self::ApplyPatch),
            "tool_search" if fields.execution.as_deref() == Some("client") => {
                Some(Self::ToolSearch)
            }
            _ => None,
        }
    }

    /// The type, which is also the name.
    pub(super) fn word(self) -> &'static str {
        name_of(self.kind())
    }

    /// The kind of its calls.
    pub(super) fn kind(self) -> CallItemKind {
        match self {
            Self::LocalShell => CallItemKind::LocalShell,
            Self::Shell => CallItemKind::Shell,
            Self::ApplyPatch => CallItemKind::ApplyPatch,
            Self::ToolSearch => CallItemKind::ToolSearch,
        }
    }

    /// The schema of its input.
    pub(super) fn schema(self) -> Option<&'static RawValue> {
        let schema = match self {
            Self::LocalShell => LOCAL_SHELL,
            Self::Shell => SHELL,
            Self::ApplyPatch => APPLY_PATCH,
            Self::ToolSearch => TOOL_SEARCH,
        };
        serde_json::from_str(schema).ok()
    }

    /// The description for the model, where the declaration has none.
    pub(super) fn description(self) -> Option<&'static str> {
        Some(match self {
            Self::LocalShell => "Runs a program on the user's machine and returns its output.",
            Self::Shell => {
                "Runs commands in a shell on the user's machine and returns their output."
            }
            Self::ApplyPatch => PATCH_RULES,
            Self::ToolSearch => "Searches for tools that can then be called.",
        })
    }
}

/// The name of a tool that is known by the kind of its calls.
pub(super) fn name_of(kind: CallItemKind) -> &'static str {
    match kind {
        CallItemKind::Function | CallItemKind::Custom => "unknown",
        CallItemKind::LocalShell => "local_shell",
        CallItemKind::Shell => "shell",
        CallItemKind::ApplyPatch => "apply_patch",
        CallItemKind::ToolSearch => "tool_search",
    }
}
