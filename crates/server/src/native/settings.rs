//! The operator's decisions about Bedrock's own API.

/// How much of AWS's own error messages callers see.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum NativeErrors {
    /// Account ids and the gateway's role are taken out.
    #[default]
    Masked,
    /// Every byte as it came.
    Raw,
}

impl NativeErrors {
    /// The word for it in a configuration.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Masked => "masked",
            Self::Raw => "raw",
        }
    }
}

/// What becomes of operations that run models which no name of the operator's stands for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum OtherModels {
    /// Refused where they would go around a mandatory guardrail.
    #[default]
    Guarded,
    /// Left to IAM.
    Allow,
}

impl OtherModels {
    /// The word for it in a configuration.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Guarded => "guarded",
            Self::Allow => "allow",
        }
    }
}
