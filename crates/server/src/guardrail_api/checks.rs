//! InvokeGuardrailChecks: the content filters of guardrails, without a guardrail. They return scores; the
//! caller applies a threshold.

use bedrock::runtime::operation::RequestId as _;
use bedrock::runtime::operation::invoke_guardrail_checks::InvokeGuardrailChecksOutput;
use bedrock::runtime::types::{
    GuardrailChecksConfig, GuardrailChecksContentBlock, GuardrailChecksContentFilterCategory,
    GuardrailChecksContentFilterCategoryConfig, GuardrailChecksContentFilterConfig,
    GuardrailChecksMessage, GuardrailChecksPromptAttackCategory,
    GuardrailChecksPromptAttackCategoryConfig, GuardrailChecksPromptAttackConfig,
    GuardrailChecksRole,
};
use bedrock::{Failure, ProtocolError, Sdk, sdk_failure};
use schema::openai::moderations::{Finding, Policy};
use translate::guardrail::verdict::{GuardrailVerdict, Units};

/// What is looked for; each is charged by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum CheckScope {
    /// Content filters.
    #[default]
    Content,
    /// Prompt attacks as well.
    ContentAndAttacks,
}

/// Measures the texts of one user message by everything the content filters know, and the filters
/// of prompt attacks where they are wanted. What reaches `threshold` (0 to 1) is detected.
///
/// # Errors
/// [`Failure`]; one that is not the service's own says why the request could not be made.
pub(crate) async fn guardrail_checks(
    sdk: &Sdk,
    texts: &[&str],
    scope: CheckScope,
    threshold: f64,
) -> Result<GuardrailVerdict, Failure> {
    let unbuilt = |error: &dyn std::error::Error| Failure::Request(error.to_string());
    let content =
        texts.iter().map(|text| GuardrailChecksContentBlock::Text((*text).to_owned())).collect();
    let message = GuardrailChecksMessage::builder()
        .role(GuardrailChecksRole::User)
        .set_content(Some(content))
        .build()
        .map_err(|error| unbuilt(&error))?;
    let answer = sdk
        .client()
        .invoke_guardrail_checks()
        .messages(message)
        .checks(checks(scope).map_err(|error| unbuilt(&error))?)
        .send()
        .await
        .map_err(sdk_failure)?;
    verdict(&answer, scope, threshold)
}

fn checks(scope: CheckScope) -> Result<GuardrailChecksConfig, bedrock::runtime::error::BuildError> {
    let categories = GuardrailChecksContentFilterCategory::values()
        .iter()
        .map(|name| {
            GuardrailChecksContentFilterCategoryConfig::builder()
                .category(GuardrailChecksContentFilterCategory::from(*name))
                .build()
        })
        .collect::<Result<_, _>>()?;
    let content =
        GuardrailChecksContentFilterConfig::builder().set_categories(Some(categories)).build()?;
    let checks = GuardrailChecksConfig::builder().content_filter(content);
    if scope == CheckScope::Content {
        return Ok(checks.build());
    }
    let attacks = GuardrailChecksPromptAttackCategory::values()
        .iter()
        .map(|name| {
            GuardrailChecksPromptAttackCategoryConfig::builder()
                .category(GuardrailChecksPromptAttackCategory::from(*name))
                .build()
        })
        .collect::<Result<_, _>>()?;
    let attack =
        GuardrailChecksPromptAttackConfig::builder().set_categories(Some(attacks)).build()?;
    Ok(checks.prompt_attack(attack).build())
}

fn verdict(
    answer: &InvokeGuardrailChecksOutput,
    scope: CheckScope,
    threshold: f64,
) -> Result<GuardrailVerdict, Failure> {
    let finding = |policy, name: &str, score: f64| Finding {
        policy,
        name: name.to_owned(),
        score: Some(score),
        detected: score >= threshold,
    };
    let mut findings = Vec::new();
    if let Some(content) = answer.results().and_then(|results| results.content_filter()) {
        findings.extend(content.results().iter().map(|entry| {
            finding(Policy::ContentFilter, entry.category().as_str(), entry.severity_score())
        }));
    }
    if let Some(attack) = answer.results().and_then(|results| results.prompt_attack()) {
        findings.extend(attack.results().iter().map(|entry| {
            finding(Policy::PromptAttack, entry.category().as_str(), entry.severity_score())
        }));
    }
    // A missing score does not mean harmless content.
    let expected = GuardrailChecksContentFilterCategory::values().len()
        + match scope {
            CheckScope::Content => 0,
            CheckScope::ContentAndAttacks => GuardrailChecksPromptAttackCategory::values().len(),
        };
    if findings.len() < expected {
        let text = format!("{} results of {expected} checks", findings.len());
        return Err(ProtocolError::Malformed(text).into());
    }
    let count = |units: i32| u64::try_from(units).unwrap_or_default();
    let usage = answer.usage();
    let content = usage.and_then(|usage| usage.content_filter());
    let attack = usage.and_then(|usage| usage.prompt_attack());
    let units = content.map_or(0, |usage| count(usage.text_units()))
        + attack.map_or(0, |usage| count(usage.text_units()));
    let units = Units { content: units, ..Units::default() };
    let request_id = answer.request_id().map(ToOwned::to_owned);
    Ok(GuardrailVerdict { findings, units, request_id, ..GuardrailVerdict::default() })
}
