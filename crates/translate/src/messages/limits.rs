//! Limits on the counts and sizes in one request: far above those of clients, and low enough that the
//! work per item stays small.

use schema::anthropic::messages::MessagesRequest;
use serde_json::value::RawValue;

use super::params::output_format;
use crate::Invalid;

const MESSAGES: usize = 10_000;
const TOOLS: usize = 1_024;
/// Largest JSON Schema, in bytes.
const SCHEMA: usize = 256 * 1024;

/// Code of a refused `thread`, after which Anthropic's clients send the whole conversation.
pub(super) const NO_THREADS: &str = "thread_unsupported_request";
const THREAD: &str = "thread";

/// Refuses requests over the limits, and those that rest on conversations kept by the service.
pub(super) fn within_limits(request: &MessagesRequest<'_>) -> Result<(), Invalid> {
    if request.extra.names().any(|name| name == THREAD) {
        let message = "conversations are not kept: send all messages, without a thread";
        return Err(Invalid::value(THREAD, message).with_code(NO_THREADS));
    }
    let tools = request.tools.as_deref().unwrap_or_default();
    for (field, count, most) in
        [("messages", request.messages.len(), MESSAGES), ("tools", tools.len(), TOOLS)]
    {
        if count > most {
            let message = format!("{field} has {count} entries; up to {most} are taken.");
            return Err(Invalid::value(field, message).with_code("array_above_max_length"));
        }
    }
    if request.messages.is_empty() {
        let message = "at least one message is required";
        return Err(Invalid::value("messages", message).with_code("empty_array"));
    }
    for (at, tool) in tools.iter().enumerate() {
        schema(tool.members.input_schema, || format!("tools[{at}].input_schema"))?;
    }
    let format = output_format(request);
    let field = || "output_config.format.schema".to_owned();
    schema(format.and_then(|format| format.schema), field)
}

fn schema(schema: Option<&RawValue>, field: impl Fn() -> String) -> Result<(), Invalid> {
    let size = schema.map_or(0, |schema| schema.get().len());
    if size <= SCHEMA {
        return Ok(());
    }
    let message = format!("The schema has {size} bytes; up to {SCHEMA} are taken.");
    Err(Invalid::value(field(), message).with_code("string_above_max_length"))
}
