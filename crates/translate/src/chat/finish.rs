//! The end of an answer as one of OpenAI's five finish reasons.

use schema::openai::chat::FinishReason;

use crate::parts::stop::Finish;
use crate::reply::CallShape;

/// The finish reason for an end.
pub(crate) fn finish_reason(finish: Finish, shape: CallShape) -> FinishReason {
    match (finish, shape) {
        (Finish::Complete, _) => FinishReason::Stop,
        (Finish::Calls, CallShape::Tools) => FinishReason::ToolCalls,
        (Finish::Calls, CallShape::Function) => FinishReason::FunctionCall,
        (Finish::Limit, _) => FinishReason::Length,
        (Finish::Filtered, _) => FinishReason::ContentFilter,
    }
}
