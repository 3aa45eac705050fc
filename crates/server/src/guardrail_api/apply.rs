//! ApplyGuardrail: a guardrail's verdict on content without a model call.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bedrock::runtime::operation::RequestId as _;
use bedrock::runtime::operation::apply_guardrail::ApplyGuardrailOutput;
use bedrock::runtime::types::{
    GuardrailAction, GuardrailAssessment, GuardrailContentBlock, GuardrailContentFilter,
    GuardrailContentFilterConfidence as Confidence, GuardrailContentFilterType,
    GuardrailContentSource, GuardrailImageBlock, GuardrailImageFormat, GuardrailImageSource,
    GuardrailOutputScope, GuardrailTextBlock, GuardrailUsage,
};
use bedrock::{Blob, Failure, Sdk, sdk_failure};
use schema::openai::moderations::{Finding, Policy};
use translate::guardrail::verdict::{Action, GuardrailVerdict, Side, Units};
use translate::moderations::{Moderated, Picture, PictureFormat};

/// Which guardrail.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GuardrailName<'a> {
    /// Id or ARN.
    pub(crate) id: &'a str,
    /// A number, or `DRAFT`.
    pub(crate) version: &'a str,
}

/// Asks a guardrail about content on its way to or from a model. The verdict tells everything the
/// guardrail looked for, whether it was found or not.
///
/// # Errors
/// [`Failure`]; one that is not the service's own says why the request could not be made.
pub(crate) async fn apply_guardrail(
    sdk: &Sdk,
    guardrail: GuardrailName<'_>,
    side: Side,
    content: &Moderated<'_>,
) -> Result<GuardrailVerdict, Failure> {
    let source = match side {
        Side::Input => GuardrailContentSource::Input,
        Side::Output => GuardrailContentSource::Output,
    };
    let call = sdk
        .client()
        .apply_guardrail()
        .guardrail_identifier(guardrail.id)
        .guardrail_version(guardrail.version)
        .source(source)
        .output_scope(GuardrailOutputScope::Full)
        .set_content(Some(blocks(content)?))
        .send();
    // Boxed, because the SDK's future is larger than a whole request without a guardrail.
    let answer = Box::pin(call).await.map_err(sdk_failure)?;
    Ok(verdict(&answer))
}

fn blocks(content: &Moderated<'_>) -> Result<Vec<GuardrailContentBlock>, Failure> {
    let unbuilt = |error: &dyn std::error::Error| Failure::Request(error.to_string());
    let mut blocks = Vec::with_capacity(content.texts.len() + content.images.len());
    for text in &content.texts {
        let block = GuardrailTextBlock::builder().text(*text).build();
        blocks.push(GuardrailContentBlock::Text(block.map_err(|error| unbuilt(&error))?));
    }
    for Picture { format, data } in &content.images {
        let bytes = STANDARD.decode(data).map_err(|error| unbuilt(&error))?;
        let format = match format {
            PictureFormat::Png => GuardrailImageFormat::Png,
            PictureFormat::Jpeg => GuardrailImageFormat::Jpeg,
        };
        let block = GuardrailImageBlock::builder()
            .format(format)
            .source(GuardrailImageSource::Bytes(Blob::new(bytes)))
            .build();
        blocks.push(GuardrailContentBlock::Image(block.map_err(|error| unbuilt(&error))?));
    }
    Ok(blocks)
}

fn verdict(answer: &ApplyGuardrailOutput) -> GuardrailVerdict {
    let action = match answer.action() {
        GuardrailAction::None => Action::Passed,
        GuardrailAction::GuardrailIntervened if only_masks(answer) => Action::Masked,
        GuardrailAction::GuardrailIntervened => Action::Intervened,
        _ => Action::Unknown,
    };
    let outputs = answer.outputs().iter().filter_map(|output| output.text().map(ToOwned::to_owned));
    GuardrailVerdict {
        action,
        reason: answer.action_reason().map(ToOwned::to_owned),
        findings: answer.assessments().iter().flat_map(findings).collect(),
        outputs: outputs.collect(),
        units: answer.usage().map(units).unwrap_or_default(),
        request_id: answer.request_id().map(ToOwned::to_owned),
    }
}

/// Whether the guardrail only masked parts of the content.
fn only_masks(answer: &ApplyGuardrailOutput) -> bool {
    let mut done = answer.assessments().iter().flat_map(actions).filter(|done| *done != "NONE");
    done.next() == Some(MASKED) && done.all(|done| done == MASKED)
}

