//! A Converse request as the input of an agent or a flow of Bedrock's, which have instructions, tools and models of their
//! own: they take a text, what was said before, and attributes.

use schema::converse::sent::{SentBlock, SentMessage, SentRequest, SentRole};
use serde_json::{Map, Value, json};

use super::{Unsendable, UpstreamCall, UpstreamDelivery};
use crate::Invalid;

/// The key of metadata that names a session.
pub const SESSION: &str = "session_id";
/// Members of InvokeAgent that a request may hold beside the text.
const OF_AGENTS: [&str; 3] = ["enableTrace", "endSession", "memoryId"];
/// Members of its `sessionState` that a request may hold.
const OF_SESSIONS: [&str; 2] = ["promptSessionAttributes", "sessionAttributes"];
/// The member that decides whether an agent streams its last answer.
const STREAMS: &str = "streamFinalResponse";
/// Members of InvokeFlow that a request may hold beside the text.
const OF_FLOWS: [&str; 1] = ["enableTrace"];
/// The node by which every flow begins, and its output.
const INPUT_NODE: &str = "FlowInputNode";
const INPUT: &str = "document";
/// The field with further members.
const FIELDS: &str = "additional_model_request_fields";

/// The body of InvokeAgent.
///
/// # Errors
/// The request has a part that agents do not take.
pub(super) fn agent(
    request: &SentRequest<'_>,
    call: &UpstreamCall<'_>,
) -> Result<Value, Unsendable> {
    let (last, before) = conversation(request)?;
    let (mut body, mut state) = (Map::new(), Map::new());
    body.insert("inputText".to_owned(), last.into());
    // A session remembers what was said in it.
    let has_session = request.request_metadata.contains_key(SESSION);
    if !before.is_empty() && !has_session {
        let turn = |(role, text)| json!({ "role": role, "content": [{ "text": text }] });
        let messages: Vec<Value> = before.into_iter().map(turn).collect();
        state.insert("conversationHistory".to_owned(), json!({ "messages": messages }));
    }
    let pairs = request.request_metadata.iter().filter(|(name, _)| *name != SESSION);
    let mut attributes: Map<String, Value> =
        pairs.map(|(name, value)| (name.clone(), value.clone())).collect();
    let mut streams = call.delivery == UpstreamDelivery::Events;
    for (name, value) in &request.additional_model_request_fields {
        if OF_AGENTS.contains(&name.as_str()) {
            body.insert(name.clone(), value.clone());
        } else if name == STREAMS {
            streams &= *value != Value::Bool(false);
        } else if let (true, Value::Object(own)) = (OF_SESSIONS.contains(&name.as_str()), value) {
            match name == "sessionAttributes" {
                true => attributes.extend(own.clone()),
                false => drop(state.insert(name.clone(), value.clone())),
            }
        } else {
            let known = [&OF_AGENTS[..], &OF_SESSIONS[..], &[STREAMS]].concat();
            return Err(unknown(name, "agent", &known));
        }
    }
    if !attributes.is_empty() {
        state.insert("sessionAttributes".to_owned(), attributes.into());
    }
    if !state.is_empty() {
        body.insert("sessionState".to_owned(), state.into());
    }
    if streams {
        body.insert("streamingConfigurations".to_owned(), json!({ STREAMS: true }));
    }
    Ok(body.into())
}

/// The body of InvokeFlow, which takes the last message alone.
///
/// # Errors
/// The request has a part that flows do not take.
pub(super) fn flow(request: &SentRequest<'_>) -> Result<Value, Unsendable> {
    let (last, _) = conversation(request)?;
    let content = json!({ "document": last });
    let input = json!({ "content": content, "nodeName": INPUT_NODE, "nodeOutputName": INPUT });
    let mut body = Map::new();
    body.insert("inputs".to_owned(), json!([input]));
    for (name, value) in &request.additional_model_request_fields {
        if !OF_FLOWS.contains(&name.as_str()) {
            return Err(unknown(name, "flow", &OF_FLOWS));
        }
        body.insert(name.clone(), value.clone());
    }
    Ok(body.into())
}

/// The text of the last message, and the messages before it.
type Conversation = (String, Vec<(&'static str, String)>);

fn conversation(request: &SentRequest<'_>) -> Result<Conversation, Unsendable> {
    if !request.system.is_empty() {
        let message = "An agent or a flow has instructions of its own: leave system and developer messages, instructions and a JSON format out.";
        return Err(Invalid::value("messages", message).into());
    }
    if request.tool_config.is_some() {
        let message = "An agent or a flow has tools of its own: leave tools out.";
        return Err(Invalid::value("tools", message).into());
    }
    if request.output_config.is_some() {
        let message =
            "An agent or a flow answers in the form that it was built for: leave the format out.";
        return Err(Invalid::value("response_format", message).into());
    }
    let Some((last, before)) = request.messages.split_last() else {
        return Err(Invalid::value("messages", "There is no message to answer.").into());
    };
    if last.role != SentRole::User {
        let message = "An agent or a flow answers a message of the user's: let it be the last.";
        return Err(Invalid::value("messages", message).into());
    }
    let turn = |message: &SentMessage<'_>| {
        let role = match message.role {
            SentRole::User => "user",
            SentRole::Assistant => "assistant",
        };
        Ok::<_, Unsendable>((role, text(message)?))
    };
    Ok((text(last)?, before.iter().map(turn).collect::<Result<_, _>>()?))
}

/// The text of a message.
fn text(message: &SentMessage<'_>) -> Result<String, Unsendable> {
    let mut all = String::new();
    for block in &message.content {
        match block {
            SentBlock::Text(text) => {
                if !all.is_empty() {
                    all.push('\n');
                }
                all.push_str(text);
            }
            SentBlock::CachePoint(_) | SentBlock::ReasoningContent(_) => {}
            SentBlock::Image(_)
            | SentBlock::Document(_)
            | SentBlock::Video(_)
            | SentBlock::Audio(_)
            | SentBlock::SearchResult(_)
            | SentBlock::ToolUse(_)
            | SentBlock::ToolResult(_) => {
                let message = "An agent or a flow reads text alone: leave images, files, audio, search results and tool calls out.";
                return Err(Invalid::value("messages", message).into());
            }
        }
    }
    Ok(all)
}

fn unknown(name: &str, what: &str, known: &[&str]) -> Unsendable {
    let known = known.join(", ");
    let message = format!("{FIELDS}.{name}: this {what} can be given {known} alone.");
    Invalid::value(FIELDS, message).into()
}
