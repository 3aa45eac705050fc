//! The tool fields of a chat request, in their present and their deprecated form, as the inputs
//! that the shared parts take.

use schema::openai::chat::ChatRequest;
use schema::openai::tool::{CustomDefinition, FunctionDefinition, Grammar, Tool, ToolChoice};

use crate::parts::tools::{
    CallRule, ChoiceRequest, Declared, DeclaredTool, Declaring, ToolGrammar, ToolInput,
};
use crate::reply::CallShape;
use crate::{Invalid, Profile, Report};

/// The fields that declare tools and choose among them, and the shape in which calls are written
/// back.
pub(super) fn tool_fields(request: &ChatRequest<'_>) -> (&'static str, &'static str, CallShape) {
    let has_tools = request.tools.as_ref().is_some_and(|tools| !tools.is_empty());
    if request.functions.is_some() && !has_tools {
        ("functions", "function_call", CallShape::Function)
    } else {
        ("tools", "tool_choice", CallShape::Tools)
    }
}

/// The declared tools and the choice among them, from the fields that are set.
pub(super) fn declared<'a>(
    request: &'a ChatRequest<'a>,
    calls: CallShape,
    profile: &Profile,
    report: &mut Report,
) -> Result<(Declared<'a>, ChoiceRequest<'a>), Invalid> {
    let (mut declared, choice) = match calls {
        CallShape::Function => {
            let functions = request.functions.as_deref().unwrap_or_default();
            (declared_functions(functions, profile, report)?, request.function_call.as_ref())
        }
        CallShape::Tools => {
            let tools = request.tools.as_deref().unwrap_or_default();
            let choice = request.tool_choice.as_ref().map(|field| &field.choice);
            (declared_tools(tools, profile, report)?, choice)
        }
    };
    declared.search(request.web_search_options, profile, report);
    Ok((declared, choice.map(choice_request).unwrap_or_default()))
}

/// Declares the deprecated `functions`.
///
/// # Errors
/// A function has no name, a duplicate name, or an invalid schema.
fn declared_functions<'a>(
    functions: &'a [FunctionDefinition<'a>],
    profile: &Profile,
    report: &mut Report,
) -> Result<Declared<'a>, Invalid> {
    let mut declaring = Declaring::new(profile, report);
    for (at, definition) in functions.iter().enumerate() {
        declaring.tool(function(definition), &format!("functions[{at}]"))?;
    }
    Ok(declaring.finish())
}

/// Declares `tools`. Tools that OpenAI runs are not available here, and are reported.
///
/// # Errors
/// A tool has no name, a duplicate name, or an invalid schema.
fn declared_tools<'a>(
    tools: &'a [Tool<'a>],
    profile: &Profile,
    report: &mut Report,
) -> Result<Declared<'a>, Invalid> {
    let mut declaring = Declaring::new(profile, report);
    for (at, tool) in tools.iter().enumerate() {
        let Tool { kind, function: json, custom: text, cache_control: _, is_flat } = tool;
        let within = |member: &str| match is_flat {
            true => format!("tools[{at}]"),
            false => format!("tools[{at}].{member}"),
        };
        let missing = |member: &str| {
            let message = format!("A {member} tool needs a {member} with a name.");
            Invalid::value(format!("tools[{at}].{member}"), message)
                .with_code("missing_required_parameter")
        };
        match kind.as_str() {
            "function" => {
                let definition = json.as_ref().ok_or_else(|| missing("function"))?;
                declaring.tool(function(definition), &within("function"))?;
            }
            "custom" => {
                let definition = text.as_ref().ok_or_else(|| missing("custom"))?;
                declaring.tool(custom(definition), &within("custom"))?;
            }
            other => declaring.hosted(other),
        }
    }
    Ok(declaring.finish())
}

fn function<'a>(definition: &'a FunctionDefinition<'a>) -> DeclaredTool<'a> {
    let FunctionDefinition { name, description, parameters, strict, cache_control: _ } = definition;
    DeclaredTool {
        name,
        description: description.as_deref(),
        input: ToolInput::Json { schema: *parameters, strict: *strict == Some(true) },
    }
}

fn custom<'a>(definition: &'a CustomDefinition<'a>) -> DeclaredTool<'a> {
    let CustomDefinition { name, description, format } = definition;
    let grammar = format.as_ref().and_then(|format| format.grammar.as_ref());
    let grammar = grammar.map(|Grammar { definition, syntax }| ToolGrammar { definition, syntax });
    DeclaredTool { name, description: description.as_deref(), input: ToolInput::Text { grammar } }
}

fn choice_request<'a>(choice: &'a ToolChoice<'a>) -> ChoiceRequest<'a> {
    let (rule, allowed) = match choice {
        ToolChoice::Auto => (CallRule::Free, None),
        ToolChoice::None => (CallRule::NoCalls, None),
        ToolChoice::Required => (CallRule::Call, None),
        ToolChoice::Named(name) => (CallRule::CallOf(name), None),
        ToolChoice::Allowed { required: false, names } => (CallRule::Free, Some(&**names)),
        ToolChoice::Allowed { required: true, names } => (CallRule::Call, Some(&**names)),
    };
    ChoiceRequest { rule, allowed }
}
