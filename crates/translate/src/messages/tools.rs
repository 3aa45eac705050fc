//! The tools of a messages request on Converse, as the inputs that the shared parts take. Tools that a
//! client runs and that Anthropic's models know by their type are declared with their published
//! schemas.

use schema::anthropic::messages::MessagesRequest;
use schema::anthropic::messages::tool::{Tool, ToolChoice, ToolMembers};
use serde_json::value::RawValue;

use crate::parts::tools::{CallRule, ChoiceRequest, Declared, DeclaredTool, Declaring, ToolInput};
use crate::{Invalid, Profile, Report};

/// Stands in Claude Code's list for tools that a search is to find.
pub(super) const PLACEHOLDER: &str = "DeferredToolPlaceholder";

/// Client tools by the beginning of their type, with description and schema.
const TYPED: &[(&str, &str, &str)] = &[
    (
        "bash_",
        "Runs a command in a shell that stays open between calls.",
        r#"{"type":"object","properties":{"command":{"type":"string","description":"The command to run."},"restart":{"type":"boolean","description":"Restarts the shell instead."}}}"#,
    ),
    (
        "text_editor_",
        "Views, creates and edits text files.",
        r#"{"type":"object","properties":{"command":{"type":"string","enum":["view","create","str_replace","insert"]},"path":{"type":"string","description":"Absolute path of a file or directory."},"file_text":{"type":"string","description":"For create: the content."},"old_str":{"type":"string","description":"For str_replace: the text to replace, which must be unique in the file."},"new_str":{"type":"string","description":"For str_replace: the new text."},"insert_line":{"type":"integer","description":"For insert: the line after which the text goes."},"insert_text":{"type":"string","description":"For insert: the text."},"view_range":{"type":"array","items":{"type":"integer"},"description":"For view: first and last line."}},"required":["command","path"]}"#,
    ),
    (
        "memory_",
        "Reads and writes files below /memories, which stay between conversations.",
        r#"{"type":"object","properties":{"command":{"type":"string","enum":["view","create","str_replace","insert","delete","rename"]},"path":{"type":"string","description":"A path below /memories."},"view_range":{"type":"array","items":{"type":"integer"}},"file_text":{"type":"string"},"old_str":{"type":"string"},"new_str":{"type":"string"},"insert_line":{"type":"integer"},"insert_text":{"type":"string"},"old_path":{"type":"string"},"new_path":{"type":"string"}},"required":["command"]}"#,
    ),
];

/// Beginnings of the types of tools that Anthropic runs, with their names.
const SERVED: &[(&str, &str)] = &[
    ("web_search_", "web search"),
    ("web_fetch_", "web fetch"),
    ("code_execution_", "code execution"),
    ("advisor_", "advisor"),
    ("mcp_toolset", "MCP connector"),
    ("browser_", "browser toolset"),
    ("tool_search_tool_", "tool search"),
];

/// The name of the service behind a tool that Anthropic runs.
pub(super) fn served_by_anthropic(kind: &str) -> Option<&'static str> {
    SERVED.iter().find(|(beginning, _)| kind.starts_with(beginning)).map(|(_, name)| *name)
}

/// Refuses a tool that cannot be run, where leaving it out would leave nothing to call or the caller
/// forces it; else reports it.
///
/// # Errors
/// It is the only tool, or the forced one.
pub(super) fn leave_out(
    (at, kind, name): (usize, &str, Option<&str>),
    request: &MessagesRequest<'_>,
    report: &mut Report,
) -> Result<(), Invalid> {
    let is_only = request.tools.as_ref().is_none_or(|tools| tools.len() < 2);
    let forced = request.tool_choice.as_ref().and_then(|choice| choice.name.as_deref());
    if !is_only && (forced.is_none() || forced != name) {
        report.ignore(&format!("tools.{kind}"));
        return Ok(());
    }
    let message = match served_by_anthropic(kind) {
        Some(service) => format!(
            "The service does not run {service} itself; remove tools[{at}] ({kind}), or declare a tool of your own with an input_schema."
        ),
        None => format!(
            "The tool type {kind:?} is not known for this model; remove tools[{at}], or declare a tool of your own with an input_schema."
        ),
    };
    Err(Invalid::value(format!("tools[{at}].type"), message).with_code("unsupported_value"))
}

