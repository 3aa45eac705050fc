//! Members of Converse that clients put into a chat request as they are, spelled as AWS's SDKs spell
//! them or as Python does. Their vocabulary is AWS's, so what it does not hold is a mistake.

use serde::Deserialize;

use crate::Str;
use crate::converse::request::{GuardrailTrace, StreamProcessing};

/// `guardrail_config`: the guardrail that judges question and answer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuardrailFields<'a> {
    /// Id or ARN.
    #[serde(borrow, alias = "guardrailIdentifier")]
    pub guardrail_identifier: Str<'a>,
    /// A number, or `DRAFT`.
    #[serde(borrow, alias = "guardrailVersion")]
    pub guardrail_version: Str<'a>,
    /// Whether the answer tells what the guardrail found.
    pub trace: Option<GuardrailTrace>,
    /// When a streamed answer is judged; has no meaning for a whole one.
    #[serde(alias = "streamProcessingMode")]
    pub stream_processing_mode: Option<StreamProcessing>,
}

/// `performance_config`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PerformanceFields<'a> {
    /// `standard` or `optimized`.
    #[serde(borrow)]
    pub latency: Str<'a>,
}
