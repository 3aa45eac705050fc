//! A guardrail's verdict and its cost, as values that need no SDK.

use std::ops::AddAssign;

use schema::openai::moderations::Finding;

/// A guardrail's verdict on some content.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GuardrailVerdict {
    /// The action taken on the content.
    pub action: Action,
    /// Bedrock's reason, if it gave one.
    pub reason: Option<String>,
    /// The findings, by policy.
    pub findings: Vec<Finding>,
    /// Replacement texts for the content, where the guardrail intervened.
    pub outputs: Vec<String>,
    /// The cost, in charged units.
    pub units: Units,
    /// AWS's request id of the check.
    pub request_id: Option<String>,
}

impl GuardrailVerdict {
    /// The verdict on two parts of one content: the more severe action, and the highest value of
    /// each finding.
    pub fn and(mut self, other: Self) -> Self {
        let Self { action, reason, findings, outputs, units, request_id } = other;
        if action.weight() > self.action.weight() {
            (self.action, self.reason) = (action, reason);
        }
        for new in findings {
            let same = |old: &&mut Finding| (old.policy, &old.name) == (new.policy, &new.name);
            match self.findings.iter_mut().find(same) {
                Some(old) => {
                    old.detected |= new.detected;
                    old.score = match (old.score, new.score) {
                        (Some(one), Some(other)) => Some(one.max(other)),
                        (one, other) => one.or(other),
                    };
                }
                None => self.findings.push(new),
            }
        }
        self.outputs.extend(outputs);
        self.units += units;
        self.request_id = self.request_id.or(request_id);
        self
    }
}

/// Direction of the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// To a model.
    Input,
    /// From a model.
    Output,
}

/// The action taken on the content.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Action {
    /// The content was only measured: no guardrail was involved.
    #[default]
    Measured,
    /// The content passes unchanged.
    Passed,
    /// The content passes as the guardrail has rewritten it.
    Masked,
    /// The content is blocked.
    Intervened,
    /// An action added to Bedrock later; whether the content may pass is unknown.
    Unknown,
}

impl Action {
    /// Severity of the action.
    fn weight(self) -> u8 {
        match self {
            Self::Measured => 0,
            Self::Passed => 1,
            Self::Masked => 2,
            Self::Unknown => 3,
            Self::Intervened => 4,
        }
    }
}

/// Units that Bedrock charges for a verdict: text units by policy (1000 characters each), and
/// images.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Units {
    /// Content filters.
    pub content: u64,
    /// Denied topics.
    pub topic: u64,
    /// Word filters.
    pub word: u64,
    /// Personal data and patterns, charged or free.
    pub sensitive_information: u64,
    /// Grounding checks.
    pub contextual_grounding: u64,
    /// Images checked by content filters.
    pub images: u64,
}

impl Units {
    /// All units together, images included.
    pub fn total(self) -> u64 {
        let Self { content, topic, word, sensitive_information, contextual_grounding, images } =
            self;
        content + topic + word + sensitive_information + contextual_grounding + images
    }
}

impl AddAssign for Units {
    fn add_assign(&mut self, other: Self) {
        let Self { content, topic, word, sensitive_information, contextual_grounding, images } =
            other;
        self.content += content;
        self.topic += topic;
        self.word += word;
        self.sensitive_information += sensitive_information;
        self.contextual_grounding += contextual_grounding;
        self.images += images;
    }
}

#[cfg(test)]
mod tests {
    use schema::openai::moderations::Policy;

    use super::*;

    #[test]
    fn the_more_severe_of_two_verdicts_counts() {
        let found = |name: &str, score, detected| Finding {
            policy: Policy::ContentFilter,
            name: name.to_owned(),
            score,
            detected,
        };
        let verdict = |action, findings, id: &str| GuardrailVerdict {
            action,
            reason: Some(id.to_owned()),
            findings,
            units: Units { content: 2, ..Units::default() },
            request_id: Some(id.to_owned()),
            ..GuardrailVerdict::default()
        };
        let one = verdict(
            Action::Passed,
            vec![found("HATE", Some(0.67), false), found("SEXUAL", None, false)],
            "one",
        );
        let other = verdict(
            Action::Intervened,
            vec![
                found("HATE", Some(0.33), true),
                found("SEXUAL", Some(0.0), false),
                found("VIOLENCE", Some(1.0), true),
            ],
            "other",
        );
        let worst = [
            found("HATE", Some(0.67), true),
            found("SEXUAL", Some(0.0), false),
            found("VIOLENCE", Some(1.0), true),
        ];
        let both = one.clone().and(other.clone());
        assert_eq!((both.action, both.findings.as_slice()), (Action::Intervened, &worst[..]));
        assert_eq!(both.reason.as_deref(), Some("other"));
        assert_eq!((both.units.content, both.request_id.as_deref()), (4, Some("one")));
        let turned = other.and(one);
        assert_eq!((turned.action, turned.reason.as_deref()), (Action::Intervened, Some("other")));
        assert_eq!(turned.findings.len(), 3);
    }
}
