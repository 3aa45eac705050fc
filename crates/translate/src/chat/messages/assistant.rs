//! The assistant's turns: reasoning, text and calls, and directly after the calls the turn with
//! their results.

use std::borrow::Cow;

use schema::converse::message::Role;
use schema::openai::message::Message as ChatMessage;
use schema::openai::tool::{FunctionCall, ToolCall};

use super::Building;
use crate::Invalid;
use crate::chat::reasoning::received::{ids as call_ids, replayed};
use crate::parts::conversation::{CallKey, PastCall, PastTurn};
use crate::parts::thinking::replay::ReplayStep;
use crate::parts::tools::CalledWith;

impl<'a> Building<'a, '_> {
    /// Translates an assistant message: its reasoning, texts and calls in the order of the original
    /// answer, then directly the turn with the results.
    pub(super) fn assistant(
        &mut self,
        at: usize,
        message: &'a ChatMessage<'a>,
    ) -> Result<(), Invalid> {
        let builder = &mut self.builder;
        let replayed = replayed(at, message, &builder.past, builder.profile, builder.report);
        let thinks = replayed.steps.iter().any(|step| matches!(step, ReplayStep::Reasoning(_)));
        // Reasoning among the parts stays in place, unless its original place is known from
        // elsewhere.
        self.has_thoughts = thinks || builder.past.decides(at, call_ids(message));
        let said = self.said(at, message, Role::Assistant)?;
        if let Some(index) = unnamed_call(message) {
            let param = format!("messages[{at}].tool_calls[{index}].function");
            let message = "A tool call needs a function (or custom) with a name.";
            return Err(Invalid::value(param, message).with_code("missing_required_parameter"));
        }
        let calls = calls_of(at, message);
        let keys: Vec<_> = calls.iter().map(|call| call.key.clone()).collect();
        let param = format!("messages[{at}].tool_calls");
        let ids = self.builder.answer(PastTurn { said, calls, replayed, param })?;
        self.mark_message(message);
        for (id, key) in ids.into_iter().zip(keys) {
            let found = self.results.take(&key, at);
            let content = found.map(|found| self.result_content(found)).transpose()?;
            self.builder.result(id, content);
            if let Some(found) = found {
                self.mark_result(found);
            }
        }
        self.builder.end_results();
        Ok(())
    }
}

/// The calls of a message, in any of the three forms clients use.
pub(super) fn calls_of<'a>(at: usize, message: &'a ChatMessage<'a>) -> Vec<PastCall<'a>> {
    let named = message.function_call.iter().map(|FunctionCall { name, arguments }| PastCall {
        key: CallKey::Name(name),
        id: Cow::Owned(format!("call_{at}")),
        sent_id: "",
        name,
        made_with: CalledWith::Arguments(arguments.as_deref().unwrap_or_default()),
    });
    let tools = message.tool_calls.iter().flatten().enumerate();
    let tools = tools.filter_map(|(index, ToolCall { id, function, custom })| {
        let (name, made_with) = match (function, custom) {
            (Some(function), _) => (
                function.name.as_str(),
                CalledWith::Arguments(function.arguments.as_deref().unwrap_or_default()),
            ),
            (None, Some(custom)) => (custom.name.as_str(), CalledWith::Text(&custom.input)),
            (None, None) => return None,
        };
        let sent_id = id.as_deref().unwrap_or_default();
        let id =
            id.as_deref().map_or_else(|| Cow::Owned(format!("call_{at}_{index}")), Cow::Borrowed);
        Some(PastCall { key: CallKey::Id(id.clone()), id, sent_id, name, made_with })
    });
    tools.chain(named).collect()
}

/// The first call without a name.
fn unnamed_call(message: &ChatMessage<'_>) -> Option<usize> {
    let calls = message.tool_calls.iter().flatten();
    calls.into_iter().position(|call| call.function.is_none() && call.custom.is_none())
}
