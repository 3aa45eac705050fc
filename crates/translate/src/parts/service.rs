//! The service tier of a call.

use schema::converse::request::{ServiceTier, Tier};

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
