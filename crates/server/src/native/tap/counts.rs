//! Token counts in the bodies of models: members of Converse, Anthropic and OpenAI, and the metrics that
//! InvokeModel adds to a stream. Cache writes by lifetime stand in bodies only: headers and metrics have
//! one number for both lifetimes, which have different prices.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use memchr::memmem;
use schema::converse::response::{CacheWrites, ServedTier, TokenUsage};
use serde::Deserialize;
use serde_json::value::RawValue;
use translate::guardrail::verdict::Units;
use translate::spent::BilledTier;

/// The member, up to its value.
const USAGE: &[u8] = b"\"usage\":";

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    /// The event `message_start` of a stream of Anthropic's.
    #[serde(borrow)]
    message: Option<Message<'a>>,
    /// The tier that served a call of Converse.
    #[serde(borrow, rename = "serviceTier")]
    service_tier: Option<ServedTier<'a>>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

/// `input_tokens` excludes the tokens of the cache.
#[derive(Deserialize)]
struct AnthropicCounts {
    input_tokens: u64,
    #[serde(default)]
    output_tokens: u64,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_creation: Option<CacheCreation>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CacheCreation {
    ephemeral_5m_input_tokens: u64,
    ephemeral_1h_input_tokens: u64,
}

/// `prompt_tokens` includes the tokens of the cache.
#[derive(Deserialize)]
struct OpenAiCounts {
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
    prompt_tokens_details: Option<PromptDetails>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PromptDetails {
    cached_tokens: Option<u64>,
    cache_write_tokens: Option<u64>,
}

/// Units of a guardrail's policies; those that are free are not among them.
#[derive(Default, Deserialize)]
#[serde(default)]
struct GuardrailCounts {
    #[serde(rename = "contentPolicyUnits")]
    content: u64,
    #[serde(rename = "topicPolicyUnits")]
    topic: u64,
    #[serde(rename = "wordPolicyUnits")]
    word: u64,
    #[serde(rename = "sensitiveInformationPolicyUnits")]
    pii: u64,
    #[serde(rename = "contextualGroundingPolicyUnits")]
    grounding: u64,
    #[serde(rename = "contentPolicyImageUnits")]
    images: u64,
}

#[derive(Deserialize)]
struct Metrics {
    #[serde(rename = "amazon-bedrock-invocationMetrics")]
    metrics: Option<InvocationMetrics>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct InvocationMetrics {
    input_token_count: u64,
    output_token_count: u64,
    cache_read_input_token_count: u64,
    cache_write_input_token_count: u64,
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    bytes: schema::Str<'a>,
}

/// The counts of a complete body, or of an event's payload, and the tier that served the call.
pub(super) fn in_body(body: &[u8]) -> Option<(TokenUsage, BilledTier)> {
    let Body { usage, message, service_tier } = serde_json::from_slice(body).ok()?;
    let tier = service_tier.map_or(BilledTier::Standard, |tier| BilledTier::named(&tier.kind));
    Some((in_member(usage.or_else(|| message?.usage)?)?, tier))
}

/// The units in an answer of ApplyGuardrail.
pub(super) fn guardrail_units(body: &[u8]) -> Option<Units> {
    let Body { usage, .. } = serde_json::from_slice(body).ok()?;
    let GuardrailCounts { content, topic, word, pii, grounding, images } =
        serde_json::from_str(usage?.get()).ok()?;
    Some(Units {
        content,
        topic,
        word,
        sensitive_information: pii,
        contextual_grounding: grounding,
        images,
    })
}

/// The counts in the end of a body whose beginning is gone. Within a string the quotes of the member's name
/// would be escaped; of several members the last is the answer's own.
pub(super) fn in_tail(tail: &[u8]) -> Option<TokenUsage> {
    let at = memmem::rfind(tail, USAGE)?;
    let rest = tail.get(at + USAGE.len()..)?;
    let member = serde_json::Deserializer::from_slice(rest).into_iter::<&RawValue>().next()?;
    in_member(member.ok()?)
}

/// The metrics in the last chunk of InvokeModelWithResponseStream, which stand beside the model's own text.
pub(super) fn in_last_chunk(payload: &[u8]) -> Option<TokenUsage> {
    let metrics = serde_json::from_slice::<Metrics>(&chunk(payload)?).ok()?.metrics?;
    Some(TokenUsage {
        input_tokens: metrics.input_token_count,
        output_tokens: metrics.output_token_count,
        cache_read_input_tokens: metrics.cache_read_input_token_count,
        cache_write_input_tokens: metrics.cache_write_input_token_count,
        ..TokenUsage::default()
    })
}

/// Cache writes by lifetime in the first chunk of such a stream.
pub(super) fn writes_in_first_chunk(payload: &[u8]) -> Option<CacheWrites> {
    Some(in_body(&chunk(payload)?)?.0.cache_details)
}

fn chunk(payload: &[u8]) -> Option<Vec<u8>> {
    let chunk: Chunk<'_> = serde_json::from_slice(payload).ok()?;
    STANDARD.decode(chunk.bytes.as_bytes()).ok()
}

fn in_member(usage: &RawValue) -> Option<TokenUsage> {
    let text = usage.get();
    if let Ok(counts) = serde_json::from_str::<AnthropicCounts>(text) {
        return Some(counts.into());
    }
    if let Ok(counts) = serde_json::from_str::<OpenAiCounts>(text) {
        return Some(counts.into());
    }
    let counts: TokenUsage = serde_json::from_str(text).ok()?;
    (counts != TokenUsage::default()).then_some(counts)
}

impl From<AnthropicCounts> for TokenUsage {
    fn from(counts: AnthropicCounts) -> Self {
        let CacheCreation { ephemeral_5m_input_tokens, ephemeral_1h_input_tokens } =
            counts.cache_creation.unwrap_or_default();
        Self {
            input_tokens: counts.input_tokens,
            output_tokens: counts.output_tokens,
            cache_read_input_tokens: counts.cache_read_input_tokens.unwrap_or_default(),
            cache_write_input_tokens: counts.cache_creation_input_tokens.unwrap_or_default(),
            cache_details: CacheWrites {
                five_minutes: ephemeral_5m_input_tokens,
                one_hour: ephemeral_1h_input_tokens,
            },
            ..Self::default()
        }
    }
}

impl From<OpenAiCounts> for TokenUsage {
    fn from(counts: OpenAiCounts) -> Self {
        let details = counts.prompt_tokens_details.unwrap_or_default();
        let read = details.cached_tokens.unwrap_or_default();
        let written = details.cache_write_tokens.unwrap_or_default();
        Self {
            input_tokens: counts.prompt_tokens.saturating_sub(read).saturating_sub(written),
            output_tokens: counts.completion_tokens,
            cache_read_input_tokens: read,
            cache_write_input_tokens: written,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(usage: TokenUsage) -> [u64; 6] {
        let CacheWrites { five_minutes, one_hour } = usage.cache_details;
        let (read, written) = (usage.cache_read_input_tokens, usage.cache_write_input_tokens);
        [usage.input_tokens, usage.output_tokens, read, written, five_minutes, one_hour]
    }

    #[test]
    fn every_shape_of_usage_is_read() {
        for (body, expected) in [
            (
                r#"{"output":{},"usage":{"inputTokens":5,"outputTokens":6}}"#,
                Some([5, 6, 0, 0, 0, 0]),
            ),
            (
                r#"{"usage":{"inputTokens":5,"outputTokens":6,"cacheWriteInputTokens":9,"cacheDetails":[{"ttl":"1h","inputTokens":9}]}}"#,
                Some([5, 6, 0, 9, 0, 9]),
            ),
            (
                r#"{"usage":{"input_tokens":1,"output_tokens":2,"cache_read_input_tokens":3,"cache_creation_input_tokens":9,"cache_creation":{"ephemeral_5m_input_tokens":4,"ephemeral_1h_input_tokens":5}}}"#,
                Some([1, 2, 3, 9, 4, 5]),
            ),
            (
                r#"{"usage":{"input_tokens":1,"output_tokens":2,"cache_read_input_tokens":null}}"#,
                Some([1, 2, 0, 0, 0, 0]),
            ),
            (
                r#"{"usage":{"prompt_tokens":10,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":4}}}"#,
                Some([6, 2, 4, 0, 0, 0]),
            ),
            (
                r#"{"usage":{"prompt_tokens":3,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":4}}}"#,
                Some([0, 2, 4, 0, 0, 0]),
            ),
            (
                r#"{"type":"message_start","message":{"usage":{"input_tokens":1,"output_tokens":1}}}"#,
                Some([1, 1, 0, 0, 0, 0]),
            ),
            (r#"{"usage":{}}"#, None),
            (r#"{"usage":"much"}"#, None),
            (r#"{"usage":{"input_tokens":"one"}}"#, None),
            ("{}", None),
            ("not JSON", None),
        ] {
            let found = in_body(body.as_bytes()).map(|(usage, _)| counts(usage));
            assert_eq!(found, expected, "{body}");
        }
    }

    #[test]
    fn the_tier_that_served_is_read() {
        let tier = |member: &str| {
            let body = format!(r#"{{"usage":{{"inputTokens":1}}{member}}}"#);
            in_body(body.as_bytes()).unwrap().1
        };
        assert_eq!(tier(""), BilledTier::Standard);
        assert_eq!(tier(r#","serviceTier":{"type":"flex"}"#), BilledTier::Flex);
        assert_eq!(tier(r#","serviceTier":{"type":"warp"}"#), BilledTier::Unknown);
    }

    #[test]
    fn the_end_of_a_body_is_enough() {
        for (tail, expected) in [
            (
                r#"ks of \"usage\":{\"inputTokens\":1}"}]},"usage":{"inputTokens":5,"outputTokens":6}}"#,
                true,
            ),
            (
                r#""usage":{"inputTokens":1}}],"stopReason":"x","usage":{"inputTokens":5,"outputTokens":6},"a":1}"#,
                true,
            ),
            (r#"of \"usage\":{\"inputTokens\":5,\"outputTokens\":6}"#, false),
            (r#""usage":{"inputTokens":5,"outp"#, false),
            ("", false),
        ] {
            let found =
                in_tail(tail.as_bytes()).map(|usage| [usage.input_tokens, usage.output_tokens]);
            assert_eq!(found, expected.then_some([5, 6]), "{tail}");
        }
    }
}
