//! Reach: the places in which a call may run. It decides the price, together with the region that the call
//! enters through.

use std::fmt;

use super::super::geography::{self, PREFIXES};
use super::super::id::{Arn, ArnKind, Id, Name, is_region};

const GLOBAL: &str = "global";
const GOVERNMENT: &str = "us-gov";
/// Beginnings of regions outside AWS's commercial partition, whose prices never hold there.
const APART: [&str; 5] = ["us-gov-", "us-iso", "eu-iso", "eusc-", "cn-"];

/// The calls that a row holds for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RowReach {
    /// Those through the global profile.
    Global,
    /// Those through the profile of any geography without a row of its own.
    Geo,
    /// Those through the profile of a geography, by its prefix.
    GeoOf(String),
    /// Those that run in the one region they enter, where it has no row of its own.
    InRegion,
    /// Those that run in this region.
    Region(String),
    /// All for which there is no other row; an operator's.
    Any,
}

/// The places in which a call may run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::catalogue) enum CallReach {
    /// Anywhere, through a global profile.
    Global,
    /// In a geography, by the prefix of its profile.
    Geo(String),
    /// In the one region it enters.
    Region(String),
    /// Not known: the id does not tell.
    Unknown,
    /// On capacity that is paid for by time.
    ByTime,
}

/// A row to try, and the reason why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PossibleRow {
    pub(super) reach: RowReach,
    /// A tenth is added to its price: geographies and regions cost that much more than global profiles,
    /// wherever both are known.
    pub(super) and_a_tenth: bool,
}

impl RowReach {
    /// Reads `global`, `geo`, `geo:eu`, `in-region`, `region:eu-west-2` or `any`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} is no reach: global, geo, geo:PREFIX, in-region, region:REGION or any"
            )
        };
        match text.split_once(':') {
            None => match text {
                GLOBAL => Ok(Self::Global),
                "geo" => Ok(Self::Geo),
                "in-region" => Ok(Self::InRegion),
                "any" => Ok(Self::Any),
                _ => Err(wrong()),
            },
            Some(("geo", prefix)) if PREFIXES.contains(&prefix) && prefix != GLOBAL => {
                Ok(Self::GeoOf(prefix.to_owned()))
            }
            Some(("region", region)) if is_region(region) => Ok(Self::Region(region.to_owned())),
            Some(_) => Err(wrong()),
        }
    }

    /// Whether it is neither a single region nor a single geography.
    pub(super) fn is_usual(&self) -> bool {
        match self {
            Self::Global | Self::Geo | Self::InRegion | Self::Any => true,
            Self::GeoOf(_) | Self::Region(_) => false,
        }
    }
}

impl fmt::Display for RowReach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Global => f.write_str(GLOBAL),
            Self::Geo => f.write_str("geo"),
            Self::GeoOf(prefix) => write!(f, "geo:{prefix}"),
            Self::InRegion => f.write_str("in-region"),
            Self::Region(region) => write!(f, "region:{region}"),
            Self::Any => f.write_str("any"),
        }
    }
}

impl CallReach {
    /// The reach of an id as sent to Bedrock in a region.
    pub(in crate::catalogue) fn of(id: &Id<'_>, region: &str) -> Self {
        match id {
            Id::Profile { id, base: _ } => Self::of_profile(id),
            Id::Model(_) => Self::Region(region.to_owned()),
            Id::Arn(arn) => Self::of_arn(arn, region),
        }
    }

    fn of_arn(arn: &Arn<'_>, region: &str) -> Self {
        match arn.kind {
            ArnKind::InferenceProfile => Self::of_profile(arn.resource),
            ArnKind::FoundationModel => Self::Region(arn.region.unwrap_or(region).to_owned()),
            ArnKind::ProvisionedModel | ArnKind::ImportedModel | ArnKind::SageMakerEndpoint => {
                Self::ByTime
            }
            ArnKind::ApplicationInferenceProfile
            | ArnKind::CustomModel
            | ArnKind::CustomModelDeployment
            | ArnKind::Prompt
            | ArnKind::PromptRouter
            | ArnKind::DefaultPromptRouter => Self::Unknown,
        }
    }

    fn of_profile(id: &str) -> Self {
        match id.split_once('.') {
            Some((GLOBAL, _)) => Self::Global,
            Some((prefix, _)) if PREFIXES.contains(&prefix) => Self::Geo(prefix.to_owned()),
            Some(_) | None => Self::Unknown,
        }
    }

