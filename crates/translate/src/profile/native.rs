//! Settings of requests in Anthropic's own body: the operation that takes them, and the betas and
//! features that the model accepts there.

use serde::{Deserialize, Serialize};

/// The body of batch records with tools, for a model that takes no body of the messages API.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchTools {
    /// None is known.
    #[default]
    Refused,
    /// Converse's members under `schemaVersion`, without documents.
    MessagesV1,
}

/// Operation by which requests of Anthropic's API reach the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MessagesOperation {
    /// Converse, translated.
    Converse,
    /// InvokeModel, in the model's own body, which is that API's.
    Invoke,
}

/// A beta that the model accepts in its own body.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct NativeBeta {
    /// Its name on Bedrock.
    pub name: String,
    /// The features that need it: it is sent if and only if the request has one of them. Without any it
    /// is sent if the caller names it.
    #[serde(default)]
    pub with: Vec<String>,
    /// Other names by which callers request it.
    #[serde(default)]
    pub named: Vec<String>,
}
