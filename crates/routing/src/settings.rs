//! An operator's settings for model names: the targets behind each name, and the treatment of unlisted
//! names.

use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;

use http::HeaderName;
use translate::Unsupported;
use translate::chat::Defaults;

use crate::catalogue::{ModelOverrides, Naming};
use bedrock::AccountSpec;

mod balance;
mod hedge;

pub use balance::{
    Affinity, Balance, Cooldown, Fallbacks, Retries, Strategy, TagFilter, Thousandths,
};
pub use hedge::{Hedge, HedgeDelay};

/// Names and their targets.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelSettings {
    /// Rules for model names.
    pub naming: Naming,
    /// The gateway's own account, as far as the configuration describes it; the default for targets.
    pub account: AccountSpec,
    /// Treatment of names that are not listed.
    pub unlisted: Unlisted,
    /// Default for the operator's names, and for unlisted ones.
    pub balance: Balance,
    /// Names that stand in for a name that fails.
    pub fallbacks: Fallbacks,
    /// Handling of fields that cannot be honoured; a default likewise.
    pub unsupported: Unsupported,
    /// Whether tags in the bodies of requests are refused, rather than heeded.
    pub refuses_body_tags: bool,
    /// The operator's own names. Each may contain one `*`.
    pub groups: BTreeMap<String, GroupSettings>,
    /// Guardrails by names of the operator's, which keys and teams may demand.
    pub guardrails: BTreeMap<String, Guardrail>,
}

/// Treatment of names that the operator has not listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unlisted {
    /// They are called with the gateway's own credentials.
    #[default]
    Served,
    /// They are unknown.
    Refused,
}

/// The targets behind one name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GroupSettings {
    /// At least one.
    pub targets: Vec<TargetSettings>,
    /// The guardrail of the name.
    pub guardrail: Option<Guardrail>,
    /// Balancing, retries and cooldown.
    pub balance: Balance,
    /// Names that stand in for a name that fails.
    pub fallbacks: Fallbacks,
    /// Default for the targets.
    pub unsupported: Unsupported,
}

/// One target of a name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TargetSettings {
    /// Id, ARN or short name. A lone `*` means the caller's whole name; a `*` within other text means the
    /// text that the name's `*` captured.
    pub model: String,
    /// Region, endpoint and credentials.
    pub place: AccountSpec,
    /// Share of the calls.
    pub weight: Weight,
    /// Facts about the model that replace the catalogue's.
    pub overrides: ModelOverrides,
    /// Parameters for requests that do not give them.
    pub params: Option<Arc<Defaults>>,
    /// Tags by which requests choose it, where they do.
    pub tags: Vec<String>,
    /// Targets of a lower order are called first.
    pub order: u32,
    /// Request quota per minute.
    pub rpm: Option<NonZeroU32>,
    /// Token quota per minute, reserved the way Bedrock reserves it.
    pub tpm: Option<NonZeroU64>,
    /// Handling of fields that it cannot honour, if it differs from that of its name.
    pub unsupported: Option<Unsupported>,
}

/// A target's share of the calls, in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weight(pub u32);

impl Weight {
    /// Parses a number as an operator writes it: 0 to a million, with decimals.
    pub fn of(share: f64) -> Option<Self> {
        let thousandths = (share * 1000.0).round();
        let fits = (0.0..=1e9).contains(&thousandths) && (share == 0.0 || thousandths >= 1.0);
        // The range check above ensures that the value fits.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        fits.then_some(Self(thousandths as u32))
    }
}

impl Default for Weight {
    fn default() -> Self {
        Self(1000)
    }
}

/// A guardrail that calls of a name carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guardrail {
    /// Id or ARN.
    pub id: String,
    /// A number, or `DRAFT`.
    pub version: String,
    /// Treatment of a guardrail that the caller names.
    pub mode: GuardrailMode,
}

impl Guardrail {
    /// Whether both are the same guardrail, whoever may leave it out.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.id == other.id && self.version == other.version
    }
}

/// Precedence between this guardrail and one that the caller sends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum GuardrailMode {
    /// The caller's replaces it.
    #[default]
    Default,
    /// The caller's is refused, unless it is the same.
    Mandatory,
}

/// The guardrail that a caller asks for; one part of its name may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AskedGuardrail<'a> {
    /// Id or ARN.
    pub id: Option<&'a str>,
    /// A number, or `DRAFT`.
    pub version: Option<&'a str>,
}

/// The guardrail that a call carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuardrailChoice {
    /// The operator's.
    Own,
    /// The caller's, with the caller's settings.
    Asked,
    /// None: the caller asks for another than the mandatory one.
    Refused,
}

/// Headers that name the guardrail of InvokeModel.
pub const GUARDRAIL_ID: HeaderName = HeaderName::from_static("x-amzn-bedrock-guardrailidentifier");
/// InvokeModel's header for the guardrail's version.
pub const GUARDRAIL_VERSION: HeaderName =
    HeaderName::from_static("x-amzn-bedrock-guardrailversion");

impl Guardrail {
    /// Decides between this guardrail and the one that a caller asks for.
    pub fn decide(&self, asked: Option<AskedGuardrail<'_>>) -> GuardrailChoice {
        let Some(AskedGuardrail { id, version }) = asked else { return GuardrailChoice::Own };
        let is_same = id == Some(self.id.as_str()) && version == Some(self.version.as_str());
        match self.mode {
            GuardrailMode::Mandatory if !is_same => GuardrailChoice::Refused,
            GuardrailMode::Mandatory | GuardrailMode::Default => GuardrailChoice::Asked,
        }
    }

    /// The headers of InvokeModel.
    pub fn headers(&self) -> [(HeaderName, &str); 2] {
        [(GUARDRAIL_ID, &self.id), (GUARDRAIL_VERSION, &self.version)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mandatory_guardrail_refuses_others() {
        use GuardrailChoice::{Asked, Own, Refused};
        let same = Some(AskedGuardrail { id: Some("g"), version: Some("1") });
        let other = Some(AskedGuardrail { id: Some("x"), version: Some("1") });
        let half = Some(AskedGuardrail { id: Some("g"), version: None });
        for (mode, choices) in [
            (GuardrailMode::Default, [Own, Asked, Asked, Asked]),
            (GuardrailMode::Mandatory, [Own, Asked, Refused, Refused]),
        ] {
            let own = Guardrail { id: "g".to_owned(), version: "1".to_owned(), mode };
            assert_eq!([None, same, other, half].map(|asked| own.decide(asked)), choices);
        }
    }

    #[test]
    fn weights_are_thousandths() {
        for (share, weight) in [
            (1.0, Some(1000)),
            (0.0, Some(0)),
            (0.25, Some(250)),
            (1e6, Some(1_000_000_000)),
            (0.0001, None),
            (-1.0, None),
            (2e6, None),
            (f64::NAN, None),
        ] {
            assert_eq!(Weight::of(share), weight.map(Weight), "{share}");
        }
    }
}
