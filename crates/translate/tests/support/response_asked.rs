//! Requests for responses, as questions to a model that signs its reasoning.

use std::sync::Arc;

use serde_json::{Value, json};
use translate::capsule::{CapsulePurpose, Capsules};
use translate::dialect::{Dialect, Question, QuestionInput};
use translate::profile::{Replay, Thinking};
use translate::reasoning::{Origin, RestoredReasoning};
use translate::responses::{IncomingRequest, ResponseReply, Responses};
use translate::token_arrays::UnknownToken;
use translate::{Invalid, Profile, S3Access};

use crate::response_events::{ReadStream, streamed};

/// Capsules that can be read, so that tests see what they hold.
#[derive(Debug)]
struct Glass;

impl Capsules for Glass {
    fn seal(&self, purpose: CapsulePurpose, text: &[u8]) -> Option<String> {
        Some(format!("glass:{}:{}", purpose.name(), String::from_utf8_lossy(text)))
    }

    fn open(&self, purpose: CapsulePurpose, capsule: &str) -> Option<Vec<u8>> {
        let text = capsule.strip_prefix("glass:")?.strip_prefix(purpose.name())?;
        Some(text.strip_prefix(':')?.as_bytes().to_vec())
    }
}

pub(crate) fn no_tokens(_: &[u32]) -> Result<String, UnknownToken> {
    Ok(String::new())
}

pub(crate) fn recalled() -> RestoredReasoning {
    let mut recalled = RestoredReasoning::default();
    recalled.seals_with(Arc::new(Glass));
    recalled.is_for(Origin { model: 1, account: 2 });
    recalled
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
