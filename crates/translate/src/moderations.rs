//! Translates moderation requests into guardrail checks, and verdicts into OpenAI's categories.
//! Bedrock has fewer filters: categories without a counterpart are false and 0, and findings
//! without an OpenAI category flag the input and stand under `outcrop`.

use std::collections::BTreeMap;

use schema::converse::media::{ImageBlock, Source};
use schema::converse::message::ContentBlock;
use schema::openai::content::{ImageUrl, Part};
use schema::openai::moderations::{
    Categories, Category, Finding, GuardrailReport, InputKind, ModerationInput, ModerationRequest,
    ModerationResult, Policy,
};

use crate::guardrail::content;
use crate::guardrail::verdict::{Action, GuardrailVerdict};
use crate::parts::media::{Attachments, MediaPart};
use crate::profile::{Media, Medium};
use crate::{Invalid, Profile, Report, S3Access};

/// Most inputs in one request.
const MOST: usize = 2048;

/// The service that checks the inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judge {
    /// Checks that need no guardrail. They read text only.
    Checks,
    /// A guardrail, which also reads PNG and JPEG.
    Guardrail,
}

/// A request ready to be checked.
#[derive(Debug)]
pub struct ModerationInputs<'a> {
    /// Each input is checked separately and has its own result.
    pub inputs: Vec<Moderated<'a>>,
    /// Fields without effect.
    pub report: Report,
}

/// One input.
#[derive(Debug, Default)]
pub struct Moderated<'a> {
    /// Not blank.
    pub texts: Vec<&'a str>,
    /// PNG or JPEG.
    pub images: Vec<Picture<'a>>,
}

impl<'a> Moderated<'a> {
    /// Splits the input into portions that fit one guardrail check: a longer one could never
    /// succeed at the default quota of an account. The images go with the first portion.
    pub fn portions(&self) -> Vec<Self> {
        let portions = content::portions(self.texts.iter().copied());
        let texts = portions.into_iter().map(|portion| {
            let texts = portion.into_iter().map(|stretch| stretch.text);
            texts.filter(|text| !text.trim().is_empty()).collect()
        });
        let texts = texts.filter(|texts: &Vec<&str>| !texts.is_empty());
        let mut portions: Vec<Self> =
            texts.map(|texts| Self { texts, images: Vec::new() }).collect();
        if portions.is_empty() {
            portions.push(Self::default());
        }
        if let Some(first) = portions.first_mut() {
            first.images.clone_from(&self.images);
        }
        portions
    }
}

/// An image of one input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Picture<'a> {
    /// Detected from the image data.
    pub format: PictureFormat,
    /// Base64.
    pub data: &'a str,
}

/// Image formats that guardrails read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PictureFormat {
    /// `png`.
    Png,
    /// `jpeg`.
    Jpeg,
}

/// The OpenAI category of each denied topic, by the topic's name.
pub type Topics = BTreeMap<String, Category>;

/// Splits a moderation request into its inputs.
///
/// # Errors
/// The request has no content to check, or content that the judge cannot read; the error names the
/// field.
pub fn question<'a>(
    request: &'a ModerationRequest<'a>,
    judge: Judge,
) -> Result<ModerationInputs<'a>, Invalid> {
    // Destructured without `..`: a new field does not compile until its use is decided.
    let ModerationRequest { input, model: _, extra } = request;
    let mut report = Report::default();
    for name in extra.names() {
        report.ignore(name);
    }
    let inputs = match input {
        ModerationInput::Text(text) => vec![of_text(text, || "input".to_owned())?],
        ModerationInput::Texts(texts) => texts
            .iter()
            .enumerate()
            .map(|(at, text)| of_text(text, || format!("input[{at}]")))
            .collect::<Result<_, _>>()?,
        ModerationInput::Parts(parts) => vec![of_parts(parts, judge)?],
    };
    match inputs.len() {
        0 => Err(Invalid::value("input", "There is nothing to moderate: the input is empty.")),
        1..=MOST => Ok(ModerationInputs { inputs, report }),
        _ => Err(Invalid::value("input", format!("At most {MOST} inputs fit in one request."))),
    }
}

