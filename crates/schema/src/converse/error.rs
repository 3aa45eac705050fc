//! The body of every error Bedrock answers; the kind is in the `x-amzn-errortype` header.

use serde::Deserialize;

/// `{"message": "..."}`; some fronts write `Message`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ErrorBody {
    #[serde(alias = "Message")]
    pub message: Option<String>,
}
