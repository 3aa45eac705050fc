//! The operator's settings for Bedrock's own API.

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
