//! Parses model names as callers write them: prefixes of other gateways, a region, and then an ARN, an
//! inference profile or a plain id. A name of no known form stays unchanged.

use super::geography::PREFIXES;

/// Prefixes by which other gateways select the API of a call.
const ROUTES: [&str; 2] = ["bedrock/", "bedrock_converse/"];
const OPERATIONS: [&str; 2] = ["converse/", "invoke/"];

/// Longest region name, in bytes; the longest known has 14.
const REGION: usize = 32;

/// A parsed name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Name<'a> {
    /// The region in the name, as in `bedrock/eu-west-1/...`.
    pub(super) region: Option<&'a str>,
    pub(super) id: Id<'a>,
}

/// The kinds of ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Id<'a> {
    Arn(Arn<'a>),
    /// A system-defined inference profile: the whole id, and its model.
    Profile {
        id: &'a str,
        base: &'a str,
    },
    /// A foundation model's id, a short name, or any other text.
    Model(&'a str),
}

/// An ARN that can be used as a model id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Arn<'a> {
    pub(super) text: &'a str,
    pub(super) kind: ArnKind,
    /// The region of the ARN; it is valid nowhere else.
    pub(super) region: Option<&'a str>,
    /// The text after the kind and its slash.
    pub(super) resource: &'a str,
}

/// The resource type of an ARN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ArnKind {
    FoundationModel,
    InferenceProfile,
    ApplicationInferenceProfile,
    ProvisionedModel,
    CustomModel,
    CustomModelDeployment,
    ImportedModel,
    Prompt,
    PromptRouter,
    DefaultPromptRouter,
    SageMakerEndpoint,
}

impl<'a> Name<'a> {
    pub(super) fn parse(text: &'a str) -> Self {
        let Some(rest) = ROUTES.iter().find_map(|route| strip(text, route)) else {
            return Self { region: None, id: Id::parse(text) };
        };
        let rest = OPERATIONS.iter().find_map(|word| strip(rest, word)).unwrap_or(rest);
        match rest.split_once('/') {
            Some((region, id)) if is_region(region) && !id.is_empty() => {
                Self { region: Some(region), id: Id::parse(id) }
            }
            _ => Self { region: None, id: Id::parse(rest) },
        }
    }
}

/// The text after `word`; a word without text after it is the name itself, not a prefix.
fn strip<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    text.strip_prefix(word).filter(|rest| !rest.is_empty())
}

impl<'a> Id<'a> {
    fn parse(text: &'a str) -> Self {
        if let Some(arn) = Arn::parse(text) {
            return Self::Arn(arn);
        }
        match without_prefix(text) {
            Some(base) => Self::Profile { id: text, base },
            None => Self::Model(text),
        }
    }

    /// The id as sent to Bedrock.
    pub(super) fn text(&self) -> &'a str {
        match *self {
            Self::Arn(arn) => arn.text,
            Self::Profile { id, .. } => id,
            Self::Model(id) => id,
        }
    }

    /// The foundation model, if the id names it.
    pub(super) fn base(&self) -> Option<&'a str> {
        match *self {
            Self::Arn(arn) => arn.base(),
            Self::Profile { base, .. } => Some(base),
            Self::Model(id) => Some(id),
        }
    }

    /// The region prefix of an inference profile.
    pub(super) fn geography(&self) -> Option<&'a str> {
        let profile = match *self {
            Self::Profile { id, base: _ } => Some(id),
            Self::Arn(arn) if arn.kind == ArnKind::InferenceProfile => Some(arn.resource),
            Self::Arn(_) | Self::Model(_) => None,
        };
        profile?.split_once('.').map(|(prefix, _)| prefix).filter(|it| PREFIXES.contains(it))
    }

    /// The foundation model, or else the whole id.
    pub(super) fn model(&self) -> &'a str {
        self.base().unwrap_or(self.text())
    }

    /// Whether Bedrock would run it on demand, in one region, and not through a profile.
    pub(super) fn is_on_demand(&self) -> bool {
        match self {
            Self::Arn(arn) => arn.kind == ArnKind::FoundationModel,
            Self::Profile { .. } => false,
            Self::Model(_) => true,
        }
    }
}

impl<'a> Arn<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(6, ':');
        let (arn, partition, service) = (parts.next()?, parts.next()?, parts.next()?);
        let (region, _account, rest) = (parts.next()?, parts.next()?, parts.next()?);
        let (kind, resource) = rest.split_once('/')?;
        let known = arn == "arn" && (partition == "aws" || partition.starts_with("aws-"));
        let kind = ArnKind::parse(service, kind)?;
        let region = Some(region).filter(|region| is_region(region));
        (known && !resource.is_empty()).then_some(Self { text, kind, region, resource })
    }

    fn base(&self) -> Option<&'a str> {
        match self.kind {
            ArnKind::FoundationModel => Some(self.resource),
            ArnKind::InferenceProfile => {
                Some(without_prefix(self.resource).unwrap_or(self.resource))
            }
            // `custom-model/{base model}/{id}`; routers are named after the family that they serve.
            ArnKind::CustomModel => self.resource.split_once('/').map(|(base, _)| base),
            ArnKind::DefaultPromptRouter => Some(self.resource),
            ArnKind::ApplicationInferenceProfile
            | ArnKind::ProvisionedModel
            | ArnKind::CustomModelDeployment
            | ArnKind::ImportedModel
            | ArnKind::Prompt
            | ArnKind::PromptRouter
            | ArnKind::SageMakerEndpoint => None,
        }
    }
}

impl ArnKind {
    fn parse(service: &str, kind: &str) -> Option<Self> {
        Some(match (service, kind) {
            ("bedrock", "foundation-model") => Self::FoundationModel,
            ("bedrock", "inference-profile") => Self::InferenceProfile,
            ("bedrock", "application-inference-profile") => Self::ApplicationInferenceProfile,
            ("bedrock", "provisioned-model") => Self::ProvisionedModel,
            ("bedrock", "custom-model") => Self::CustomModel,
            ("bedrock", "custom-model-deployment") => Self::CustomModelDeployment,
            ("bedrock", "imported-model") => Self::ImportedModel,
            ("bedrock", "prompt") => Self::Prompt,
            ("bedrock", "prompt-router") => Self::PromptRouter,
            ("bedrock", "default-prompt-router") => Self::DefaultPromptRouter,
            ("sagemaker", "endpoint") => Self::SageMakerEndpoint,
            _ => return None,
        })
    }
}

/// `vendor.model` for `us.vendor.model`.
fn without_prefix(id: &str) -> Option<&str> {
    let (prefix, base) = id.split_once('.')?;
    // `us.model` would leave no vendor, so `us` is no region prefix there.
    (PREFIXES.contains(&prefix) && base.contains('.')).then_some(base)
}

/// Whether a text has the form of a region: `eu-west-1`, `us-gov-east-1` (letters, words, a number).
pub fn is_region(text: &str) -> bool {
    if text.len() > REGION {
        return false;
    }
    let parts: Vec<&str> = text.split('-').collect();
    let [area, middle @ .., number] = parts.as_slice() else { return false };
    let letters = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase());
    (2..=4).contains(&area.len())
        && letters(area)
        && !middle.is_empty()
        && middle.iter().all(|part| letters(part))
        && (1..=2).contains(&number.len())
        && number.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests;
