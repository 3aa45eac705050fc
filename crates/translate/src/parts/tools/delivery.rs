//! Delivery of calls to a caller who streams: as they are generated where the model supports that,
//! with the beta it may need, and from a complete response otherwise.

use schema::converse::request::ConverseRequest;
use schema::converse::tool::Tool;

use crate::parts::betas::add_beta;
use crate::profile::{Profile, ToolStreaming};

/// The way the answer to a request must be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Streamed or complete, as the caller requested.
    AsAsked,
    /// Complete, although the caller requested a stream: the model refuses to stream where tools
    /// are declared.
    Whole,
}

/// Decides the delivery of a body, and adds the beta that streaming needs. `None`: the caller does
/// not stream.
pub(crate) fn delivery(body: &mut ConverseRequest<'_>, streamed: Option<&Profile>) -> Delivery {
    let Some(profile) = streamed else { return Delivery::AsAsked };
    let declared = body.tool_config.iter().flat_map(|config| &config.tools);
    if !declared.into_iter().any(|tool| matches!(tool, Tool::ToolSpec(_))) {
        return Delivery::AsAsked;
    }
    if profile.tool_streaming == ToolStreaming::Whole {
        return Delivery::Whole;
    }
    if let Some(beta) = &profile.tool_stream_beta {
        add_beta(&mut body.additional_model_request_fields, beta);
    }
    Delivery::AsAsked
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::parts::betas::BETAS;

    #[test]
    fn a_beta_joins_the_callers_own_once() {
        for (asked, sent) in [
            (json!({}), json!(["b"])),
            (json!({ BETAS: null }), json!(["b"])),
            (json!({ BETAS: ["a", "b", "a"] }), json!(["a", "b"])),
            (json!({ BETAS: "a, b" }), json!(["a", "b"])),
            (json!({ BETAS: 1 }), json!(1)),
        ] {
            let mut fields = asked.as_object().unwrap().clone();
            assert_eq!(add_beta(&mut fields, "b"), sent.is_array());
            assert_eq!(fields[BETAS], sent, "{asked}");
        }
    }
}
