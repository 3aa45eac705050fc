//! Members of Converse that clients put into a chat request unchanged, with the names of AWS's SDKs
//! or those of Python. Their vocabulary is AWS's, so unknown members are errors.

use serde::Deserialize;

use crate::Str;
use crate::converse::request::{GuardrailTrace, StreamProcessing};

/// `guardrail_config`: the guardrail that checks the request and the answer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuardrailFields<'a> {
    /// Id or ARN.
    #[serde(borrow, alias = "guardrailIdentifier")]
    pub guardrail_identifier: Str<'a>,
    /// A number, or `DRAFT`.
    #[serde(borrow, alias = "guardrailVersion")]
    pub guardrail_version: Str<'a>,
    /// Detail of the guardrail's findings in the answer.
    pub trace: Option<GuardrailTrace>,
    /// Time of the check of a streamed answer; without effect for a complete one.
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
