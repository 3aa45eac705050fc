//! CountTokens: the counted parts of a Converse request, and their token count.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::message::{Message, SystemBlock};
use super::request::ConverseRequest;
use super::tool::ToolConfig;

/// The body of CountTokens; the model id is in the URL.
#[derive(Debug, Clone, Serialize)]
pub struct CountTokensRequest<'r, 'a> {
    pub input: CountInput<'r, 'a>,
}

/// The content to count.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum CountInput<'r, 'a> {
    Converse(Counted<'r, 'a>),
}

/// The counted parts of a Converse request.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counted<'r, 'a> {
    pub messages: &'r [Message<'a>],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub system: &'r [SystemBlock<'a>],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_config: Option<&'r ToolConfig<'a>>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub additional_model_request_fields: &'r Map<String, Value>,
}

/// The body of CountTokens for a model's own body.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct CountNativeRequest<'r> {
    pub input: CountNativeInput<'r>,
}

/// The content to count.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CountNativeInput<'r> {
    pub invoke_model: NativeBody<'r>,
}

/// A body of InvokeModel, in base64.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct NativeBody<'r> {
    pub body: &'r str,
}

impl<'r> CountNativeRequest<'r> {
    /// The request for this body, in base64.
    pub fn of(body: &'r str) -> Self {
        Self { input: CountNativeInput { invoke_model: NativeBody { body } } }
    }
}

/// The response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CountTokensResponse {
    pub input_tokens: u64,
}

impl<'r, 'a> From<&'r ConverseRequest<'a>> for CountTokensRequest<'r, 'a> {
    fn from(request: &'r ConverseRequest<'a>) -> Self {
        Self {
            input: CountInput::Converse(Counted {
                messages: &request.messages,
                system: &request.system,
                tool_config: request.tool_config.as_ref(),
                additional_model_request_fields: &request.additional_model_request_fields,
            }),
        }
    }
}
