//! Models: what a caller's name means upstream, and what that model accepts.

use translate::Profile;

/// Everything known about models.
#[derive(Debug, Default)]
pub(crate) struct Catalogue;

/// Where a call goes.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// Id, inference profile or ARN, as Bedrock knows it.
    pub(crate) model_id: String,
    /// What the model accepts.
    pub(crate) profile: Profile,
}

impl Catalogue {
    /// Resolves a caller's model name. Names nobody has listed are Bedrock's to judge.
    pub(crate) fn resolve(&self, name: &str) -> Target {
        Target { model_id: name.to_owned(), profile: Profile::default() }
    }
}
