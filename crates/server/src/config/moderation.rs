//! `moderation:` selects the check behind `/v1/moderations`: a guardrail of some account, or checks
//! without a guardrail.

use schema::openai::moderations::Category;
use translate::moderations::Topics;

use super::credentials;
use super::parsers;
use super::provenance::Show as _;
use super::section::Section;
use super::yaml_tree::Value;
use bedrock::AccountSpec;
use routing::Thousandths;

use crate::guardrail_api::CheckScope;

/// OpenAI's names of its moderation models, which clients send by default.
const NAMES: [&str; 4] = [
    "omni-moderation-latest",
    "omni-moderation-2024-09-26",
    "text-moderation-latest",
    "text-moderation-stable",
];

/// Settings of `/v1/moderations`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Moderation {
    /// Model names that are served. The first is used for a request that names none.
    pub(crate) models: Vec<String>,
    /// `None` selects checks without a guardrail.
    pub(crate) guardrail: Option<ModerationGuardrail>,
    /// The score from which a category is flagged.
    pub(crate) threshold: Thousandths,
    /// The kinds of content that checks look for.
    pub(crate) prompt_attacks: CheckScope,
    /// The categories that denied topics are mapped to.
    pub(crate) topics: Topics,
    /// Most calls in flight for one request.
    pub(crate) concurrency: usize,
    /// The account that is called.
    pub(crate) place: AccountSpec,
}

/// The guardrail that is applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ModerationGuardrail {
    /// Id or ARN.
    pub(crate) id: String,
    /// A number, or `DRAFT`.
    pub(crate) version: String,
}

impl Default for Moderation {
    fn default() -> Self {
        Self {
            models: NAMES.map(ToOwned::to_owned).to_vec(),
            guardrail: None,
            threshold: Thousandths(500),
            prompt_attacks: CheckScope::default(),
            topics: Topics::new(),
            concurrency: 8,
            place: AccountSpec::default(),
        }
    }
}

/// Reads the section.
pub(super) fn read(root: &mut Section<'_>, moderation: &mut Moderation) {
    root.section("moderation", |section| {
        section.set("models", &mut moderation.models, |value| {
            parsers::names(value)
                .ok()
                .filter(|names| !names.is_empty())
                .ok_or("a list of at least one name")
        });
        let named = section.guardrail("name a guardrail of that account", |_| {});
        moderation.guardrail = named.map(|(id, version)| ModerationGuardrail { id, version });
        section.set("threshold", &mut moderation.threshold, parsers::part);
        section.set("prompt_attacks", &mut moderation.prompt_attacks, |value| {
            let scope =
                |attacks| if attacks { CheckScope::ContentAndAttacks } else { CheckScope::Content };
            parsers::boolean(value).map(scope)
        });
        moderation.topics = topics(section);
        section.set("concurrency", &mut moderation.concurrency, parsers::count);
        moderation.place = credentials::place(section);
    });
}

fn topics(section: &mut Section<'_>) -> Topics {
    let prefix = section.path("topics");
    let mut topics = Topics::new();
    for (key, node) in section.map("topics").unwrap_or_default() {
        let path = format!("{prefix}.{}", key.name);
        if let Some((category, origin)) = section.read_node(&path, node, category) {
            section.reading.provenance.tell(&path, category.show(), origin);
            topics.insert(key.name, category);
        }
    }
    topics
}

fn category(value: &Value) -> Result<Category, parsers::Expected> {
    match value {
        Value::Text(text) => Category::ALL.into_iter().find(|category| category.name() == text),
        _ => None,
    }
    .ok_or("a category of OpenAI's, such as self-harm or illicit/violent")
}