/// Converts the verdict on an input to OpenAI's categories.
pub fn result(
    verdict: &GuardrailVerdict,
    input: &Moderated<'_>,
    topics: &Topics,
) -> ModerationResult {
    let mut categories = Categories::default();
    let mut category_scores = Categories::default();
    for finding in &verdict.findings {
        let Some(category) = category(finding, topics) else { continue };
        let certain = if finding.detected { 1.0 } else { 0.0 };
        let score: &mut f64 = category_scores.of(category);
        *score = score.max(finding.score.unwrap_or(certain));
        *categories.of(category) |= finding.detected;
    }
    let action = match verdict.action {
        Action::Measured => None,
        Action::Passed => Some("NONE"),
        Action::Intervened | Action::Masked => Some("GUARDRAIL_INTERVENED"),
        Action::Unknown => Some("UNKNOWN"),
    };
    let stopped = matches!(verdict.action, Action::Intervened | Action::Masked | Action::Unknown);
    ModerationResult {
        flagged: stopped || verdict.findings.iter().any(|finding| finding.detected),
        categories,
        category_scores,
        category_applied_input_types: applied(input, topics),
        outcrop: GuardrailReport {
            action,
            action_reason: verdict.reason.clone(),
            findings: verdict.findings.clone(),
        },
    }
}

/// The OpenAI category with the same meaning. Guardrails do not distinguish kinds of hate, violence
/// or sexual content, and detect no self-harm unless a topic denies it.
fn category(finding: &Finding, topics: &Topics) -> Option<Category> {
    match finding.policy {
        Policy::ContentFilter => COUNTERPARTS
            .iter()
            .find(|(name, _)| *name == finding.name)
            .map(|(_, category)| *category),
        Policy::Topic => topics.get(&finding.name).copied(),
        Policy::PromptAttack
        | Policy::Word
        | Policy::SensitiveInformation
        | Policy::ContextualGrounding => None,
    }
}

const COUNTERPARTS: [(&str, Category); 5] = [
    ("HATE", Category::Hate),
    ("INSULTS", Category::Harassment),
    ("SEXUAL", Category::Sexual),
    ("VIOLENCE", Category::Violence),
    ("MISCONDUCT", Category::Illicit),
];

/// The kinds of input that each category was checked in. OpenAI's own lists hold `image` for three
/// families only, and its SDKs accept no other.
fn applied(input: &Moderated<'_>, topics: &Topics) -> Categories<Vec<InputKind>> {
    let mut applied = Categories::<Vec<InputKind>>::default();
    let text = !input.texts.is_empty();
    for (_, category) in COUNTERPARTS {
        let pictured = matches!(category, Category::Sexual | Category::Violence);
        let kinds = applied.of(category);
        kinds.extend(text.then_some(InputKind::Text));
        kinds.extend((pictured && !input.images.is_empty()).then_some(InputKind::Image));
    }
    for category in topics.values() {
        let kinds = applied.of(*category);
        if text && !kinds.contains(&InputKind::Text) {
            kinds.insert(0, InputKind::Text);
        }
    }
    applied
}

/// Refuses blank text, which Bedrock does not check.
fn of_text(text: &str, param: impl Fn() -> String) -> Result<Moderated<'_>, Invalid> {
    if text.trim().is_empty() {
        return Err(Invalid::value(param(), "A blank text cannot be moderated."));
    }
    Ok(Moderated { texts: vec![text], images: Vec::new() })
}

