//! Names of models and targets in series of metrics. They come from closed sets: what the operator wrote, and the
//! catalogue's models. Names that callers make up share one, because each would be a series that never ends.

use std::sync::Arc;

use super::health::Gauges;
use crate::catalogue::{NameOwner, ResolvedModel};

/// The name of all models that neither the operator nor the catalogue knows.
pub const OTHER: &str = "other";

/// A target in series of metrics.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetSeries {
    /// The model's id if the operator wrote it, else the foundation model's, or [`OTHER`].
    pub model: String,
    /// The region that is called.
    pub region: String,
}

/// A target with its health, for metrics.
#[derive(Debug)]
pub struct TargetState {
    /// The target.
    pub series: TargetSeries,
    /// Its health.
    pub gauges: Gauges,
}

impl TargetSeries {
    /// The series of a model in a region; `owner` is the source of the model's id.
    pub(super) fn of(model: &ResolvedModel, region: &str, owner: NameOwner) -> Arc<Self> {
        let model = match owner {
            NameOwner::Configured => &model.model_id,
            NameOwner::Guessed => name(model),
        };
        Arc::new(Self { model: model.to_owned(), region: region.to_owned() })
    }
}

/// The name of a model whose id a caller chose.
pub(super) fn name(model: &ResolvedModel) -> &str {
    model.catalogued().unwrap_or(OTHER)
}
