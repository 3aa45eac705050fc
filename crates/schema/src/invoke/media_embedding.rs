//! Bodies for embeddings of images, audio and video, or of an image with a text: one input in a call.

use serde::Serialize;

use super::nova::{Purpose, TaskType};
use super::titan::EmbeddingConfig;
use crate::openai::embeddings::InputType;

/// An image for Titan's multimodal model, with a text or without.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TitanImage<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_text: Option<&'a str>,
    pub input_image: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedding_config: Option<EmbeddingConfig>,
}

/// An image for Cohere's third version, as a data URL.
#[derive(Debug, Clone, Serialize)]
pub struct CohereImage<'a> {
    pub images: [&'a str; 1],
    pub input_type: CohereImageType,
}

/// The purpose of an image's vector.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CohereImageType {
    Image,
}

/// One input of several parts for Cohere's fourth version.
#[derive(Debug, Clone, Serialize)]
pub struct CohereParts<'a> {
    pub inputs: [CohereInput<'a>; 1],
    pub input_type: InputType,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_dimension: Option<u32>,
}

/// The parts of an input.
#[derive(Debug, Clone, Serialize)]
pub struct CohereInput<'a> {
    pub content: Vec<CoherePart<'a>>,
}

/// A part.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum CoherePart<'a> {
    Text { text: &'a str },
    ImageUrl { image_url: CohereUrl<'a> },
}

/// A data URL.
#[derive(Debug, Clone, Serialize)]
pub struct CohereUrl<'a> {
    pub url: &'a str,
}

/// A medium for Nova.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NovaMedium<'a> {
    pub task_type: TaskType,
    pub single_embedding_params: NovaParams<'a>,
}

/// `singleEmbeddingParams`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NovaParams<'a> {
    pub embedding_purpose: Purpose,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedding_dimension: Option<u32>,
    #[serde(flatten)]
    pub medium: NovaContent<'a>,
}

/// The medium, by its kind.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NovaContent<'a> {
    Image(NovaSourced<'a>),
    Audio(NovaSourced<'a>),
    Video(NovaSourced<'a>),
}

/// Format and bytes. A video's mode is required: its sound and its pictures can have one vector or two.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NovaSourced<'a> {
    pub format: &'a str,
    pub source: NovaBytes<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedding_mode: Option<NovaMode>,
}

/// Base64.
#[derive(Debug, Clone, Serialize)]
pub struct NovaBytes<'a> {
    pub bytes: &'a str,
}

/// The vectors of a video: one for its sound and pictures.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum NovaMode {
    AudioVideoCombined,
}

/// An image for Marengo 2.7.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MarengoImage<'a> {
    pub input_type: MarengoType,
    pub media_source: MarengoSource<'a>,
}

/// An image for Marengo 3.0, with a text or without.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MarengoNestedImage<'a> {
    pub input_type: MarengoType,
    #[serde(flatten)]
    pub input: MarengoInput<'a>,
}

/// The members beside the type.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MarengoInput<'a> {
    #[serde(rename_all = "camelCase")]
    Image { media_source: MarengoSource<'a> },
    #[serde(rename_all = "camelCase")]
    TextImage { input_text: &'a str, media_source: MarengoSource<'a> },
}

/// The kind of an input.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MarengoType {
    Image,
    TextImage,
}

/// Base64.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MarengoSource<'a> {
    pub base64_string: &'a str,
}
