//! Parameters that an operator gives for a target: they count where a messages request gives none.

use schema::anthropic::messages::{MessagesRequest, Thinking};
use schema::openai::chat::ChatRequest;

use crate::chat::Defaults;
use crate::chat::defaults::{join, or};

/// Gives a request what it does not give itself.
///
/// # Errors
/// None: the parameters were read with the configuration.
pub(super) fn complete<'a>(
    request: &mut MessagesRequest<'a>,
    given: &'a Defaults,
) -> Result<(), serde_json::Error> {
    let own: ChatRequest<'a> = serde_json::from_str(given.body())?;
    or(&mut request.max_tokens, given.most().and_then(|most| i64::try_from(most).ok()));
    or(&mut request.temperature, own.temperature);
    or(&mut request.top_p, own.top_p);
    or(&mut request.top_k, own.top_k);
    or(&mut request.stop_sequences, own.stop.map(|stop| stop.sequences().to_vec()));
    or(&mut request.service_tier, own.service_tier);
    or(&mut request.performance_config, own.performance_config);
    or(&mut request.anthropic_beta, own.anthropic_beta);
    let chooses = request.output_config.as_ref().is_some_and(|config| config.effort.is_some());
    if request.thinking.is_none() && !chooses {
        request.thinking = own.thinking.map(|field| Thinking {
            kind: field.kind,
            budget_tokens: field.budget_tokens,
            display: field.display,
        });
        let effort = own.reasoning_effort.filter(|effort| &**effort != "none");
        if request.thinking.is_none() && effort.is_some() {
            request.output_config.get_or_insert_default().effort = effort;
        }
    }
    join(&mut request.additional_model_request_fields, own.additional_model_request_fields);
    join(&mut request.request_metadata, own.request_metadata);
    Ok(())
}
