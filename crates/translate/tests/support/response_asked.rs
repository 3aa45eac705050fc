//! Requests for responses, as questions to a model that signs its reasoning.

use serde_json::{Value, json};
use translate::dialect::{Dialect, Question, QuestionInput};
use translate::profile::{Replay, Thinking};
use translate::responses::{IncomingRequest, ResponseReply, Responses};
use translate::token_arrays::UnknownToken;
use translate::{Invalid, Profile, S3Access};

use crate::glass::recalled;
use crate::response_events::{ReadStream, streamed};

pub(crate) fn no_tokens(_: &[u32]) -> Result<String, UnknownToken> {
    Ok(String::new())
}

/// Translates a request, and passes the question on.
pub(crate) fn asked<T>(
    request: &str,
    profile: &Profile,
    use_it: impl FnOnce(Result<Question<'_, ResponseReply>, Invalid>) -> T,
) -> T {
    let incoming: IncomingRequest<'_> = serde_json::from_str(request).unwrap();
    let (stores, recalled) = (S3Access::default(), recalled());
    let input = QuestionInput {
        stores: &stores,
        restored: Some(&recalled),
        index: 0,
        betas: &[],
        text_of: no_tokens,
    };
    use_it(Responses::question(&incoming, profile, &input))
}

pub(crate) fn reply(request: &Value) -> ResponseReply {
    asked(&request.to_string(), &thinking(), |question| question.unwrap().reply)
}

pub(crate) fn body(request: &Value) -> Value {
    asked(&request.to_string(), &thinking(), |question| {
        serde_json::to_value(&question.unwrap().body).unwrap()
    })
}

pub(crate) fn refused(request: &Value) -> Invalid {
    asked(&request.to_string(), &thinking(), |question| question.unwrap_err())
}

/// A model that signs its reasoning.
pub(crate) fn thinking() -> Profile {
    Profile { thinking: Thinking::Adaptive, replay: Replay::Signed, ..Profile::default() }
}

pub(crate) fn converse(content: &Value, stop: &str) -> String {
    json!({
        "output": { "message": { "role": "assistant", "content": content } },
        "stopReason": stop,
        "usage": { "inputTokens": 14, "outputTokens": 8, "totalTokens": 22 },
    })
    .to_string()
}

pub(crate) fn stream_of(request: &Value, content: &Value, stop: &str) -> ReadStream {
    let text = converse(content, stop);
    let stream = streamed(serde_json::from_str(&text).unwrap(), &reply(request));
    stream.check();
    stream
}
