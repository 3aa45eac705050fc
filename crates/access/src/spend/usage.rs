//! Counts of what a call used.

use super::part::Part;

/// Counts of the parts that one call used, each counted once: cached tokens are no part of `input`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Usage {
    /// Prompt tokens that are neither read from a cache nor written to one.
    pub input: u64,
    /// Output tokens, reasoning among them.
    pub output: u64,
    /// Prompt tokens read from the cache.
    pub cache_read: u64,
    /// Prompt tokens written to the cache for five minutes.
    pub cache_write: u64,
    /// Prompt tokens written to the cache for an hour.
    pub cache_write_1h: u64,
    /// Audio tokens of the prompt, where they are no part of `input`.
    pub input_audio: u64,
    /// Audio tokens of the output, where they are no part of `output`.
    pub output_audio: u64,
    /// Images that were embedded.
    pub images: u64,
    /// Images that were made.
    pub output_images: u64,
    /// Requests, for models with a price for each.
    pub requests: u64,
    /// Queries of a reranker.
    pub rerank_queries: u64,
    /// Seconds of video read.
    pub video_seconds: u64,
    /// Seconds of audio read.
    pub audio_seconds: u64,
    /// Searches of the web.
    pub web_searches: u64,
    /// Units of a guardrail's content policy, like the following of other policies.
    pub guardrail_content: u64,
    /// Units of denied topics.
    pub guardrail_topic: u64,
    /// Units of word filters.
    pub guardrail_word: u64,
    /// Units of filters for personal data.
    pub guardrail_pii: u64,
    /// Units of filters for personal data by regular expression.
    pub guardrail_pii_free: u64,
    /// Units of contextual grounding.
    pub guardrail_grounding: u64,
    /// Units of automated reasoning.
    pub guardrail_reasoning: u64,
    /// Images in a guardrail's content policy.
    pub guardrail_images: u64,
}

/// Documents that a reranker charges as one query.
const RERANK_DOCUMENTS: u64 = 100;
/// Characters that a guardrail charges as one text unit.
const GUARDRAIL_CHARACTERS: u64 = 1_000;

impl Usage {
    /// Queries that a reranker charges for so many documents; one, if there are none.
    pub fn rerank_queries(documents: u64) -> u64 {
        documents.div_ceil(RERANK_DOCUMENTS).max(1)
    }

    /// Text units that each policy of a guardrail charges for so many characters.
    pub fn guardrail_units(characters: u64) -> u64 {
        characters.div_ceil(GUARDRAIL_CHARACTERS)
    }

    /// Length of the prompt in tokens, cached ones included: it decides whether the prompt is long.
    pub fn prompt_tokens(&self) -> u64 {
        [self.cache_read, self.cache_write, self.cache_write_1h, self.input_audio]
            .into_iter()
            .fold(self.input, u64::saturating_add)
    }

    /// The count of each part, in the order of [`Part::ALL`].
    pub fn quantities(&self) -> impl Iterator<Item = (Part, u64)> {
        Part::ALL.into_iter().map(|part| (part, self.of(part)))
    }

    /// The count of one part.
    pub fn of(&self, part: Part) -> u64 {
        match part {
            Part::Input => self.input,
            Part::Output => self.output,
            Part::CacheRead => self.cache_read,
            Part::CacheWrite => self.cache_write,
            Part::CacheWrite1h => self.cache_write_1h,
            Part::InputAudio => self.input_audio,
            Part::OutputAudio => self.output_audio,
            Part::Image => self.images,
            Part::OutputImage => self.output_images,
            Part::Request => self.requests,
            Part::RerankQuery => self.rerank_queries,
            Part::VideoSecond => self.video_seconds,
            Part::AudioSecond => self.audio_seconds,
            Part::WebSearch => self.web_searches,
            Part::GuardrailContent => self.guardrail_content,
            Part::GuardrailTopic => self.guardrail_topic,
            Part::GuardrailWord => self.guardrail_word,
            Part::GuardrailPii => self.guardrail_pii,
            Part::GuardrailPiiFree => self.guardrail_pii_free,
            Part::GuardrailGrounding => self.guardrail_grounding,
            Part::GuardrailReasoning => self.guardrail_reasoning,
            Part::GuardrailImage => self.guardrail_images,
        }
    }
}
