//! Setting of guardrails.

use serde::{Deserialize, Serialize};

/// Place where a guardrail is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GuardrailPlace {
    /// On the call, by Bedrock.
    OnCall,
    /// Around the call, by separate operations: the model accepts none on the call.
    Around,
}