const MASKED: &str = "ANONYMIZED";

/// The action for each finding.
fn actions(assessment: &GuardrailAssessment) -> Vec<&str> {
    let mut done = Vec::new();
    if let Some(policy) = assessment.content_policy() {
        done.extend(policy.filters().iter().map(|filter| filter.action().as_str()));
    }
    if let Some(policy) = assessment.topic_policy() {
        done.extend(policy.topics().iter().map(|topic| topic.action().as_str()));
    }
    if let Some(policy) = assessment.word_policy() {
        done.extend(policy.custom_words().iter().map(|word| word.action().as_str()));
        done.extend(policy.managed_word_lists().iter().map(|word| word.action().as_str()));
    }
    if let Some(policy) = assessment.sensitive_information_policy() {
        done.extend(policy.pii_entities().iter().map(|entity| entity.action().as_str()));
        done.extend(policy.regexes().iter().map(|regex| regex.action().as_str()));
    }
    if let Some(policy) = assessment.contextual_grounding_policy() {
        done.extend(policy.filters().iter().map(|filter| filter.action().as_str()));
    }
    done
}

fn findings(assessment: &GuardrailAssessment) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Some(policy) = assessment.content_policy() {
        found.extend(policy.filters().iter().map(filter));
    }
    if let Some(policy) = assessment.topic_policy() {
        found.extend(policy.topics().iter().map(|topic| {
            plain(Policy::Topic, topic.name(), topic.detected(), topic.action().as_str())
        }));
    }
    if let Some(policy) = assessment.word_policy() {
        // The word itself is omitted: it may be the caller's secret as well as the operator's.
        found.extend(
            policy
                .custom_words()
                .iter()
                .map(|word| plain(Policy::Word, "CUSTOM", word.detected(), word.action().as_str())),
        );
        found.extend(policy.managed_word_lists().iter().map(|word| {
            plain(Policy::Word, word.r#type().as_str(), word.detected(), word.action().as_str())
        }));
    }
    if let Some(policy) = assessment.sensitive_information_policy() {
        let of =
            |name, detected, action| plain(Policy::SensitiveInformation, name, detected, action);
        found.extend(policy.pii_entities().iter().map(|entity| {
            of(entity.r#type().as_str(), entity.detected(), entity.action().as_str())
        }));
        found.extend(policy.regexes().iter().map(|regex| {
            of(regex.name().unwrap_or("REGEX"), regex.detected(), regex.action().as_str())
        }));
    }
    if let Some(policy) = assessment.contextual_grounding_policy() {
        found.extend(policy.filters().iter().map(|filter| Finding {
            score: Some(filter.score()),
            ..plain(
                Policy::ContextualGrounding,
                filter.r#type().as_str(),
                filter.detected(),
                filter.action().as_str(),
            )
        }));
    }
    found
}

fn filter(filter: &GuardrailContentFilter) -> Finding {
    let policy = match filter.r#type() {
        GuardrailContentFilterType::PromptAttack => Policy::PromptAttack,
        _ => Policy::ContentFilter,
    };
    let action = filter.action().as_str();
    Finding {
        score: Some(score(filter.confidence())),
        ..plain(policy, filter.r#type().as_str(), filter.detected(), action)
    }
}

/// Without a `detected` field, the guardrail's action shows whether there was a detection.
fn plain(policy: Policy, name: &str, detected: Option<bool>, action: &str) -> Finding {
    let detected = detected.unwrap_or(action != "NONE");
    Finding { policy, name: name.to_owned(), score: None, detected }
}

/// A level of confidence as a number: thirds, since AWS's levels have no numbers.
fn score(confidence: &Confidence) -> f64 {
    match confidence {
        Confidence::None => 0.0,
        Confidence::Low => 0.33,
        Confidence::Medium => 0.67,
        // A level above the known ones counts as high.
        _ => 1.0,
    }
}

fn units(usage: &GuardrailUsage) -> Units {
    let count = |units: i32| u64::try_from(units).unwrap_or_default();
    Units {
        content: count(usage.content_policy_units()),
        topic: count(usage.topic_policy_units()),
        word: count(usage.word_policy_units()),
        sensitive_information: count(usage.sensitive_information_policy_units()),
        contextual_grounding: count(usage.contextual_grounding_policy_units()),
        images: count(usage.content_policy_image_units().unwrap_or_default()),
    }
}
