//! What an operator says about models' names: the targets behind each, and what becomes of names
//! that are not listed.

use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroU64};

use http::HeaderName;
use translate::Unsupported;

use crate::bedrock::Place;
use crate::catalogue::{Manner, Naming};

mod balance;

pub(crate) use balance::{Affinity, Balance, Cooldown, Fallbacks, Retries, Strategy, Thousandths};

/// Names and what they lead to.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ModelSettings {
    pub(crate) naming: Naming,
    /// The gateway's own account, as far as the configuration describes it; targets that say nothing
    /// else are called with it.
    pub(crate) account: Place,
    pub(crate) unlisted: Unlisted,
    /// For names that say nothing else about it, and for those that are not listed.
    pub(crate) balance: Balance,
    pub(crate) fallbacks: Fallbacks,
    /// What becomes of fields that cannot be honoured, likewise.
    pub(crate) unsupported: Unsupported,
    /// The operator's own names. One may hold a `*`.
    pub(crate) groups: BTreeMap<String, GroupSettings>,
}

/// What becomes of names that the operator has not listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Unlisted {
    /// They are called with the gateway's own credentials.
    #[default]
    Served,
    /// They are unknown.
    Refused,
}

/// The targets behind one name.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct GroupSettings {
    /// At least one.
    pub(crate) targets: Vec<TargetSettings>,
    pub(crate) guardrail: Option<Guardrail>,
    pub(crate) balance: Balance,
    pub(crate) fallbacks: Fallbacks,
    /// For targets that say nothing else about it.
    pub(crate) unsupported: Unsupported,
}

/// One way to answer for a name.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct TargetSettings {
    /// Id, ARN or short name. `*` is the caller's whole name; a `*` among other text is what the `*` of
    /// the name stood for.
    pub(crate) model: String,
    pub(crate) place: Place,
    pub(crate) weight: Weight,
    pub(crate) manner: Manner,
    /// Those of a lower order are asked first.
    pub(crate) order: u32,
    /// Calls a minute it may be asked.
    pub(crate) rpm: Option<NonZeroU32>,
    /// Tokens a minute it may be asked for, reserved as Bedrock reserves them.
    pub(crate) tpm: Option<NonZeroU64>,
    /// What becomes of fields that it cannot honour, where it differs from its name.
    pub(crate) unsupported: Option<Unsupported>,
}

/// A target's share of the calls, in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Weight(pub(crate) u32);

impl Weight {
    /// Of a number as people write it: 0 to a million, whole or not.
    pub(crate) fn of(share: f64) -> Option<Self> {
        let thousandths = (share * 1000.0).round();
        let fits = (0.0..=1e9).contains(&thousandths) && (share == 0.0 || thousandths >= 1.0);
        // In range and whole, as has just been seen.
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
pub(crate) struct Guardrail {
    /// Id or ARN.
    pub(crate) id: String,
    /// A number, or `DRAFT`.
    pub(crate) version: String,
    pub(crate) mode: GuardrailMode,
}

/// What a caller's own guardrail does to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum GuardrailMode {
    /// The caller's is used instead.
    #[default]
    Default,
    /// The caller's is refused, unless it is the same.
    Mandatory,
}

/// Headers that name the guardrail of InvokeModel.
pub(crate) const GUARDRAIL_ID: HeaderName =
    HeaderName::from_static("x-amzn-bedrock-guardrailidentifier");
pub(crate) const GUARDRAIL_VERSION: HeaderName =
    HeaderName::from_static("x-amzn-bedrock-guardrailversion");

impl Guardrail {
    /// As headers of InvokeModel.
    pub(crate) fn headers(&self) -> [(HeaderName, &str); 2] {
        [(GUARDRAIL_ID, &self.id), (GUARDRAIL_VERSION, &self.version)]
    }
}

impl ModelSettings {
    /// Keeps names, models and regions, and takes endpoints and credentials out: what is left calls
    /// nobody but the gateway's own endpoint.
    pub(crate) fn stay_home(&mut self) {
        self.account = Place::default();
        for target in self.groups.values_mut().flat_map(|group| &mut group.targets) {
            let region = target.place.region.take();
            target.place = Place { region, ..Place::default() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
