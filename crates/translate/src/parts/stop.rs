//! The reason for the end of an answer.

use schema::converse::response::StopReason;

/// The end of an answer, as far as clients act on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finish {
    /// The answer is complete.
    Complete,
    /// The client's tools are called.
    Calls,
    /// A token limit was reached.
    Limit,
    /// A guardrail, a filter or the model itself refused.
    Filtered,
}

/// The end of an answer. `calls` is the number of tool calls shown to the client: if there are any,
/// a plain stop is [`Finish::Calls`], because clients decide by this value whether to run them.
pub(crate) fn finish(reason: &StopReason, calls: usize) -> Finish {
    match reason {
        StopReason::MaxTokens | StopReason::ModelContextWindowExceeded => Finish::Limit,
        StopReason::GuardrailIntervened | StopReason::ContentFiltered | StopReason::Refusal => {
            Finish::Filtered
        }
        StopReason::EndTurn
        | StopReason::ToolUse
        | StopReason::StopSequence
        | StopReason::MalformedModelOutput
        | StopReason::MalformedToolUse
        | StopReason::PauseTurn
        | StopReason::Unknown(_) => match calls {
            0 => Finish::Complete,
            _ => Finish::Calls,
        },
    }
}

/// Bedrock's own stop reason, where [`finish`] does not convey it.
pub(crate) fn untold(reason: &StopReason, calls: usize) -> Option<String> {
    let word = match (reason, finish(reason, calls)) {
        (StopReason::EndTurn, Finish::Complete)
        | (StopReason::ToolUse, Finish::Calls)
        | (StopReason::MaxTokens, Finish::Limit) => return None,
        (StopReason::EndTurn, _) => "end_turn",
        (StopReason::ToolUse, _) => "tool_use",
        (StopReason::MaxTokens, _) => "max_tokens",
        (StopReason::StopSequence, _) => "stop_sequence",
        (StopReason::GuardrailIntervened, _) => "guardrail_intervened",
        (StopReason::ContentFiltered, _) => "content_filtered",
        (StopReason::MalformedModelOutput, _) => "malformed_model_output",
        (StopReason::MalformedToolUse, _) => "malformed_tool_use",
        (StopReason::ModelContextWindowExceeded, _) => "model_context_window_exceeded",
        (StopReason::Refusal, _) => "refusal",
        (StopReason::PauseTurn, _) => "pause_turn",
        (StopReason::Unknown(word), _) => word,
    };
    (!word.is_empty()).then(|| word.to_owned())
}
