//! Limits on the counts and sizes in one request: far above those of clients, and low enough that the
//! work per item stays small.

use schema::anthropic::messages::MessagesRequest;

use super::params::output_format;
use crate::chat::limits::{MESSAGES, TOOLS, entries, schema};
use crate::profile::Surface;
use crate::{Invalid, Profile};

/// Code of a refused `thread`, after which Anthropic's clients send the whole conversation.
pub(super) const NO_THREADS: &str = "thread_unsupported_request";
const THREAD: &str = "thread";

/// Refuses requests over the limits, and those that rest on conversations kept by the service.
pub(super) fn within_limits(
    request: &MessagesRequest<'_>,
    profile: &Profile,
) -> Result<(), Invalid> {
    if request.extra.names().any(|name| name == THREAD) {
        let message = "conversations are not kept: send all messages, without a thread";
        return Err(Invalid::value(THREAD, message).with_code(NO_THREADS));
    }
    let tools = request.tools.as_deref().unwrap_or_default();
    entries("messages", request.messages.len(), MESSAGES)?;
    entries("tools", tools.len(), TOOLS)?;
    if request.messages.is_empty() && profile.surface != Surface::Prompt {
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
