//! Properties of a call that affect its dispatch.

use access::Admission;
use bedrock::Kind;
use translate::reasoning::Origin;

use super::super::balance::Tokens;

/// Properties of a call, besides its name, that affect its dispatch.
#[derive(Debug, Clone, Copy)]
pub struct CallSpec<'r> {
    /// The permission of the request: fallbacks are authorised like the first name.
    pub admission: &'r Admission,
    /// The request's id, for the log.
    pub id: &'r str,
    /// Unary or stream.
    pub kind: Kind,
    /// The purpose of the call.
    pub purpose: CallPurpose,
    /// Tokens that the call may use, as far as they can be estimated.
    pub tokens: Tokens,
    /// Calls with the same key benefit from the same target.
    pub key: Option<u64>,
    /// Origin of the conversation's last reasoning.
    pub home: Option<Origin>,
    /// The targets that may answer in place of the first.
    pub fallback_scope: FallbackScope,
}

/// Purpose of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallPurpose {
    /// Inference with the model.
    Model,
    /// A token count. It is answered quickly and is no measure of the model's latency.
    Count,
}

/// Targets that may replace the first one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FallbackScope {
    /// Any target of the name, then its fallbacks.
    All,
    /// Any target of the name.
    SameName,
}
