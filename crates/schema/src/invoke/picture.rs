//! Image models: texts and images in base64 in one flat body, and images in base64 back.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Str;

/// The body. Each model takes some of the members.
#[derive(Debug, Default, Serialize)]
pub struct PictureRequest<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aspect_ratio: Option<&'static str>,
    pub output_format: &'static str,
    /// Numbers and short texts.
    #[serde(flatten)]
    pub settings: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<&'a str>,
    /// White where the image is edited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mask: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init_image: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub style_image: Option<&'a str>,
}

/// The answer.
#[derive(Debug, Deserialize)]
pub struct PictureResponse<'a> {
    #[serde(borrow, default)]
    pub images: Vec<Str<'a>>,
    /// Null for an image that was made, or the reason why it is withheld.
    #[serde(borrow, default)]
    pub finish_reasons: Vec<Option<Str<'a>>>,
}
