//! Pieces that Bedrock bills besides tokens: images that are embedded or made, and queries of rerankers. Answers state none of
//! them in counts, so that they are read from requests, and images that were made from answers.

use access::spend::{Part, Usage};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

/// Parts of prices that are billed by the piece.
pub(crate) const BILLED: [Part; 3] = [Part::Image, Part::OutputImage, Part::RerankQuery];

/// Pieces of one call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Pieces {
    /// Images that are embedded.
    pub(crate) images: u64,
    /// Images that are made.
    pub(crate) output_images: u64,
    /// Queries that a reranker bills.
    pub(crate) rerank_queries: u64,
}

/// Members of InvokeModel's bodies that say how many pieces there are.
#[derive(Default, Deserialize)]
#[serde(default)]
struct InvokeBody {
    /// Titan's image to embed.
    #[serde(rename = "inputImage")]
    input_image: Option<IgnoredAny>,
    /// Cohere's images to embed.
    images: Vec<IgnoredAny>,
    /// Cohere's texts and images to embed, in parts.
    inputs: Vec<MixedInput>,
    /// Nova's embedding.
    #[serde(rename = "singleEmbeddingParams")]
    single_embedding: SingleEmbedding,
    /// Documents to rank.
    documents: Vec<IgnoredAny>,
    /// The number of images to make, of Amazon's models.
    #[serde(rename = "imageGenerationConfig")]
    image_generation: ImageGeneration,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct MixedInput {
    content: Vec<InputPart>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct InputPart {
    image_url: Option<IgnoredAny>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SingleEmbedding {
    image: Option<IgnoredAny>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ImageGeneration {
    number_of_images: Option<u64>,
}

/// The body of `Rerank`.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RerankBody {
    queries: Vec<IgnoredAny>,
    sources: Vec<IgnoredAny>,
    reranking_configuration: RerankingConfiguration,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RerankingConfiguration {
    bedrock_reranking_configuration: BedrockReranking,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct BedrockReranking {
    model_configuration: RerankModel,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RerankModel {
    model_arn: Option<String>,
}

impl Pieces {
    /// The pieces of a body of InvokeModel; those of a body that cannot be read are the least there can be.
    pub(crate) fn of_invoke(body: &[u8]) -> Self {
        let InvokeBody {
            input_image,
            images,
            inputs,
            single_embedding,
            documents,
            image_generation,
        } = serde_json::from_slice(body).unwrap_or_default();
        let parts = inputs.iter().flat_map(|input| &input.content);
        let embedded = usize::from(input_image.is_some())
            + images.len()
            + parts.filter(|part| part.image_url.is_some()).count()
            + usize::from(single_embedding.image.is_some());
        Self {
            images: count(embedded),
            output_images: image_generation.number_of_images.unwrap_or(1),
            rerank_queries: Usage::rerank_queries(count(documents.len())),
        }
    }

    /// The pieces of a call that makes so many images.
    pub(crate) fn made(images: u64) -> Self {
        Self { output_images: images, ..Self::default() }
    }

    /// The pieces of a call that ranks so many documents.
    pub(crate) fn ranked(documents: usize) -> Self {
        Self { rerank_queries: Usage::rerank_queries(count(documents)), ..Self::default() }
    }

    /// The pieces of a body of `Rerank`, and the ARN of the model that it names.
    pub(crate) fn of_rerank(body: &[u8]) -> Option<(Self, String)> {
        let RerankBody { queries, sources, reranking_configuration } =
            serde_json::from_slice(body).ok()?;
        let model = reranking_configuration.bedrock_reranking_configuration.model_configuration;
        let each = Usage::rerank_queries(count(sources.len()));
        let rerank_queries = each.saturating_mul(count(queries.len()).max(1));
        Some((Self { rerank_queries, ..Self::default() }, model.model_arn?))
    }

    /// Adds them to counts.
    pub(crate) fn add_to(self, usage: Usage) -> Usage {
        let Self { images, output_images, rerank_queries } = self;
        Usage { images, output_images, rerank_queries, ..usage }
    }

    /// Only those that a price has rates for.
    pub(crate) fn billed(self, has: impl Fn(Part) -> bool) -> Self {
        let kept = |part, count| if has(part) { count } else { 0 };
        Self {
            images: kept(Part::Image, self.images),
            output_images: kept(Part::OutputImage, self.output_images),
            rerank_queries: kept(Part::RerankQuery, self.rerank_queries),
        }
    }

    /// The column of rows of calls; absent without pieces.
    pub(crate) fn column(self) -> Option<String> {
        let Self { images, output_images, rerank_queries } = self;
        (self != Self::default()).then(|| {
            json!({ "images": images, "output_images": output_images, "rerank_queries": rerank_queries })
                .to_string()
        })
    }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_counted_in_bodies_of_each_family() {
        for (body, expected) in [
            (r#"{"inputText":"ore"}"#, (0, 1, 1)),
            (r#"{"inputText":"ore","inputImage":"AAAA"}"#, (1, 1, 1)),
            (r#"{"input_type":"image","images":["data:1","data:2"]}"#, (2, 1, 1)),
            (
                r#"{"inputs":[{"content":[{"type":"text","text":"x"},{"type":"image_url","image_url":{"url":"data:"}}]}]}"#,
                (1, 1, 1),
            ),
            (r#"{"singleEmbeddingParams":{"image":{"format":"png"}}}"#, (1, 1, 1)),
            (
                r#"{"taskType":"TEXT_IMAGE","imageGenerationConfig":{"numberOfImages":3}}"#,
                (0, 3, 1),
            ),
            (r#"{"query":"q","documents":["a","b"]}"#, (0, 1, 1)),
            ("not JSON", (0, 1, 1)),
        ] {
            let Pieces { images, output_images, rerank_queries } =
                Pieces::of_invoke(body.as_bytes());
            assert_eq!((images, output_images, rerank_queries), expected, "{body}");
        }
        let documents = vec!["\"d\""; 350].join(",");
        let body = format!(r#"{{"query":"q","documents":[{documents}]}}"#);
        assert_eq!(Pieces::of_invoke(body.as_bytes()).rerank_queries, 4);
    }

    #[test]
    fn a_rerank_names_its_model_and_its_sources() {
        let body = r#"{"queries":[{"type":"TEXT"}],"sources":[{},{}],"rerankingConfiguration":{"bedrockRerankingConfiguration":{"modelConfiguration":{"modelArn":"arn:x"}}}}"#;
        let (pieces, model) = Pieces::of_rerank(body.as_bytes()).unwrap();
        assert_eq!((pieces.rerank_queries, model.as_str()), (1, "arn:x"));
        assert_eq!(Pieces::of_rerank(b"{}"), None);
    }
}
