//! A Converse request from the model's view: the last messages, the callable tools, and the output limit.

use std::collections::HashMap;

use serde_json::Value;

use super::{seal::Short, tokens};
use crate::{
    json::{items, text},
    models::Model,
};

/// Tags around text that a program, and not its user, adds: Claude Code's and opencode's, Codex's, and that of
/// gateways which fold a later system message into a user turn.
const REMINDERS: [(&str, &str); 3] = [
    ("<system-reminder>", "</system-reminder>"),
    ("<environment_context>", "</environment_context>"),
    ("<system>", "</system>"),
];

/// The request from the model's point of view.
#[derive(Debug)]
pub(crate) struct Prompt<'a> {
    pub(crate) model: &'a Model,
    pub(crate) body: &'a Value,
    /// The calling account.
    pub(crate) account: Short,
    pub(crate) system: String,
    /// The last text of a user, without a program's text between reminder tags.
    pub(crate) asked: String,
    /// The last text of a user as it was sent.
    pub(crate) sent: String,
    /// Number of user messages.
    pub(crate) turns: usize,
    /// Media in the message being answered, described.
    pub(crate) seen: Vec<String>,
    /// Tool results in the message being answered.
    pub(crate) results: Vec<Outcome<'a>>,
    pub(crate) tools: Vec<Tool<'a>>,
    pub(crate) choice: Choice<'a>,
    /// Only one tool may be called at a time.
    pub(crate) one_call: bool,
    /// Tools called since the last user text.
    pub(crate) called: Vec<&'a str>,
    pub(crate) max_tokens: Option<u64>,
    pub(crate) stops: Vec<&'a str>,
}

/// A tool the model may call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tool<'a> {
    pub(crate) name: &'a str,
    pub(crate) description: &'a str,
    pub(crate) schema: &'a Value,
}

/// Result of a tool.
#[derive(Clone, Debug)]
pub(crate) struct Outcome<'a> {
    pub(crate) name: &'a str,
    pub(crate) said: String,
    pub(crate) failed: bool,
}

/// Rule for calling tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice<'a> {
    Never,
    Auto,
    Any,
    Named(&'a str),
}

impl<'a> Prompt<'a> {
    /// Reads a valid request.
    pub(crate) fn read(model: &'a Model, body: &'a Value) -> Self {
        let messages = items(body, "messages");
        let last = messages.iter().rev().find(|message| text(message, "role") == "user");
        // Programs add reminders beside each tool result; a reminder is no new question.
        let question = messages.iter().rposition(|message| {
            text(message, "role") == "user" && !own_text(items(message, "content")).is_empty()
        });
        let after = question.map_or(0, |index| index + 1);
        let called = messages.iter().skip(after).flat_map(tool_uses).map(|(_, name)| name);
        let config = body.get("inferenceConfig").unwrap_or(&Value::Null);
        let choice = body.pointer("/additionalModelRequestFields/tool_choice");
        Self {
            model,
            body,
            account: Short::default(),
            system: plain_text(items(body, "system")),
            asked: question
                .and_then(|index| messages.get(index))
                .map(|message| own_text(items(message, "content")))
                .unwrap_or_default(),
            sent: messages
                .iter()
                .rev()
                .filter(|message| text(message, "role") == "user")
                .map(|message| plain_text(items(message, "content")))
                .find(|said| !said.is_empty())
                .unwrap_or_default(),
            turns: messages.iter().filter(|message| text(message, "role") == "user").count(),
            seen: last.map(media).unwrap_or_default(),
            results: last.map(|message| outcomes(message, messages)).unwrap_or_default(),
            tools: tools(body),
            choice: Choice::read(body),
            one_call: choice
                .and_then(|choice| choice.get("disable_parallel_tool_use"))
                .and_then(Value::as_bool)
                .unwrap_or_default(),
            called: called.collect(),
            max_tokens: config.get("maxTokens").and_then(Value::as_u64),
            stops: items(config, "stopSequences").iter().filter_map(Value::as_str).collect(),
        }
    }
}

impl Prompt<'_> {
    /// The same prompt with `account`.
    pub(crate) fn of(self, account: Short) -> Self {
        Self { account, ..self }
    }
}

impl<'a> Choice<'a> {
    fn read(body: &'a Value) -> Self {
        let Some(config) = body.get("toolConfig") else { return Self::Never };
        let native = body.pointer("/additionalModelRequestFields/tool_choice/type");
        if native.and_then(Value::as_str) == Some("none") {
            return Self::Never;
        }
        match config.get("toolChoice") {
            Some(choice) if choice.get("any").is_some() => Self::Any,
            Some(choice) => match choice.pointer("/tool/name").and_then(Value::as_str) {
                Some(name) => Self::Named(name),
                None => Self::Auto,
            },
            None => Self::Auto,
        }
    }
}

/// The texts of content blocks, including those inside guard content, joined by line ends.
pub(crate) fn plain_text(blocks: &[Value]) -> String {
    let texts: Vec<&str> = blocks
        .iter()
        .filter_map(|block| {
            let guarded = block.pointer("/guardContent/text/text");
            block.get("text").or(guarded).and_then(Value::as_str)
        })
        .filter(|text| !text.trim().is_empty())
        .collect();
    texts.join("\n")
}

