//! Service options of a call: tier, latency, guardrail. Converse has a member for each.

use schema::converse::request::{GuardrailConfig, PerformanceConfig, ServiceTier, Tier};
use schema::openai::extensions::{GuardrailFields, PerformanceFields};

use crate::Report;
use crate::profile::{self, Profile};

/// The tier of a call. `auto` leaves the choice to the service, which chooses the default tier;
/// Bedrock lacks OpenAI's other tiers, and not every model is served in every tier.
pub(crate) fn service_tier(
    asked: Option<&str>,
    profile: &Profile,
    report: &mut Report,
) -> Option<ServiceTier> {
    let tier = match asked? {
        "auto" | "default" => return Some(ServiceTier { kind: Tier::Default }),
        "flex" => Some((profile::ServiceTier::Flex, Tier::Flex)),
        // OpenAI too answers `fast` as `priority`.
        "priority" | "fast" => Some((profile::ServiceTier::Priority, Tier::Priority)),
        "reserved" => Some((profile::ServiceTier::Reserved, Tier::Reserved)),
        _ => None,
    };
    let Some((_, kind)) = tier.filter(|(tier, _)| profile.tiers.contains(tier)) else {
        report.ignore("service_tier");
        return None;
    };
    Some(ServiceTier { kind })
}

/// The caller's own guardrail.
pub(crate) fn guardrail<'a>(asked: &'a GuardrailFields<'a>) -> GuardrailConfig<'a> {
    GuardrailConfig {
        guardrail_identifier: asked.guardrail_identifier.as_str().into(),
        guardrail_version: asked.guardrail_version.as_str().into(),
        trace: asked.trace,
        stream_processing_mode: asked.stream_processing_mode,
    }
}

/// The requested latency option.
pub(crate) fn performance<'a>(asked: &'a PerformanceFields<'a>) -> PerformanceConfig<'a> {
    PerformanceConfig { latency: asked.latency.as_str() }
}
