//! `GET /v1/models` in Anthropic's shape.

use serde::Serialize;

/// A page of models.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelPage {
    pub data: Vec<ModelInfo>,
    /// Whether there are models after the last of this page.
    pub has_more: bool,
    pub first_id: Option<String>,
    pub last_id: Option<String>,
}

/// One model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelInfo {
    /// Always `model`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub id: String,
    /// Its name for people.
    pub display_name: String,
    /// As `2025-09-29T00:00:00Z`.
    pub created_at: String,
}
