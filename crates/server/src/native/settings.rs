//! The operator's settings for Bedrock's own API.

use bedrock::Service;

use super::s3::NativeS3;

/// The section `native`.
#[derive(Debug, Clone, Default)]
pub(crate) struct NativeSettings {
    /// Whether the API is served at the root as well.
    pub(crate) root: bool,
    /// Services of which every operation is allowed, beyond the default ones.
    pub(crate) services: Vec<Service>,
    /// S3 locations that callers may name.
    pub(crate) s3: NativeS3,
    /// The part of AWS's own errors that callers see.
    pub(crate) errors: NativeErrors,
    /// Whether callers may run models that no configured name leads to, past a mandatory guardrail.
    pub(crate) other_models: OtherModels,
}

/// The part of AWS's error messages that callers see.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum NativeErrors {
    /// Without account ids and the gateway's role.
    #[default]
    Masked,
    /// Unchanged.
    Raw,
}

impl NativeErrors {
    /// The value in a configuration.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Masked => "masked",
            Self::Raw => "raw",
        }
    }
}

/// Treatment of operations that run models without a configured name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum OtherModels {
    /// Refused if they would bypass a mandatory guardrail.
    #[default]
    Guarded,
    /// Left to IAM.
    Allow,
}

impl OtherModels {
    /// The value in a configuration.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Guarded => "guarded",
            Self::Allow => "allow",
        }
    }
}
