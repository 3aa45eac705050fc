//! `InvokeAgent` and `InvokeFlow` of bedrock-agent-runtime: one agent and one flow, each of which repeats what it is told.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{
    Request, State,
    scripted::{Scripted, scripted},
};
use crate::{
    delivery::{Act, Reply},
    error::Refusal,
    faults, frames,
    json::text,
};

/// The agent and the flow of this account; any alias is theirs.
const AGENT: &str = "EMULAAGENT";
const FLOW: &str = "EMULATFLOW";
/// Tokens of the one model call that a trace tells of.
const INPUT_TOKENS: u64 = 11;
const OUTPUT_TOKENS: u64 = 7;

/// The alias that a path names.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Alias {
    /// Of an agent, in a session.
    Agent { agent: String, session: String },
    /// Of a flow.
    Flow { flow: String },
}

impl Alias {
    /// The alias of a path.
    pub(super) fn of(path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        match parts.as_slice() {
            ["agents", agent, "agentAliases", _, "sessions", session, "text"] => {
                let (agent, session) = ((*agent).to_owned(), (*session).to_owned());
                Some(Self::Agent { agent, session })
            }
            ["flows", flow, "aliases", _] => Some(Self::Flow { flow: (*flow).to_owned() }),
            _ => None,
        }
    }

    /// The operation, for the journal.
    pub(super) fn operation(&self) -> &'static str {
        match self {
            Self::Agent { .. } => "invoke-agent",
            Self::Flow { .. } => "invoke-flow",
        }
    }

    fn id(&self) -> &str {
        match self {
            Self::Agent { agent, session: _ } => agent,
            Self::Flow { flow } => flow,
        }
    }
}

/// Answers either operation.
pub(super) fn answer(
    state: &State,
    request: &Request<'_>,
    alias: &Alias,
) -> Result<Reply, Refusal> {
    let fault = match scripted(state, alias.id(), None)? {
        Scripted::Usual(fault) => fault,
        Scripted::Bytes(reply) | Scripted::Text(reply) => return Ok(reply),
        Scripted::Answer(answer) => return Ok(Reply::json(200, &answer)),
        Scripted::Events(events) => return Ok(Reply::json(200, &Value::from(events))),
    };
    let body = request.json()?;
    let is_traced = body["enableTrace"] == json!(true);
    let events = match alias {
        Alias::Agent { agent, session } => {
            known(agent, AGENT, "agent")?;
            said(&body, session, is_traced)?
        }
        Alias::Flow { flow } => {
            known(flow, FLOW, "flow")?;
            ran(&body, is_traced)?
        }
    };
    let acts = events
        .iter()
        .map(|(name, payload)| Act::Send(frames::event(name, payload.to_string().as_bytes())));
    let reply = Reply::stream(acts.collect());
    Ok(fault.iter().fold(reply, |reply, fault| faults::apply(fault, reply)))
}

/// An event: its name and its payload.
type Event = (&'static str, Value);

fn known(id: &str, own: &str, what: &str) -> Result<(), Refusal> {
    if id == own {
        return Ok(());
    }
    let message = format!("Failed to retrieve resource because it doesn't exist: {what} {id}.");
    Err(Refusal::new(404, "ResourceNotFoundException", message))
}

fn said(body: &Value, session: &str, is_traced: bool) -> Result<Vec<Event>, Refusal> {
    let input = text(body, "inputText");
    if input.is_empty() {
        return Err(Refusal::validation("inputText: a text is required."));
    }
    let mut events = Vec::new();
    if is_traced {
        let usage = json!({ "inputTokens": INPUT_TOKENS, "outputTokens": OUTPUT_TOKENS });
        let output = json!({ "traceId": "t-0", "metadata": { "usage": usage } });
        let step = json!({ "orchestrationTrace": { "modelInvocationOutput": output } });
        events.push(("trace", json!({ "sessionId": session, "trace": step })));
    }
    events.push(("chunk", json!({ "bytes": encoded("You said: ") })));
    let reference = json!({
        "content": { "type": "TEXT", "text": "Granite is coarse." },
        "location": { "type": "S3", "s3Location": { "uri": "s3://emulator-rocks/granite.txt" } },
    });
    let part = json!({ "textResponsePart": { "text": input, "span": { "start": 0, "end": 1 } } });
    let citation = json!({ "generatedResponsePart": part, "retrievedReferences": [reference] });
    events.push((
        "chunk",
        json!({ "bytes": encoded(input), "attribution": { "citations": [citation] } }),
    ));
    Ok(events)
}

fn ran(body: &Value, is_traced: bool) -> Result<Vec<Event>, Refusal> {
    let input = &body["inputs"][0];
    if input["nodeName"] != json!("FlowInputNode") || input["nodeOutputName"] != json!("document") {
        return Err(Refusal::validation("inputs: the input of FlowInputNode is required."));
    }
    let document = &input["content"]["document"];
    let mut events = Vec::new();
    if is_traced {
        let step = json!({ "nodeInputTrace": { "nodeName": "FlowInputNode" } });
        events.push(("flowTraceEvent", json!({ "trace": step })));
    }
    let output = json!({ "nodeName": "Out", "nodeType": "FlowOutputNode", "content": { "document": document } });
    events.push(("flowOutputEvent", output));
    events.push(("flowCompletionEvent", json!({ "completionReason": "SUCCESS" })));
    Ok(events)
}

fn encoded(text: &str) -> String {
    STANDARD.encode(text)
}