fn of_parts<'a>(parts: &'a [Part<'_>], judge: Judge) -> Result<Moderated<'a>, Invalid> {
    let mut whole = Moderated::default();
    for (at, part) in parts.iter().enumerate() {
        let param = || format!("input[{at}]");
        match part {
            Part::Text { text, cache: _ } if text.trim().is_empty() => {}
            Part::Text { text, cache: _ } => whole.texts.push(text.as_str()),
            Part::ImageUrl { image, cache: _ } => {
                whole.images.push(picture(image, judge, &param())?);
            }
            Part::InputAudio { .. }
            | Part::File { .. }
            | Part::VideoUrl { .. }
            | Part::SearchResult { .. }
            | Part::Refusal { .. }
            | Part::Thought(_)
            | Part::Call(_)
            | Part::Result(_)
            | Part::Moved
            | Part::Foreign(_) => {
                let message = "Only text and image_url parts can be moderated.";
                return Err(Invalid::value(format!("{}.type", param()), message));
            }
        }
    }
    if whole.texts.is_empty() && whole.images.is_empty() {
        return Err(Invalid::value("input", "There is nothing to moderate in these parts."));
    }
    Ok(whole)
}

fn picture<'a>(image: &'a ImageUrl<'_>, judge: Judge, param: &str) -> Result<Picture<'a>, Invalid> {
    if judge == Judge::Checks {
        let message = "Images can only be moderated by a guardrail: the gateway's operator names one under moderation.guardrail.";
        return Err(Invalid::value(param, message).with_code("unsupported_value"));
    }
    let reads = Profile { media: Media::of(&[Medium::Image]), ..Profile::default() };
    let stores = S3Access::default();
    let part = MediaPart {
        text: image.url.as_str(),
        medium: Medium::Image,
        format: None,
        filename: None,
        param: format!("{param}.image_url.url"),
    };
    let format = match Attachments::new(&reads, &stores).attach(&part)? {
        ContentBlock::Image(ImageBlock { format: "png", source: Source::Bytes(data) }) => {
            (PictureFormat::Png, data)
        }
        ContentBlock::Image(ImageBlock { format: "jpeg", source: Source::Bytes(data) }) => {
            (PictureFormat::Jpeg, data)
        }
        _ => {
            let message = "Guardrails read PNG and JPEG only.";
            return Err(Invalid::value(part.param, message).with_code("unsupported_value"));
        }
    };
    let (format, data) = format;
    Ok(Picture { format, data })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PNG: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUg==";

    fn found(policy: Policy, name: &str, score: Option<f64>, detected: bool) -> Finding {
        Finding { policy, name: name.to_owned(), score, detected }
    }

    fn refused(input: &str, judge: Judge) -> (String, &'static str) {
        let json = format!(r#"{{"input":{input}}}"#);
        let request: ModerationRequest<'_> = serde_json::from_str(&json).unwrap();
        let error = question(&request, judge).unwrap_err();
        (error.param.unwrap(), error.code)
    }

    #[test]
    fn texts_are_checked_separately_and_parts_as_one() {
        for (input, inputs, texts, images) in [
            (r#""a""#, 1, 1, 0),
            (r#"["a","b"]"#, 2, 1, 0),
            (r#"[{"type":"text","text":"a"},{"type":"text","text":"b"}]"#, 1, 2, 0),
            (&format!(r#"[{{"type":"image_url","image_url":{{"url":"{PNG}"}}}}]"#), 1, 0, 1),
        ] {
            let json = format!(r#"{{"input":{input},"user":"u"}}"#);
            let request: ModerationRequest<'_> = serde_json::from_str(&json).unwrap();
            let question = question(&request, Judge::Guardrail).unwrap();
            assert_eq!(question.inputs.len(), inputs, "{input}");
            let first = &question.inputs[0];
            assert_eq!((first.texts.len(), first.images.len()), (texts, images), "{input}");
            assert_eq!(question.report.ignored(), ["user"]);
        }
    }

    #[test]
    fn long_inputs_are_checked_in_portions_without_loss() {
        let (long, picture) =
            ("basalt ".repeat(9_000), Picture { format: PictureFormat::Png, data: "AA==" });
        let input = Moderated { texts: vec!["a", &long], images: vec![picture] };
        let portions = input.portions();
        assert_eq!(portions.len(), 4);
        let length = |one: &Moderated<'_>| one.texts.concat().chars().count();
        assert!(portions.iter().all(|one| length(one) <= 20_000));
        let all: String = portions.iter().flat_map(|one| one.texts.iter().copied()).collect();
        assert_eq!(all, format!("a{long}"));
        let images: Vec<usize> = portions.iter().map(|one| one.images.len()).collect();
        assert_eq!(images, [1, 0, 0, 0]);
        let only = Moderated { texts: Vec::new(), images: vec![picture] };
        assert_eq!(only.portions().len(), 1);
    }

    #[test]
    fn content_that_cannot_be_checked_is_refused_by_its_field() {
        let image =
            |url: &str| format!(r#"[{{"type":"image_url","image_url":{{"url":"{url}"}}}}]"#);
        for (input, judge, param, code) in [
            ("[]", Judge::Checks, "input", "invalid_value"),
            (r#"" ""#, Judge::Checks, "input", "invalid_value"),
            (r#"["a",""]"#, Judge::Checks, "input[1]", "invalid_value"),
            (&image(PNG), Judge::Checks, "input[0]", "unsupported_value"),
            (
                &image("data:image/gif;base64,R0lGODlhAQABAAAA"),
                Judge::Guardrail,
                "input[0].image_url.url",
                "unsupported_value",
            ),
            (
                r#"[{"type":"file","file":{"file_id":"f"}}]"#,
                Judge::Guardrail,
                "input[0].type",
                "invalid_value",
            ),
        ] {
            assert_eq!(refused(input, judge), (param.to_owned(), code), "{input}");
        }
        assert!(
            refused(&image("https://example.com/a.png"), Judge::Guardrail)
                .0
                .starts_with("input[0]")
        );
    }

    #[test]
    fn filters_become_the_categories_with_the_same_meaning() {
        let topics = Topics::from([("Harm".to_owned(), Category::SelfHarm)]);
        let input = Moderated { texts: vec!["a"], images: Vec::new() };
        let verdict = GuardrailVerdict {
            action: Action::Measured,
            findings: vec![
                found(Policy::ContentFilter, "VIOLENCE", Some(0.9), true),
                found(Policy::ContentFilter, "HATE", Some(0.2), false),
                found(Policy::Topic, "Harm", None, true),
                found(Policy::Topic, "Shares", None, true),
            ],
            ..GuardrailVerdict::default()
        };
        let result = result(&verdict, &input, &topics);
        assert!(result.flagged && result.categories.violence && result.categories.self_harm);
        assert!(!result.categories.hate && !result.categories.violence_graphic);
        let scores = &result.category_scores;
        assert_eq!((scores.violence, scores.hate, scores.self_harm), (0.9, 0.2, 1.0));
        let applied = &result.category_applied_input_types;
        assert_eq!(applied.self_harm, [InputKind::Text]);
        assert!(applied.sexual_minors.is_empty());
        assert_eq!(result.outcrop.findings.len(), 4);
        assert_eq!(result.outcrop.action, None);
    }

    #[test]
    fn findings_without_a_category_flag_the_input() {
        let input = Moderated { texts: vec!["a"], images: Vec::new() };
        for verdict in [
            GuardrailVerdict { action: Action::Intervened, ..GuardrailVerdict::default() },
            GuardrailVerdict { action: Action::Masked, ..GuardrailVerdict::default() },
            GuardrailVerdict { action: Action::Unknown, ..GuardrailVerdict::default() },
            GuardrailVerdict {
                findings: vec![found(Policy::PromptAttack, "JAILBREAK", Some(1.0), true)],
                ..GuardrailVerdict::default()
            },
        ] {
            let result = result(&verdict, &input, &Topics::new());
            assert!(result.flagged, "{verdict:?}");
            assert_eq!(result.categories, Categories::default());
        }
        let clean = GuardrailVerdict { action: Action::Passed, ..GuardrailVerdict::default() };
        assert!(!result(&clean, &input, &Topics::new()).flagged);
    }
}
