//! Tools of a request in the model's own body: each passes with its own text, but for members that the
//! model refuses.

use std::borrow::Cow;

use schema::Raw;
use schema::anthropic::messages::MessagesRequest;
use schema::anthropic::messages::tool::{Tool, ToolMembers};
use schema::anthropic::object::RawObject;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use super::features::Features;
use super::marks::{MarkChange, Marks};
use crate::messages::tools::{PLACEHOLDER, leave_out};
use crate::profile::{Profile, StrictTools, ToolChoices};
use crate::{Invalid, Report};

/// The feature of tools that a search finds.
pub(super) const DEFERRED: &str = "tools.defer_loading";

/// Beginnings of the types of tools that every model of this body knows.
const KNOWN: [&str; 2] = ["bash_", "text_editor_"];
const SEARCH: &str = "tool_search_tool_";

/// The tools as they are sent.
///
/// # Errors
/// A tool has no name, or cannot be run.
pub(super) fn tools<'q>(
    request: &'q MessagesRequest<'_>,
    (features, marks): (&mut Features<'_>, &mut Marks),
    profile: &Profile,
    report: &mut Report,
) -> Result<Vec<Raw<'q>>, Invalid> {
    let mut sent = Vec::new();
    for (at, tool) in request.tools.iter().flatten().enumerate() {
        let mark = marks.next(tool.members.cache_control.as_ref());
        if let Some(kind) = tool.members.typed() {
            let is_known = KNOWN.iter().any(|beginning| kind.starts_with(beginning))
                || (kind.starts_with(SEARCH) && features.take(DEFERRED))
                || features.take(&format!("tools.{kind}"));
            match is_known {
                true => sent.push(marked(tool.raw, mark).map_err(unreadable(at))?),
                false => leave_out((at, kind, tool.members.name.as_deref()), request, report)?,
            }
            continue;
        }
        if tool.members.name.as_deref().is_none_or(str::is_empty) {
            let field = format!("tools[{at}].name");
            return Err(
                Invalid::value(field, "Field required").with_code("missing_required_parameter")
            );
        }
        sent.extend(custom(tool, mark, (features, profile), report).map_err(unreadable(at))?);
    }
    Ok(sent)
}

fn unreadable(at: usize) -> impl Fn(serde_json::Error) -> Invalid {
    move |_| Invalid::value(format!("tools[{at}]"), "The tool cannot be read.")
}

/// An object with its mark changed.
pub(super) fn marked<'q>(
    raw: &'q RawValue,
    mark: MarkChange,
) -> Result<Raw<'q>, serde_json::Error> {
    if mark == MarkChange::None {
        return Ok(Cow::Borrowed(raw));
    }
    let mut object = RawObject::of(raw)?;
    mark.apply(&mut object)?;
    Ok(Cow::Owned(object.to_raw()?))
}

/// One of the client's own tools; `None` for the placeholder of tools that no search can find.
fn custom<'q>(
    tool: &'q Tool<'_>,
    mark: MarkChange,
    (features, profile): (&mut Features<'_>, &Profile),
    report: &mut Report,
) -> Result<Option<Raw<'q>>, serde_json::Error> {
    let ToolMembers {
        kind: _,
        name,
        description: _,
        input_schema,
        cache_control: _,
        strict,
        defer_loading,
        eager_input_streaming,
        input_examples,
        allowed_callers,
        custom,
    } = &tool.members;
    let mut object = RawObject::of(tool.raw)?;
    let mut is_changed = mark != MarkChange::None;
    mark.apply(&mut object)?;
    // Some clients nest members of a later version.
    let nested: Value = match custom {
        Some(raw) => serde_json::from_str(raw.get())?,
        None => Value::Null,
    };
    if custom.is_some() {
        is_changed |= object.remove("custom");
    }
    let is_deferred = *defer_loading == Some(true) || nested["defer_loading"] == true;
    if is_deferred && features.take(DEFERRED) {
        if *defer_loading != Some(true) {
            object.set("defer_loading", to_raw_value(&true)?);
        }
    } else {
        if is_deferred {
            report.ignore(DEFERRED);
            if name.as_deref() == Some(PLACEHOLDER) {
                return Ok(None);
            }
        }
        is_changed |= object.remove("defer_loading");
    }
    let direct = allowed_callers.is_none_or(|raw| raw.get() == r#"["direct"]"#);
    let held = profile.strict_tools == StrictTools::Native;
    for (member, is_given, means_something, is_taken) in [
        ("strict", strict.is_some(), *strict == Some(true), held),
        (
            "eager_input_streaming",
            eager_input_streaming.is_some(),
            *eager_input_streaming == Some(true),
            features.has("tools.eager_input_streaming"),
        ),
        ("input_examples", input_examples.is_some(), true, features.has("tools.input_examples")),
        (
            "allowed_callers",
            allowed_callers.is_some(),
            !direct,
            features.has("tools.allowed_callers"),
        ),
    ] {
        let feature = format!("tools.{member}");
        if !is_given {
            continue;
        }
        if is_taken {
            features.take(&feature);
        } else {
            is_changed |= object.remove(member);
            if means_something {
                report.ignore(&feature);
            }
        }
    }
    if let Some(schema) = schema(*input_schema)? {
        object.set("input_schema", schema);
        is_changed = true;
    }
    Ok(Some(match is_changed {
        true => Cow::Owned(object.to_raw()?),
        false => Cow::Borrowed(tool.raw),
    }))
}

/// The schema with the type that is required of it; `None` where it has it.
fn schema(given: Option<&RawValue>) -> Result<Option<Box<RawValue>>, serde_json::Error> {
    let Some(raw) = given.filter(|raw| raw.get() != "null") else {
        return to_raw_value(&json!({ "type": "object", "properties": {} })).map(Some);
    };
    let mut object = RawObject::of(raw)?;
    if object.get("type").is_some() {
        return Ok(None);
    }
    object.set("type", to_raw_value("object")?);
    object.to_raw().map(Some)
}

/// The tool choice, if the model supports it and there are tools.
pub(super) fn choice<'q>(
    request: &'q MessagesRequest<'_>,
    has_tools: bool,
    profile: &Profile,
    report: &mut Report,
) -> Result<Option<Raw<'q>>, Invalid> {
    let Some(choice) = request.tool_choice.as_ref() else { return Ok(None) };
    let unreadable = |_| Invalid::value("tool_choice", "The tool choice cannot be read.");
    let needs = match &*choice.kind {
        "auto" | "none" => ToolChoices::Auto,
        "any" => ToolChoices::Any,
        "tool" => ToolChoices::Named,
        other => {
            let message =
                format!("tool_choice.type is auto, any, tool or none, and not {other:?}.");
            return Err(Invalid::value("tool_choice.type", message));
        }
    };
    if !has_tools {
        if needs > ToolChoices::Auto {
            report.ignore("tool_choice");
        }
        return Ok(None);
    }
    let mut sent = json!({ "type": &*choice.kind });
    if needs > profile.tool_choice {
        report.ignore("tool_choice");
        sent = json!({ "type": "auto" });
    } else if let Some(name) = choice.name.as_deref().filter(|_| needs == ToolChoices::Named) {
        sent["name"] = name.into();
    }
    if let Some(one) = choice.disable_parallel_tool_use.filter(|_| &*choice.kind != "none") {
        sent["disable_parallel_tool_use"] = one.into();
    }
    Ok(Some(Cow::Owned(to_raw_value(&sent).map_err(unreadable)?)))
}
