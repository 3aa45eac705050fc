//! Parts of a call that have a price of their own.

/// Tokens in the quantity that token prices are stated for.
const MILLION: u64 = 1_000_000;

/// One kind of thing that is charged for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// Prompt tokens that are neither read from a cache nor written to one.
    Input,
    /// Output tokens, reasoning among them.
    Output,
    /// Prompt tokens read from the cache.
    CacheRead,
    /// Prompt tokens written to the cache for five minutes.
    CacheWrite,
    /// Prompt tokens written to the cache for an hour.
    CacheWrite1h,
    /// Audio tokens of the prompt, where they are counted apart.
    InputAudio,
    /// Audio tokens of the output, where they are counted apart.
    OutputAudio,
    /// Images that are embedded.
    Image,
    /// Images that are made.
    OutputImage,
    /// Requests, where each has a price.
    Request,
    /// Queries of a reranker: a hundred documents begun.
    RerankQuery,
    /// Seconds of video read.
    VideoSecond,
    /// Seconds of audio read.
    AudioSecond,
    /// Searches of the web that a model made.
    WebSearch,
    /// Text units of a guardrail's content policy, like the following of other policies.
    GuardrailContent,
    /// Text units of denied topics.
    GuardrailTopic,
    /// Text units of word filters.
    GuardrailWord,
    /// Text units of filters for personal data.
    GuardrailPii,
    /// Text units of filters for personal data by regular expression.
    GuardrailPiiFree,
    /// Text units of contextual grounding.
    GuardrailGrounding,
    /// Text units of automated reasoning.
    GuardrailReasoning,
    /// Images in a guardrail's content policy.
    GuardrailImage,
}

impl Part {
    /// Every part, in the order in which costs list them.
    pub const ALL: [Self; 22] = [
        Self::Input,
        Self::Output,
        Self::CacheRead,
        Self::CacheWrite,
        Self::CacheWrite1h,
        Self::InputAudio,
        Self::OutputAudio,
        Self::Image,
        Self::OutputImage,
        Self::Request,
        Self::RerankQuery,
        Self::VideoSecond,
        Self::AudioSecond,
        Self::WebSearch,
        Self::GuardrailContent,
        Self::GuardrailTopic,
        Self::GuardrailWord,
        Self::GuardrailPii,
        Self::GuardrailPiiFree,
        Self::GuardrailGrounding,
        Self::GuardrailReasoning,
        Self::GuardrailImage,
    ];

    /// The name in price files and stored rows.
    pub fn key(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Output => "output",
            Self::CacheRead => "cache_read",
            Self::CacheWrite => "cache_write",
            Self::CacheWrite1h => "cache_write_1h",
            Self::InputAudio => "input_audio",
            Self::OutputAudio => "output_audio",
            Self::Image => "image",
            Self::OutputImage => "output_image",
            Self::Request => "request",
            Self::RerankQuery => "rerank_query",
            Self::VideoSecond => "video_second",
            Self::AudioSecond => "audio_second",
            Self::WebSearch => "web_search",
            Self::GuardrailContent => "guardrail_content",
            Self::GuardrailTopic => "guardrail_topic",
            Self::GuardrailWord => "guardrail_word",
            Self::GuardrailPii => "guardrail_pii",
            Self::GuardrailPiiFree => "guardrail_pii_free",
            Self::GuardrailGrounding => "guardrail_grounding",
            Self::GuardrailReasoning => "guardrail_reasoning",
            Self::GuardrailImage => "guardrail_image",
        }
    }

    /// The part of this name.
    pub fn named(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.key() == key)
    }

    /// The quantity that prices of this part are stated for: a million tokens, or one of anything else.
    pub fn priced_per(self) -> u64 {
        match self {
            Self::Input
            | Self::Output
            | Self::CacheRead
            | Self::CacheWrite
            | Self::CacheWrite1h
            | Self::InputAudio
            | Self::OutputAudio => MILLION,
            Self::Image
            | Self::OutputImage
            | Self::Request
            | Self::RerankQuery
            | Self::VideoSecond
            | Self::AudioSecond
            | Self::WebSearch
            | Self::GuardrailContent
            | Self::GuardrailTopic
            | Self::GuardrailWord
            | Self::GuardrailPii
            | Self::GuardrailPiiFree
            | Self::GuardrailGrounding
            | Self::GuardrailReasoning
            | Self::GuardrailImage => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_listed_once_and_found_by_its_name() {
        for (place, part) in Part::ALL.into_iter().enumerate() {
            assert_eq!(part as usize, place, "rates are kept by place");
            assert_eq!(Part::named(part.key()), Some(part));
        }
        assert_eq!(Part::named("inptu"), None);
    }
}
