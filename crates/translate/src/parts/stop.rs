//! The reason for the end of an answer, as one of OpenAI's five finish reasons.

use schema::converse::response::StopReason;
use schema::openai::chat::FinishReason;

use crate::reply::CallShape;

/// The finish reason. `calls` is the number of tool calls shown to the client: if there are any, a
/// plain stop is `tool_calls`, because clients decide by this value whether to run them.
pub(crate) fn finish_reason(reason: &StopReason, calls: usize, shape: CallShape) -> FinishReason {
    match reason {
        StopReason::MaxTokens | StopReason::ModelContextWindowExceeded => FinishReason::Length,
        StopReason::GuardrailIntervened | StopReason::ContentFiltered | StopReason::Refusal => {
            FinishReason::ContentFilter
        }
        StopReason::EndTurn
        | StopReason::ToolUse
        | StopReason::StopSequence
        | StopReason::MalformedModelOutput
        | StopReason::MalformedToolUse
        | StopReason::PauseTurn
        | StopReason::Unknown(_) => match (calls, shape) {
            (0, _) => FinishReason::Stop,
            (_, CallShape::Tools) => FinishReason::ToolCalls,
            (_, CallShape::Function) => FinishReason::FunctionCall,
        },
    }
}

/// Bedrock's own stop reason, where the finish reason does not convey it.
pub(crate) fn untold(reason: &StopReason, finish: FinishReason) -> Option<String> {
    let word = match (reason, finish) {
        (StopReason::EndTurn, FinishReason::Stop)
        | (StopReason::ToolUse, FinishReason::ToolCalls | FinishReason::FunctionCall)
        | (StopReason::MaxTokens, FinishReason::Length) => return None,
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
