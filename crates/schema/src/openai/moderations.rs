//! `POST /v1/moderations`: the request and the response, with the guardrail's findings beside
//! OpenAI's categories.

use std::fmt;

use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Serialize};

use super::content::Part;
use super::list::{TextOrList, rest, text_or_list};
use super::unknown::{Collector, Unknown};
use crate::Str;

/// A moderation request. Every optional field accepts null; the names of unknown fields are kept in
/// `extra`.
#[derive(Debug, Clone, Deserialize)]
#[serde(remote = "Self")]
pub struct ModerationRequest<'a> {
    #[serde(borrow)]
    pub input: ModerationInput<'a>,
    #[serde(borrow)]
    pub model: Option<Str<'a>>,

    /// Fields unknown here.
    #[serde(skip)]
    pub extra: Unknown<'a>,
}

impl<'de: 'a, 'a> Deserialize<'de> for ModerationRequest<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut extra = Unknown::default();
        let request = Self::deserialize(Collector::new(deserializer, &mut extra))?;
        Ok(Self { extra, ..request })
    }
}

/// `input`: a text, several texts (a result each), or the parts of one message (one result).
#[derive(Debug, Clone, PartialEq)]
pub enum ModerationInput<'a> {
    Text(Str<'a>),
    /// Also an empty array.
    Texts(Vec<Str<'a>>),
    Parts(Vec<Part<'a>>),
}

/// The response: a result for each input, in order.
#[derive(Debug, Serialize)]
pub struct Moderation {
    /// `modr-...`.
    pub id: String,
    pub model: String,
    pub results: Vec<ModerationResult>,
}

/// The result for one input.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModerationResult {
    pub flagged: bool,
    pub categories: Categories<bool>,
    /// 0 to 1.
    pub category_scores: Categories<f64>,
    pub category_applied_input_types: Categories<Vec<InputKind>>,
    /// The guardrail's own findings: an extension.
    pub outcrop: GuardrailReport,
}

/// A kind of input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum InputKind {
    Text,
    Image,
}

/// One value for each of OpenAI's categories.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Categories<T> {
    pub harassment: T,
    #[serde(rename = "harassment/threatening")]
    pub harassment_threatening: T,
    pub hate: T,
    #[serde(rename = "hate/threatening")]
    pub hate_threatening: T,
    pub illicit: T,
    #[serde(rename = "illicit/violent")]
    pub illicit_violent: T,
    #[serde(rename = "self-harm")]
    pub self_harm: T,
    #[serde(rename = "self-harm/intent")]
    pub self_harm_intent: T,
    #[serde(rename = "self-harm/instructions")]
    pub self_harm_instructions: T,
    pub sexual: T,
    #[serde(rename = "sexual/minors")]
    pub sexual_minors: T,
    pub violence: T,
    #[serde(rename = "violence/graphic")]
    pub violence_graphic: T,
}

/// One of OpenAI's categories.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Category {
    Harassment,
    HarassmentThreatening,
    Hate,
    HateThreatening,
    Illicit,
    IllicitViolent,
    SelfHarm,
    SelfHarmIntent,
    SelfHarmInstructions,
    Sexual,
    SexualMinors,
    Violence,
    ViolenceGraphic,
}

impl Category {
    /// Every category, in OpenAI's order.
    pub const ALL: [Self; 13] = [
        Self::Harassment,
        Self::HarassmentThreatening,
        Self::Hate,
        Self::HateThreatening,
        Self::Illicit,
        Self::IllicitViolent,
        Self::SelfHarm,
        Self::SelfHarmIntent,
        Self::SelfHarmInstructions,
        Self::Sexual,
        Self::SexualMinors,
        Self::Violence,
        Self::ViolenceGraphic,
    ];

    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Harassment => "harassment",
            Self::HarassmentThreatening => "harassment/threatening",
            Self::Hate => "hate",
            Self::HateThreatening => "hate/threatening",
            Self::Illicit => "illicit",
            Self::IllicitViolent => "illicit/violent",
            Self::SelfHarm => "self-harm",
            Self::SelfHarmIntent => "self-harm/intent",
            Self::SelfHarmInstructions => "self-harm/instructions",
            Self::Sexual => "sexual",
            Self::SexualMinors => "sexual/minors",
            Self::Violence => "violence",
            Self::ViolenceGraphic => "violence/graphic",
        }
    }
}

