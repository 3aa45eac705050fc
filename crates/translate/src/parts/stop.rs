//! Why an answer ended, in OpenAI's five words.

use schema::converse::response::StopReason;
use schema::openai::chat::FinishReason;

use crate::reply::CallShape;

/// The finish reason. `calls` is how many tool calls the client was shown: when there are any, a
/// plain stop is `tool_calls`, because clients decide by this word whether to run them.
pub(crate) fn finish_reason(reason: &StopReason, calls: usize, shape: CallShape) -> FinishReason {
    match reason {
        StopReason::MaxTokens | StopReason::ModelContextWindowExceeded => FinishReason::Length,
        StopReason::GuardrailIntervened | StopReason::ContentFiltered => {
            FinishReason::ContentFilter
        }
        StopReason::EndTurn
        | StopReason::ToolUse
        | StopReason::StopSequence
        | StopReason::MalformedModelOutput
        | StopReason::MalformedToolUse
        | StopReason::Unknown(_) => match (calls, shape) {
            (0, _) => FinishReason::Stop,
            (_, CallShape::Tools) => FinishReason::ToolCalls,
            (_, CallShape::Function) => FinishReason::FunctionCall,
        },
    }
}
