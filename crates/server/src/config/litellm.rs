//! LiteLLM's `config.yaml` as it is.

use super::fields::Fields;
use super::tree::{Key, Node};
use crate::routing::ModelSettings;

/// Whether a file has this shape.
pub(super) fn is_it(root: &[(Key, Node)]) -> bool {
    root.iter().any(|(key, _)| key.name == "model_list")
}

/// Reads what counts here, and notes what does not.
pub(super) fn read(mut root: Fields<'_>, models: &mut ModelSettings) {
    let _ = (&mut root, models);
}
