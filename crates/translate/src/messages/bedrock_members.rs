//! Bedrock's own members in answers and events of a model's own form. They are not the model's: those that
//! tell of a guardrail move into `outcrop`, and the others are left out.

use schema::anthropic::messages::answer::{StopDetails, StopReason};
use schema::anthropic::messages::native::{GUARDRAIL_ACTION, OWN_MEMBERS, TRACE};
use schema::anthropic::object::RawObject;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};

/// Members that tell of a guardrail, and their names in `outcrop`.
const GUARDRAIL: [(&str, &str); 2] = [(GUARDRAIL_ACTION, "guardrail_action"), (TRACE, "guardrail")];
/// The action of a guardrail that has left the answer as it was.
const NO_ACTION: &str = "NONE";
/// The action of a guardrail that has put its own message in place of the answer.
const INTERVENED: &str = "INTERVENED";

/// The members found so far.
#[derive(Debug, Default)]
pub(super) struct BedrockMembers {
    outcrop: Map<String, Value>,
}

impl BedrockMembers {
    /// Takes Bedrock's members out of an answer or an event.
    ///
    /// # Errors
    /// None: the members are JSON.
    pub(super) fn take(&mut self, object: &mut RawObject<'_>) -> Result<(), serde_json::Error> {
        let own = object.names().filter(|name| name.starts_with(OWN_MEMBERS));
        for name in own.map(ToOwned::to_owned).collect::<Vec<_>>() {
            let told = GUARDRAIL.iter().find(|(known, _)| *known == name);
            if let Some(((_, told), value)) = told.zip(object.get(&name)) {
                let value: Value = serde_json::from_str(value.get())?;
                if value != NO_ACTION {
                    self.outcrop.insert((*told).to_owned(), value);
                }
            }
            object.remove(&name);
        }
        Ok(())
    }

    /// Returns whether a guardrail has put its message in place of the answer.
    pub(super) fn intervened(&self) -> bool {
        self.outcrop.get("guardrail_action").is_some_and(|action| action == INTERVENED)
    }

    /// Sets the end of an answer that a guardrail has replaced: for the client it is no complete one.
    ///
    /// # Errors
    /// None: the members are JSON.
    pub(super) fn end(&self, ending: &mut RawObject<'_>) -> Result<(), serde_json::Error> {
        if self.intervened() {
            ending.set("stop_reason", to_raw_value(&StopReason::Refusal)?);
            ending.set("stop_details", to_raw_value(&StopDetails::REFUSAL)?);
        }
        Ok(())
    }

    /// `outcrop` with these members and the result of a validation; `None` without any.
    ///
    /// # Errors
    /// None: the members are JSON.
    pub(super) fn outcrop(
        &self,
        word: Option<&'static str>,
    ) -> Result<Option<Box<RawValue>>, serde_json::Error> {
        let mut outcrop = self.outcrop.clone();
        if let Some(word) = word {
            outcrop.insert("structured_output".to_owned(), word.into());
        }
        if outcrop.is_empty() { Ok(None) } else { to_raw_value(&outcrop).map(Some) }
    }
}
