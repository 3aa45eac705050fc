//! `POST /spend/calculate`: the cost of a call, before it is made or from its answer.

use routing::catalogue::ResolvedModel;
use routing::{RouteError, Tags};
use schema::converse::response::{CacheWrites, TokenUsage};
use schema::openai::usage::CostUsd;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use translate::spent::BilledTier;

use super::answer::AdminAnswer;
use super::error::{AdminRefusal, FieldFault};
use super::request::AdminRequest;
use crate::call_price::CallPrice;
use crate::token_estimate;

/// The type of refusals for want of a price, as LiteLLM names it.
const UNPRICED: &str = "model_cost_map_missing";

/// An answer, as far as its cost depends on it.
#[derive(Debug, Deserialize)]
struct Answered {
    model: Option<String>,
    #[serde(default)]
    usage: AnsweredUsage,
    service_tier: Option<String>,
}

/// Token counts in OpenAI's form, in which those of the prompt include cached ones.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct AnsweredUsage {
    prompt_tokens: u64,
    completion_tokens: u64,
    prompt_tokens_details: Option<AnsweredDetails>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct AnsweredDetails {
    cached_tokens: Option<u64>,
    cache_write_tokens: Option<u64>,
    cache_creation_token_details: Option<AnsweredWrites>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct AnsweredWrites {
    ephemeral_5m_input_tokens: u64,
    ephemeral_1h_input_tokens: u64,
}

#[derive(Debug, Serialize)]
struct Calculated {
    cost: CostUsd,
}

/// `POST /spend/calculate`.
pub(super) async fn calculate(mut request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    let named = request.body.text("model")?;
    let answered: Option<Answered> = request.body.option("completion_response")?;
    let messages: Option<Value> = request.body.option("messages")?;
    let (name, usage, tier) = match (answered, messages) {
        (Some(answered), _) => {
            let name = named.or(answered.model);
            let tier =
                answered.service_tier.as_deref().map_or(BilledTier::Standard, BilledTier::named);
            (name, answered.usage.counted(), tier)
        }
        (None, Some(messages)) => {
            let input_tokens = token_estimate::estimate(bytes(&messages)).max(1);
            (named, TokenUsage { input_tokens, ..TokenUsage::default() }, BilledTier::Standard)
        }
        (None, None) => {
            let message = "Bad Request - Either 'messages' or 'completion_response' is required";
            return Err(AdminRefusal::bad(message).param("messages"));
        }
    };
    let missing = || AdminRefusal::unprocessable(&[FieldFault::missing("body", "model")]);
    let name = name.ok_or_else(missing)?;
    let model = resolved(&request, &name).await?;
    let cost = CallPrice::of(&model).cost(usage, tier).ok_or_else(|| {
        AdminRefusal::bad(format!("There is no price of the model '{name}'.")).kind(UNPRICED)
    })?;
    AdminAnswer::of(&Calculated { cost })
}

/// The first target of a name that the caller may call.
async fn resolved(request: &AdminRequest, name: &str) -> Result<ResolvedModel, AdminRefusal> {
    let now = request.worker().now();
    let unknown = || AdminRefusal::bad(format!("The model '{name}' is unknown.")).param("model");
    match now.names.resolve(request.caller.admission(), name, Tags::default()).await {
        Ok(route) => route.first().map(|target| target.model).ok_or_else(unknown),
        Err(RouteError::Denied(denied)) => Err(denied.into()),
        Err(_) => Err(unknown()),
    }
}

/// Bytes of the texts of messages.
fn bytes(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(elements) => elements.iter().map(bytes).sum(),
        Value::Object(members) => {
            ["content", "text"].iter().filter_map(|name| members.get(*name)).map(bytes).sum()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

impl AnsweredUsage {
    /// The counts in Bedrock's form, in which each token is counted once.
    fn counted(self) -> TokenUsage {
        let details = self.prompt_tokens_details.unwrap_or_default();
        let writes = details.cache_creation_token_details.unwrap_or_default();
        let AnsweredWrites { ephemeral_5m_input_tokens, ephemeral_1h_input_tokens } = writes;
        let read = details.cached_tokens.or(self.cache_read_input_tokens).unwrap_or_default();
        let written = details
            .cache_write_tokens
            .or(self.cache_creation_input_tokens)
            .unwrap_or(ephemeral_5m_input_tokens.saturating_add(ephemeral_1h_input_tokens));
        TokenUsage {
            input_tokens: self.prompt_tokens.saturating_sub(read).saturating_sub(written),
            output_tokens: self.completion_tokens,
            cache_read_input_tokens: read,
            cache_write_input_tokens: written,
            cache_details: CacheWrites {
                five_minutes: ephemeral_5m_input_tokens,
                one_hour: ephemeral_1h_input_tokens,
            },
            ..TokenUsage::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn cached_tokens_are_no_input_twice() {
        let usage = json!({"prompt_tokens": 100, "completion_tokens": 7, "prompt_tokens_details":
            {"cached_tokens": 60, "cache_write_tokens": 30,
             "cache_creation_token_details": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20}}});
        let usage: AnsweredUsage = serde_json::from_value(usage).unwrap();
        let counted = usage.counted();
        assert_eq!((counted.input_tokens, counted.output_tokens), (10, 7));
        assert_eq!((counted.cache_read_input_tokens, counted.cache_write_input_tokens), (60, 30));
        assert_eq!(counted.cache_details.one_hour, 20);
        let litellms = json!({"prompt_tokens": 5, "cache_read_input_tokens": 9});
        let usage: AnsweredUsage = serde_json::from_value(litellms).unwrap();
        assert_eq!(usage.counted().input_tokens, 0);
    }

    #[test]
    fn texts_of_messages_are_counted() {
        let messages = json!([{"role": "user", "content": "four"},
            {"role": "user", "content": [{"type": "text", "text": "five5"}, {"type": "image_url", "image_url": {"url": "x"}}]}]);
        assert_eq!(bytes(&messages), 9);
    }
}
