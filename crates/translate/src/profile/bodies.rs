//! The InvokeModel bodies of models that answer something else than text: the protocols of embedding models,
//! rerankers and image models.

use serde::{Deserialize, Serialize};

/// The InvokeModel body of an embedding model. Each body is a protocol with a module of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EmbeddingShape {
    /// Titan text, first version: one text, one size.
    TitanV1,
    /// Titan text, second version: one text, chosen size.
    TitanV2,
    /// Titan multimodal.
    TitanMultimodal,
    /// Cohere, third version: many texts.
    CohereV3,
    /// Cohere, fourth version: many texts, chosen size.
    CohereV4,
    /// Nova multimodal.
    NovaMultimodal,
    /// Marengo 2.7.
    Marengo2,
    /// Marengo 3.0.
    Marengo3,
}

/// The InvokeModel body of a reranker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RerankShape {
    /// Query, documents and number of results.
    Plain,
    /// The same with a version of the API, and a limit of tokens for each document.
    Versioned,
}

/// The InvokeModel body of an image model, by what it does. All of them answer with images in base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageShape {
    /// An image from a text, as PNG or JPEG, or from a text and an image.
    TextOrImage,
    /// An image from a text, as PNG, JPEG or WebP.
    Text,
    /// Fills the masked part of an image by a text.
    Inpaint,
    /// Extends an image beyond its borders.
    Outpaint,
    /// Removes the masked part of an image.
    Erase,
    /// Replaces an object that is named.
    SearchReplace,
    /// Colours an object that is named.
    SearchRecolor,
    /// Leaves only the foreground.
    RemoveBackground,
    /// Enlarges an image fourfold.
    UpscaleFast,
    /// Enlarges an image and keeps its content, guided by a text.
    Upscale,
    /// Draws what a text says along the lines or the structure of an image.
    Control,
    /// Draws what a text says in the style of an image.
    StyleGuide,
    /// Draws an image in the style of another.
    StyleTransfer,
}