/// The declared tools and the choice among them.
///
/// # Errors
/// A tool has no name, a duplicate name or an invalid schema, or cannot be run.
pub(super) fn declared<'a>(
    request: &'a MessagesRequest<'a>,
    profile: &Profile,
    report: &mut Report,
) -> Result<(Declared<'a>, ChoiceRequest<'a>), Invalid> {
    let mut left = Vec::new();
    let mut inner = Report::default();
    let mut declaring = Declaring::new(profile, &mut inner);
    for (at, tool) in request.tools.iter().flatten().enumerate() {
        let place = format!("tools[{at}]");
        let ToolMembers { kind: _, name, description, input_schema, strict, defer_loading, .. } =
            &tool.members;
        if *defer_loading == Some(true) {
            report.ignore("tools.defer_loading");
            if name.as_deref() == Some(PLACEHOLDER) {
                continue;
            }
        }
        others(tool, report);
        let description = description.as_deref();
        let (name, description, schema) = match tool.members.typed() {
            None => (name.as_deref().unwrap_or_default(), description, *input_schema),
            Some(kind) => match typed(kind) {
                Some((said, schema)) => (name.as_deref().unwrap_or(kind), Some(said), Some(schema)),
                None => {
                    if is_hosted(kind, profile) {
                        declaring.hosted(kind);
                    } else {
                        left.push((at, kind, name.as_deref()));
                    }
                    continue;
                }
            },
        };
        let input = ToolInput::Json { schema, strict: *strict == Some(true) };
        let declared = declaring.tool(DeclaredTool { name, description, input }, &place);
        declared.map_err(named_as_sent)?;
    }
    let declared = declaring.finish();
    report.join(&inner);
    for one in left {
        leave_out(one, request, report)?;
    }
    Ok((
        declared,
        request.tool_choice.as_ref().map(choice_request).transpose()?.unwrap_or_default(),
    ))
}

/// Reports the members of a tool that have no place on Converse.
fn others(tool: &Tool<'_>, report: &mut Report) {
    let ToolMembers {
        kind: _,
        name: _,
        description: _,
        input_schema: _,
        cache_control: _,
        strict: _,
        defer_loading: _,
        eager_input_streaming,
        input_examples,
        allowed_callers,
        custom,
    } = &tool.members;
    for (field, present) in [
        ("tools.eager_input_streaming", *eager_input_streaming == Some(true)),
        ("tools.input_examples", input_examples.is_some()),
        ("tools.allowed_callers", allowed_callers.is_some_and(|raw| raw.get() != r#"["direct"]"#)),
        ("tools.custom", custom.is_some()),
    ] {
        if present {
            report.ignore(field);
        }
    }
}

fn typed(kind: &str) -> Option<(&'static str, &'static RawValue)> {
    let (_, said, schema) = TYPED.iter().find(|(beginning, ..)| kind.starts_with(beginning))?;
    Some((said, serde_json::from_str(schema).ok()?))
}

/// Returns whether the service runs a tool of this type for the model.
fn is_hosted(kind: &str, profile: &Profile) -> bool {
    let has = |tool: &Option<String>| tool.is_some();
    (kind.starts_with("web_search") && has(&profile.web_search_tool))
        || (kind.starts_with("code_execution") && has(&profile.code_tool))
}

/// The error with Anthropic's name of the field for schemas.
fn named_as_sent(mut invalid: Invalid) -> Invalid {
    if let Some(tool) = invalid.param.as_deref().and_then(|param| param.strip_suffix(".parameters"))
    {
        invalid.param = Some(format!("{tool}.input_schema"));
    }
    invalid
}

/// The choice, as far as it concerns which tool is called.
///
/// # Errors
/// An unknown kind of choice, or none of the tools is named.
fn choice_request<'a>(choice: &'a ToolChoice<'a>) -> Result<ChoiceRequest<'a>, Invalid> {
    let rule = match (&*choice.kind, choice.name.as_deref()) {
        ("auto", _) => CallRule::Free,
        ("any", _) => CallRule::Call,
        ("none", _) => CallRule::NoCalls,
        ("tool", Some(name)) => CallRule::CallOf(name),
        ("tool", None) => {
            return Err(Invalid::value("tool_choice.name", "Field required")
                .with_code("missing_required_parameter"));
        }
        (other, _) => {
            let message =
                format!("tool_choice.type is auto, any, tool or none, and not {other:?}.");
            return Err(Invalid::value("tool_choice.type", message));
        }
    };
    Ok(ChoiceRequest { rule, allowed: None })
}
