//! How calls reach a caller who wants a stream: as they are made where the model can do that, with the
//! beta it may need for it, and from a whole answer where it cannot.

use std::collections::HashSet;

use schema::converse::request::ConverseRequest;
use schema::converse::tool::Tool;
use serde_json::{Map, Value, json};

use crate::profile::{Profile, ToolStreaming};

/// How the answer to a question must be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// As the caller asked for it.
    AsAsked,
    /// Whole, although the caller wants a stream: the model refuses to stream where tools are declared.
    Whole,
}

/// Decides for a body that is to be streamed (`None`: it is not), and asks for what streaming needs.
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

const BETAS: &str = "anthropic_beta";

/// Adds a beta to the caller's own, each once. Callers write a list, or names with commas between.
fn add_beta(fields: &mut Map<String, Value>, beta: &str) {
    let asked = match fields.get(BETAS) {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(betas)) => betas.clone(),
        Some(Value::String(betas)) => {
            betas.split(',').map(str::trim).filter(|one| !one.is_empty()).map(Value::from).collect()
        }
        // Whatever this is, it is the caller's to answer for.
        Some(_) => return,
    };
    let mut known = HashSet::with_capacity(asked.len() + 1);
    let betas = asked.into_iter().chain([json!(beta)]).filter(|one| known.insert(one.clone()));
    let betas = betas.collect();
    fields.insert(BETAS.to_owned(), Value::Array(betas));
}

#[cfg(test)]
mod tests {
    use super::*;

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
            add_beta(&mut fields, "b");
            assert_eq!(fields[BETAS], sent, "{asked}");
        }
    }
}
