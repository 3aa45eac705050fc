//! What a guardrail says of a text, in values that no SDK is needed for: the verdict itself, and what
//! it cost.

use std::ops::AddAssign;

use schema::openai::moderations::Finding;

/// A guardrail's verdict on some content.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Verdict {
    /// What came of the content.
    pub action: Action,
    /// Bedrock's reason, if it gave one.
    pub reason: Option<String>,
    /// What was found, by policy.
    pub findings: Vec<Finding>,
    /// What is to be said in place of the content, where it intervened.
    pub outputs: Vec<String>,
    /// What it cost.
    pub units: Units,
    /// AWS's id of the call that brought it.
    pub request_id: Option<String>,
}

impl Verdict {
    /// The verdict on two parts of one content: the sterner action, and of each finding the most that was
    /// found.
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

/// Which way the content goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// To a model.
    Input,
    /// From a model.
    Output,
}

/// What came of the content.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Action {
    /// It was only measured: no guardrail was there to act.
    #[default]
    Measured,
    /// It may pass as it is.
    Passed,
    /// It may, as the guardrail has written it.
    Masked,
    /// It may not.
    Intervened,
    /// Something Bedrock has learnt since; nobody knows whether it may pass.
    Unknown,
}

impl Action {
    /// How much it means for the content, beside the others.
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

/// What Bedrock charges for a verdict: text units by policy (1000 characters each), and images.
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
    /// Images looked at by content filters.
    pub images: u64,
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
    fn of_two_parts_the_worst_counts() {
        let found = |name: &str, score, detected| Finding {
            policy: Policy::ContentFilter,
            name: name.to_owned(),
            score,
            detected,
        };
        let verdict = |action, findings, id: &str| Verdict {
            action,
            reason: Some(id.to_owned()),
            findings,
            units: Units { content: 2, ..Units::default() },
            request_id: Some(id.to_owned()),
            ..Verdict::default()
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
