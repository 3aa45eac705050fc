//! The end of an answer as one of OpenAI's five finish reasons.

use schema::converse::response::StopReason;
use schema::openai::chat::FinishReason;

use crate::parts::stop::{Finish, finish};
use crate::reply::CallShape;

/// The finish reason. `calls` is the number of tool calls shown to the client.
pub(crate) fn finish_reason(reason: &StopReason, calls: usize, shape: CallShape) -> FinishReason {
    match (finish(reason, calls), shape) {
        (Finish::Complete, _) => FinishReason::Stop,
        (Finish::Calls, CallShape::Tools) => FinishReason::ToolCalls,
        (Finish::Calls, CallShape::Function) => FinishReason::FunctionCall,
        (Finish::Limit, _) => FinishReason::Length,
        (Finish::Filtered, _) => FinishReason::ContentFilter,
    }
}