impl<T> Categories<T> {
    /// The value of a category.
    pub fn of(&mut self, category: Category) -> &mut T {
        match category {
            Category::Harassment => &mut self.harassment,
            Category::HarassmentThreatening => &mut self.harassment_threatening,
            Category::Hate => &mut self.hate,
            Category::HateThreatening => &mut self.hate_threatening,
            Category::Illicit => &mut self.illicit,
            Category::IllicitViolent => &mut self.illicit_violent,
            Category::SelfHarm => &mut self.self_harm,
            Category::SelfHarmIntent => &mut self.self_harm_intent,
            Category::SelfHarmInstructions => &mut self.self_harm_instructions,
            Category::Sexual => &mut self.sexual,
            Category::SexualMinors => &mut self.sexual_minors,
            Category::Violence => &mut self.violence,
            Category::ViolenceGraphic => &mut self.violence_graphic,
        }
    }
}

/// Findings of a guardrail, or of checks without one.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct GuardrailReport {
    /// Bedrock's `GUARDRAIL_INTERVENED` or `NONE`; null for checks, which only measure.
    pub action: Option<&'static str>,
    /// The guardrail's reason, if it gave one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action_reason: Option<String>,
    pub findings: Vec<Finding>,
}

/// One entry of a guardrail's assessment. The matched text is left out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    pub policy: Policy,
    /// The filter's, topic's, list's or entity's name.
    pub name: String,
    /// 0 to 1, where the policy has a score.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// Whether it violates the configured policy.
    pub detected: bool,
}

/// The part of a guardrail that made a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    ContentFilter,
    PromptAttack,
    Topic,
    Word,
    SensitiveInformation,
    ContextualGrounding,
}

impl<'de: 'a, 'a> Deserialize<'de> for ModerationInput<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text_or_list(deserializer)
    }
}

impl<'de> TextOrList<'de> for ModerationInput<'de> {
    const EXPECTED: &'static str = "a string, an array of strings, or an array of content parts";

    fn of_text(text: Str<'de>) -> Self {
        Self::Text(text)
    }

    /// The first element decides the type of the others: a mixed array fails at the first other
    /// element.
    fn of_list<A: SeqAccess<'de>>(mut seq: A) -> Result<Self, A::Error> {
        Ok(match seq.next_element()? {
            None => ModerationInput::Texts(Vec::new()),
            Some(Element::Text(first)) => ModerationInput::Texts(rest(first, seq)?),
            Some(Element::Part(first)) => ModerationInput::Parts(rest(first, seq)?),
        })
    }
}

/// The first element of an array.
enum Element<'a> {
    Text(Str<'a>),
    Part(Part<'a>),
}

impl<'de: 'a, 'a> Deserialize<'de> for Element<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ElementVisitor)
    }
}

struct ElementVisitor;

impl<'de> Visitor<'de> for ElementVisitor {
    type Value = Element<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or a content part")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Element::Text(text.into()))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Element::Text(text.to_owned().into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        Part::deserialize(MapAccessDeserializer::new(map)).map(Element::Part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_is_read_in_its_three_forms() {
        let part = Part::Text { text: "a".into(), cache: None };
        for (json, expected) in [
            (r#""a""#, ModerationInput::Text("a".into())),
            ("[]", ModerationInput::Texts(vec![])),
            (r#"["a","b\n"]"#, ModerationInput::Texts(vec!["a".into(), "b\n".into()])),
            (r#"[{"type":"text","text":"a"}]"#, ModerationInput::Parts(vec![part])),
        ] {
            let read: ModerationInput<'_> = serde_json::from_str(json).unwrap();
            assert_eq!(read, expected, "{json}");
        }
        for json in ["null", "1", "{}", "[1]", r#"["a",{"type":"text","text":"a"}]"#] {
            assert!(serde_json::from_str::<ModerationInput<'_>>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn categories_are_spelled_as_their_names() {
        let mut categories = Categories::<usize>::default();
        for (at, category) in Category::ALL.into_iter().enumerate() {
            *categories.of(category) = at;
        }
        let json = serde_json::to_value(&categories).unwrap();
        assert_eq!(json.as_object().unwrap().len(), Category::ALL.len());
        for (at, category) in Category::ALL.into_iter().enumerate() {
            assert_eq!(json[category.name()], at, "{}", category.name());
        }
    }
}