    /// The reach of an application inference profile, by the ARNs of its models: the profile that it copies
    /// is global if an ARN names no region, of one region if all name the same, else of a geography.
    pub(in crate::catalogue) fn of_models<'a>(arns: impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut regions: Vec<&str> = Vec::new();
        for arn in arns {
            let Id::Arn(arn) = Name::parse(arn).id else { continue };
            let Some(region) = arn.region else { return Some(Self::Global) };
            regions.push(region);
        }
        regions.sort_unstable();
        regions.dedup();
        match regions.as_slice() {
            [] => None,
            [one] => Some(Self::Region((*one).to_owned())),
            [first, rest @ ..] => {
                // The narrowest geography that all of them share.
                let mut shared = geography::prefixes(first).iter();
                let shared = shared
                    .find(|prefix| rest.iter().all(|it| geography::prefixes(it).contains(*prefix)));
                Some(Self::of_profile(&format!("{}.", shared.unwrap_or(&GLOBAL))))
            }
        }
    }

    /// The geographies that hold every place where such a call may run; none where that is not known.
    pub(in crate::catalogue) fn geographies(&self, region: &str) -> Vec<String> {
        let within = |region: &str| {
            let prefixes = geography::prefixes(region).iter();
            prefixes
                .filter(|prefix| **prefix != GLOBAL)
                .map(|prefix| (*prefix).to_owned())
                .collect()
        };
        match self {
            Self::Global => vec![GLOBAL.to_owned()],
            // A geography within another, as Japan is in Asia, is granted by either.
            Self::Geo(prefix) => geography::within(prefix),
            Self::Region(region) => within(region),
            Self::ByTime => within(region),
            Self::Unknown => Vec::new(),
        }
    }

    /// The name in rows of calls: `global`, the prefix of a geography, or `in-region`.
    pub(in crate::catalogue) fn name(&self) -> &str {
        match self {
            Self::Global => GLOBAL,
            Self::Geo(prefix) => prefix,
            Self::Region(_) => "in-region",
            Self::ByTime => "provisioned",
            Self::Unknown => "unknown",
        }
    }

    /// The rows that may hold for it, the first that exists first.
    pub(super) fn candidates(&self) -> Vec<PossibleRow> {
        let (rows, may_be_derived) = match self {
            Self::Global => (vec![RowReach::Global, RowReach::Any], false),
            Self::Geo(prefix) if prefix == GOVERNMENT => {
                (vec![RowReach::GeoOf(prefix.clone()), RowReach::Any], false)
            }
            Self::Geo(prefix) => (
                vec![
                    RowReach::GeoOf(prefix.clone()),
                    RowReach::Geo,
                    RowReach::InRegion,
                    RowReach::Any,
                ],
                true,
            ),
            Self::Region(region) => (in_region(region), !is_apart(region)),
            Self::Unknown | Self::ByTime => (Vec::new(), false),
        };
        let derived =
            may_be_derived.then_some(PossibleRow { reach: RowReach::Global, and_a_tenth: true });
        let rows = rows.into_iter().map(|reach| PossibleRow { reach, and_a_tenth: false });
        rows.chain(derived).collect()
    }

    /// Every reach that a call of an unknown one in this region may have.
    pub(super) fn all(region: &str) -> Vec<Self> {
        let profiles = geography::prefixes(region).iter();
        let profiles = profiles.map(|prefix| Self::of_profile(&format!("{prefix}.")));
        profiles.chain([Self::Region(region.to_owned())]).collect()
    }
}

impl fmt::Display for CallReach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Global => f.write_str("a global profile"),
            Self::Geo(prefix) => write!(f, "a profile of {prefix}"),
            Self::Region(region) => write!(f, "{region} alone"),
            Self::Unknown => f.write_str("an unknown profile"),
            Self::ByTime => f.write_str("capacity paid for by time"),
        }
    }
}

/// Rows for calls that stay in a region. Rows without a region hold what sources state for us-east-1: other
/// parts of the world first try what their own geography costs, since a region costs the same.
fn in_region(region: &str) -> Vec<RowReach> {
    let mut rows = vec![RowReach::Region(region.to_owned())];
    let own = geography::prefixes(region).iter().filter(|prefix| **prefix != GLOBAL);
    let own = own.map(|prefix| RowReach::GeoOf((*prefix).to_owned()));
    if is_apart(region) {
        rows.extend(own);
        rows.push(RowReach::Any);
    } else if region.starts_with("us-") {
        rows.extend([RowReach::InRegion, RowReach::Any]);
        rows.extend(own);
        rows.push(RowReach::Geo);
    } else {
        rows.extend(own);
        rows.extend([RowReach::InRegion, RowReach::Any, RowReach::Geo]);
    }
    rows
}

fn is_apart(region: &str) -> bool {
    APART.iter().any(|beginning| region.starts_with(beginning))
}
