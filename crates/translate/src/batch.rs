//! Records of batch jobs. A job takes bodies of Converse or the model's own; the former must not have tools. So a
//! question for a model whose own body is that of the messages API is written in that body, and its answer read back;
//! and one with tools is written in the model's own body where that is nearly Converse's.

mod answer;
mod anthropic;
mod messages_v1;

use serde_json::Value;

use crate::Invalid;
use crate::profile::{BatchTools, MessagesOperation, Profile};

pub use answer::converse_answer;

/// The form of a job's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordForm {
    /// Bodies of Converse.
    Converse,
    /// The model's own bodies, as InvokeModel takes them.
    Invoke,
}

/// Members of Converse's body that set how a call is served, which a job decides.
const OF_CALLS: [&str; 2] = ["performanceConfig", "serviceTier"];

impl RecordForm {
    /// The name in the order of a job.
    pub fn name(self) -> &'static str {
        match self {
            Self::Converse => "Converse",
            Self::Invoke => "InvokeModel",
        }
    }

    /// The form by its name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Converse, Self::Invoke].into_iter().find(|form| form.name() == name)
    }
}

/// The input of a record that asks the same as a body of Converse, and its form. `longest` is the number of tokens
/// that an answer may have where the question sets no limit.
///
/// # Errors
/// A part of the question is not for batch jobs.
pub fn record(
    body: &[u8],
    profile: &Profile,
    longest: u64,
) -> Result<(RecordForm, Vec<u8>), Invalid> {
    let question: Value = serde_json::from_slice(body).map_err(|_| unsupported("The body"))?;
    let Value::Object(mut members) = question else { return Err(unsupported("The body")) };
    if members.contains_key("guardrailConfig") {
        return Err(unsupported("A guardrail"));
    }
    for name in OF_CALLS {
        members.shift_remove(name);
    }
    let has_tools = members.contains_key("toolConfig");
    let (form, record) = match (profile.messages, profile.batch_tools) {
        (MessagesOperation::Invoke, _) => {
            (RecordForm::Invoke, anthropic::question(&members.into(), longest)?)
        }
        (MessagesOperation::Converse, _) if !has_tools => (RecordForm::Converse, members.into()),
        (MessagesOperation::Converse, BatchTools::MessagesV1) => {
            (RecordForm::Invoke, messages_v1::question(members)?)
        }
        (MessagesOperation::Converse, BatchTools::Refused) => {
            return Err(unsupported("A tool, with this model,"));
        }
    };
    let record = serde_json::to_vec(&record).map_err(|_| unsupported("The body"))?;
    Ok((form, record))
}

fn unsupported(what: &str) -> Invalid {
    let message =
        format!("{what} cannot be part of a batch job of Bedrock's: send this request by itself.");
    Invalid { message: message.into(), param: None, code: "unsupported_in_batches" }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_job_cannot_keep_refuses_the_line() {
        let user = json!([{ "role": "user", "content": [{ "text": "Hello" }] }]);
        let tools = json!({ "messages": user, "toolConfig": { "tools": [] } });
        let guarded =
            json!({ "messages": user, "guardrailConfig": { "guardrailIdentifier": "g" } });
        let own = Profile { messages: MessagesOperation::Invoke, ..Profile::default() };
        let tooled = Profile { batch_tools: BatchTools::MessagesV1, ..Profile::default() };
        let plain = Profile::default();
        for (body, profile, word) in [
            (&tools, &plain, "A tool"),
            (&guarded, &plain, "A guardrail"),
            (&guarded, &own, "A guardrail"),
        ] {
            let refused = record(body.to_string().as_bytes(), profile, 10).unwrap_err();
            assert!(refused.message.starts_with(word), "{refused:?}");
            assert_eq!(refused.code, "unsupported_in_batches");
        }
        let body = json!({ "messages": user, "serviceTier": { "type": "flex" } }).to_string();
        let expected = json!({ "messages": user }).to_string().into_bytes();
        for profile in [&plain, &tooled] {
            let record = record(body.as_bytes(), profile, 10).unwrap();
            assert_eq!(record, (RecordForm::Converse, expected.clone()));
        }
        let (form, own) = record(tools.to_string().as_bytes(), &tooled, 10).unwrap();
        assert_eq!(form, RecordForm::Invoke);
        assert!(own.starts_with(b"{\"schemaVersion\""));
    }
}
