//! Identity of a resolved model: across names, inference profiles and surfaces.

use translate::chat::Digest;

use super::ResolvedModel;

impl ResolvedModel {
    /// Whether both are the same model, perhaps in different regions or accounts, so that either accepts
    /// what the other has produced.
    pub fn is_same_model(&self, other: &Self) -> bool {
        match (&self.base, &other.base) {
            (Some(one), Some(other)) => one == other,
            _ => self.model_id == other.model_id,
        }
    }

    /// Hash of the model, the same for every name and inference profile of it. Reasoning has another form on
    /// another surface than Converse, which does not take it back.
    pub fn identity(&self) -> u64 {
        let name = self.base.as_deref().unwrap_or(&self.model_id).as_bytes();
        match self.profile.surface_endpoint() {
            None => Digest::of(name),
            Some(endpoint) => {
                let mut digest = Digest::default();
                digest.add(name);
                digest.add(endpoint.api.name().as_bytes());
                digest.finish()
            }
        }
    }

    /// The model's name in bodies of its surface.
    pub fn surface_name(&self) -> &str {
        self.profile.surface_name(&self.model_id, self.base.as_deref().unwrap_or(&self.model_id))
    }
}
