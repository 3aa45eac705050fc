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
