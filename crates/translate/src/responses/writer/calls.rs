//! Calls, in the form of the client's tool. Functions and free-form tools are written as they come;
//! calls of other tools are JSON and are written when they are complete.

use bytes::BytesMut;
use schema::openai::responses::event::EventBody;
use schema::openai::responses::item::CallItemKind;
use schema::openai::responses::object::{OutputItem, Status};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::EventWriter;
use super::events::{DeltaEvent, Events};
use super::open::{OpenItem, added};
use crate::answer::{BegunCall, Written};
use crate::answer_stream::Unwritable;
use crate::parts::tools::Form;
use crate::responses::tools::ClientTool;

/// A call being written.
#[derive(Debug)]
pub(super) struct OpenCall {
    index: usize,
    id: String,
    call_id: String,
    tool: ClientTool,
    input: String,
    /// The event of a piece of input; `None` for calls that are written when complete.
    delta: Option<DeltaEvent>,
    has_ended: bool,
}

/// A call that began before the open one ended. Bedrock sends one after another; clients rely on it.
#[derive(Debug)]
pub(super) struct WaitingCall {
    index: usize,
    id: String,
    name: String,
    form: Form,
    input: String,
    has_ended: bool,
}

impl EventWriter {
    pub(super) fn begin_call(&mut self, call: &BegunCall<'_>, out: &mut BytesMut) -> Written {
        let BegunCall { index, id, name, form } = *call;
        self.start(out)?;
        if matches!(&self.open, Some(OpenItem::Call(open)) if !open.has_ended) {
            let (id, name) = (id.to_owned(), name.to_owned());
            let (input, has_ended) = (String::new(), false);
            self.waiting.push_back(WaitingCall { index, id, name, form, input, has_ended });
            return Ok(());
        }
        self.open_call(call, out)
    }

    /// Closes the open item and opens a call.
    fn open_call(&mut self, call: &BegunCall<'_>, out: &mut BytesMut) -> Written {
        let BegunCall { index, id, name, form } = *call;
        self.close(Status::Completed, out)?;
        let tool = self.reply.tools.get(name).cloned().unwrap_or_else(|| {
            let kind =
                if form == Form::Text { CallItemKind::Custom } else { CallItemKind::Function };
            ClientTool { kind, name: name.to_owned(), namespace: None }
        });
        let output_index = self.items.len();
        let item_id = self.next_id(prefix(tool.kind));
        let delta = match tool.kind {
            CallItemKind::Function => Some(DeltaEvent::of_arguments(&item_id, output_index)),
            CallItemKind::Custom => Some(DeltaEvent::of_input(&item_id, output_index)),
            _ => None,
        };
        let (call_id, input) = (id.to_owned(), String::new());
        let has_ended = false;
        let open = OpenCall { index, id: item_id, call_id, tool, input, delta, has_ended };
        if open.delta.is_some() {
            added(&open.item(Status::InProgress), output_index, &mut self.events, out)?;
        }
        self.open = Some(OpenItem::Call(open));
        Ok(())
    }

    /// Adds input to a call.
    pub(super) fn call_input(&mut self, index: usize, piece: &str, out: &mut BytesMut) -> Written {
        if let Some(waiting) = self.waiting.iter_mut().find(|call| call.index == index) {
            waiting.input.push_str(piece);
            return Ok(());
        }
        let Some(OpenItem::Call(call)) = &mut self.open else { return Ok(()) };
        if call.index != index {
            return Ok(());
        }
        call.input.push_str(piece);
        match &call.delta {
            Some(delta) => self.events.piece(delta, piece, out),
            None => Ok(()),
        }
    }

    /// Ends a call. Its item stays open until the next begins: only the end of the answer tells whether it
    /// was cut off.
    pub(super) fn end_call(&mut self, index: usize, out: &mut BytesMut) -> Written {
        if let Some(waiting) = self.waiting.iter_mut().find(|call| call.index == index) {
            waiting.has_ended = true;
            return Ok(());
        }
        if let Some(OpenItem::Call(open)) = &mut self.open
            && open.index == index
        {
            open.has_ended = true;
        }
        while matches!(&self.open, Some(OpenItem::Call(open)) if open.has_ended) {
            let Some(next) = self.waiting.pop_front() else { return Ok(()) };
            self.write_call(next, out)?;
        }
        Ok(())
    }

