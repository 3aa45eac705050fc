//! Records of batch jobs. A job takes bodies of Converse or the model's own; the former must not have tools. So a
//! question for a model whose own body is that of the messages API is written in that body, and its answer read back.

mod answer;
mod anthropic;

use serde_json::Value;

use crate::Invalid;
use crate::profile::{MessagesOperation, Profile};

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
    /// The form for questions that are translated for Converse.
    pub fn of(profile: &Profile) -> Self {
        match profile.messages {
            MessagesOperation::Converse => Self::Converse,
            MessagesOperation::Invoke => Self::Invoke,
        }
    }

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

/// The input of a record that asks the same as a body of Converse. `longest` is the number of tokens that an answer
/// may have where the question sets no limit.
///
/// # Errors
/// A part of the question is not for batch jobs.
pub fn record(body: &[u8], form: RecordForm, longest: u64) -> Result<Vec<u8>, Invalid> {
    let mut question: Value = serde_json::from_slice(body).map_err(|_| unsupported("The body"))?;
    let Value::Object(members) = &mut question else { return Err(unsupported("The body")) };
    if members.contains_key("guardrailConfig") {
        return Err(unsupported("A guardrail"));
    }
    for name in OF_CALLS {
        members.shift_remove(name);
    }
    let record = match form {
        RecordForm::Converse if members.contains_key("toolConfig") => {
            return Err(unsupported("A tool, with this model,"));
        }
        RecordForm::Converse => question,
        RecordForm::Invoke => anthropic::question(&question, longest)?,
    };
    serde_json::to_vec(&record).map_err(|_| unsupported("The body"))
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
        for (body, form, word) in [
            (&tools, RecordForm::Converse, "A tool"),
            (&guarded, RecordForm::Converse, "A guardrail"),
            (&guarded, RecordForm::Invoke, "A guardrail"),
        ] {
            let refused = record(body.to_string().as_bytes(), form, 10).unwrap_err();
            assert!(refused.message.starts_with(word), "{refused:?}");
            assert_eq!(refused.code, "unsupported_in_batches");
        }
        let plain = json!({ "messages": user, "serviceTier": { "type": "flex" } }).to_string();
        let record = record(plain.as_bytes(), RecordForm::Converse, 10).unwrap();
        assert_eq!(record, json!({ "messages": user }).to_string().into_bytes());
    }
}
