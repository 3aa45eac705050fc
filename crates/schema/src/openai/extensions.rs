//! Members of Converse that clients put into a chat request unchanged, with the names of AWS's SDKs
//! or those of Python. Their vocabulary is AWS's, so unknown members are errors.

use serde::Deserialize;

use crate::Str;
use crate::converse::request::{
    GuardrailConfig, GuardrailTrace, PerformanceConfig, StreamProcessing,
};

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

impl<'a> From<&'a GuardrailFields<'a>> for GuardrailConfig<'a> {
    fn from(fields: &'a GuardrailFields<'a>) -> Self {
        let GuardrailFields {
            guardrail_identifier,
            guardrail_version,
            trace,
            stream_processing_mode,
        } = fields;
        Self {
            guardrail_identifier: guardrail_identifier.as_str().into(),
            guardrail_version: guardrail_version.as_str().into(),
            trace: *trace,
            stream_processing_mode: *stream_processing_mode,
        }
    }
}

impl<'a> From<&'a PerformanceFields<'a>> for PerformanceConfig<'a> {
    fn from(PerformanceFields { latency }: &'a PerformanceFields<'a>) -> Self {
        Self { latency }
    }
}