    /// Writes the calls that wait, with the input that they have.
    pub(super) fn write_waiting(&mut self, out: &mut BytesMut) -> Written {
        while let Some(next) = self.waiting.pop_front() {
            self.write_call(next, out)?;
        }
        Ok(())
    }

    fn write_call(&mut self, call: WaitingCall, out: &mut BytesMut) -> Written {
        let WaitingCall { index, id, name, form, input, has_ended } = call;
        self.open_call(&BegunCall { index, id: &id, name: &name, form }, out)?;
        if !input.is_empty() {
            self.call_input(index, &input, out)?;
        }
        if let Some(OpenItem::Call(open)) = &mut self.open {
            open.has_ended = has_ended;
        }
        Ok(())
    }
}

impl OpenCall {
    /// Ends the call, but for its last event.
    pub(super) fn finish(
        self,
        output_index: usize,
        status: Status,
        events: &mut Events,
        out: &mut BytesMut,
    ) -> Result<OutputItem, Unwritable> {
        let item = self.item(status);
        let (item_id, input) = (&*self.id, &*self.input);
        match self.tool.kind {
            CallItemKind::Function => {
                let (name, arguments) = (&*self.tool.name, input);
                let body = EventBody::Arguments { item_id, output_index, name, arguments };
                events.write("response.function_call_arguments.done", body, out)?;
            }
            CallItemKind::Custom => {
                let body = EventBody::Input { item_id, output_index, input };
                events.write("response.custom_tool_call_input.done", body, out)?;
            }
            _ => added(&item, output_index, events, out)?,
        }
        Ok(item)
    }

    /// The item as it stands.
    fn item(&self, status: Status) -> OutputItem {
        let Self { index: _, id, call_id, tool, input, delta: _, has_ended: _ } = self;
        let ClientTool { kind, name, namespace } = tool;
        let (id, call_id, name) = (id.clone(), call_id.clone(), name.clone());
        let (namespace, input) = (namespace.clone(), input.clone());
        match kind {
            CallItemKind::Function => {
                OutputItem::FunctionCall { id, status, call_id, name, namespace, arguments: input }
            }
            CallItemKind::Custom => {
                // A client of these calls knows no other status of a finished one.
                let status = match status {
                    Status::InProgress => Status::InProgress,
                    _ => Status::Completed,
                };
                OutputItem::CustomToolCall { id, status, call_id, name, namespace, input }
            }
            CallItemKind::LocalShell => {
                let defaults =
                    [("type", json!("exec")), ("command", json!([])), ("env", json!({}))];
                OutputItem::LocalShellCall { id, status, call_id, action: object(&input, defaults) }
            }
            CallItemKind::Shell => {
                let defaults = [
                    ("commands", json!([])),
                    ("timeout_ms", Value::Null),
                    ("max_output_length", Value::Null),
                ];
                let (action, environment) = (object(&input, defaults), None);
                OutputItem::ShellCall { id, status, call_id, action, environment }
            }
            CallItemKind::ApplyPatch => {
                let defaults = [("type", json!("update_file")), ("path", json!(""))];
                // OpenAI knows no incomplete patch.
                let (status, operation) = (Status::Completed, object(&input, defaults));
                OutputItem::ApplyPatchCall { id, status, call_id, operation }
            }
            CallItemKind::ToolSearch => {
                let (execution, arguments) = ("client", object(&input, []));
                OutputItem::ToolSearchCall { id, status, call_id, execution, arguments }
            }
        }
    }
}

/// The beginning of an item's id.
fn prefix(kind: CallItemKind) -> &'static str {
    match kind {
        CallItemKind::Function => "fc_",
        CallItemKind::Custom => "ctc_",
        CallItemKind::LocalShell => "lsh_",
        CallItemKind::Shell => "sh_",
        CallItemKind::ApplyPatch => "apc_",
        CallItemKind::ToolSearch => "tsc_",
    }
}

/// An input as an object with these members at least. An input that is no object, as a call that was cut
/// off may have, has none of its own.
fn object<const N: usize>(input: &str, defaults: [(&str, Value); N]) -> Box<RawValue> {
    let mut members: Map<String, Value> = serde_json::from_str(input).unwrap_or_default();
    for (name, value) in defaults {
        members.entry(name).or_insert(value);
    }
    RawValue::from_string(Value::Object(members).to_string()).unwrap_or_default()
}