/// The texts of content blocks without the parts that client programs mark as their own.
fn own_text(blocks: &[Value]) -> String {
    let mut own = plain_text(blocks);
    for (opens, closes) in REMINDERS {
        while let Some(start) = own.find(opens) {
            let rest = own.get(start..).unwrap_or_default();
            let end = rest.find(closes).map_or(own.len(), |at| start + at + closes.len());
            own.replace_range(start..end, "");
            own = own.trim().to_owned();
        }
    }
    // opencode sends the argument of a command line as a JSON string.
    serde_json::from_str(&own).unwrap_or(own)
}

/// Ids and names of the tool calls in a message.
pub(crate) fn tool_uses(message: &Value) -> impl Iterator<Item = (&str, &str)> {
    items(message, "content")
        .iter()
        .filter_map(|block| block.get("toolUse"))
        .map(|call| (text(call, "toolUseId"), text(call, "name")))
}

fn tools(body: &Value) -> Vec<Tool<'_>> {
    body.get("toolConfig")
        .map(|config| items(config, "tools"))
        .unwrap_or_default()
        .iter()
        .filter_map(|tool| tool.get("toolSpec"))
        .map(|spec| Tool {
            name: text(spec, "name"),
            description: text(spec, "description"),
            schema: spec.pointer("/inputSchema/json").unwrap_or(&Value::Null),
        })
        .collect()
}

fn outcomes<'a>(message: &'a Value, messages: &'a [Value]) -> Vec<Outcome<'a>> {
    // The last call with an id counts; without tool results, none is searched for.
    let names: HashMap<&str, &str> = messages
        .iter()
        .filter(|_| items(message, "content").iter().any(|block| block.get("toolResult").is_some()))
        .flat_map(tool_uses)
        .collect();
    items(message, "content")
        .iter()
        .filter_map(|block| block.get("toolResult"))
        .map(|result| {
            let id = text(result, "toolUseId");
            Outcome {
                name: names.get(id).copied().unwrap_or_default(),
                said: said(items(result, "content")),
                failed: text(result, "status") == "error",
            }
        })
        .collect()
}

fn said(content: &[Value]) -> String {
    let parts: Vec<String> = content
        .iter()
        .map(|block| match (block.get("text").and_then(Value::as_str), block.get("json")) {
            (Some(text), _) => text.to_owned(),
            (None, Some(json)) => json.to_string(),
            (None, None) => medium(block).unwrap_or_default(),
        })
        .collect();
    parts.join(" ")
}

fn media(message: &Value) -> Vec<String> {
    items(message, "content").iter().filter_map(medium).collect()
}

/// Describes one image, document, video or audio block.
fn medium(block: &Value) -> Option<String> {
    let (kind, content) = ["image", "document", "video", "audio"]
        .iter()
        .find_map(|kind| Some((*kind, block.get(*kind)?)))?;
    let source = content.get("source").unwrap_or(&Value::Null);
    let size = match (source.get("bytes").and_then(Value::as_str), source.get("text")) {
        (Some(data), _) => format!("{} bytes", tokens::decoded_len(data)),
        (None, Some(text)) => {
            format!("{} characters", text.as_str().unwrap_or_default().chars().count())
        }
        (None, None) => match source.pointer("/s3Location/uri").and_then(Value::as_str) {
            Some(uri) => format!("stored at {uri}"),
            None => "in parts".to_owned(),
        },
    };
    let name = match text(content, "name") {
        "" => String::new(),
        name => format!(" \"{name}\""),
    };
    Some(format!("{} {kind}{name} of {size}", text(content, "format")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::models::Models;

    fn asked(content: &Value) -> String {
        let body = json!({"messages": [{"role": "user", "content": content}]});
        Prompt::read(Models::load().generic(), &body).asked
    }

    #[test]
    fn reminders_of_a_program_are_not_user_text() {
        let reminder = "<system-reminder>\nUse Bash to run echo.\n</system-reminder>";
        assert_eq!(asked(&json!([{"text": reminder}, {"text": "Say hello"}])), "Say hello");
        assert_eq!(asked(&json!([{"text": format!("a {reminder} b {reminder}")}])), "a  b");
        assert_eq!(asked(&json!([{"text": "a <system-reminder> never closed"}])), "a");
        let place = "<environment_context>\n<shell>bash</shell>\n</environment_context>";
        let system = "<system>\nUse Bash.\n</system>";
        assert_eq!(
            asked(&json!([{"text": place}, {"text": system}, {"text": "Say hello"}])),
            "Say hello"
        );
        assert_eq!(asked(&json!([{"text": " as it is "}])), " as it is ");
        assert_eq!(asked(&json!([{"text": "\"say \\\"hi\\\"\""}])), "say \"hi\"");
    }

    #[test]
    fn a_reminder_beside_a_result_is_no_new_question() {
        let body = json!({"messages": [
            {"role": "user", "content": [{"text": "Run echo"}]},
            {"role": "assistant", "content": [{"toolUse": {"toolUseId": "t1", "name": "echo", "input": {}}}]},
            {"role": "user", "content": [
                {"toolResult": {"toolUseId": "t1", "content": [{"text": "done"}]}},
                {"text": "<system-reminder>You may call echo again.</system-reminder>"},
            ]},
        ]});
        let models = Models::load();
        let prompt = Prompt::read(models.generic(), &body);
        assert_eq!((prompt.asked.as_str(), prompt.called.as_slice()), ("Run echo", &["echo"][..]));
    }
}
