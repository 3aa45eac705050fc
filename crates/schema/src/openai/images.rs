//! `POST /v1/images/generations` and `/v1/images/edits`: one request with the fields of both, the answer and its
//! event. Members of the image models' own are de facto extensions under their own names.

use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::unknown::{Collector, Unknown};
use crate::{Str, whole};

/// A request for images. Every optional field accepts null; the names of unknown fields are kept in `extra`.
#[derive(Debug, Clone, Deserialize)]
#[serde(remote = "Self")]
pub struct ImageRequest<'a> {
    #[serde(borrow, deserialize_with = "crate::text::model_name")]
    pub model: Str<'a>,
    #[serde(borrow)]
    pub prompt: Option<Str<'a>>,
    #[serde(default, deserialize_with = "whole::optional")]
    pub n: Option<i64>,
    #[serde(borrow)]
    pub size: Option<Str<'a>>,
    #[serde(borrow)]
    pub output_format: Option<Str<'a>>,
    #[serde(borrow)]
    pub response_format: Option<Str<'a>>,
    pub stream: Option<bool>,
    #[serde(borrow)]
    pub quality: Option<&'a RawValue>,
    #[serde(borrow)]
    pub style: Option<&'a RawValue>,
    #[serde(borrow)]
    pub background: Option<&'a RawValue>,
    #[serde(borrow)]
    pub moderation: Option<&'a RawValue>,
    #[serde(borrow)]
    pub output_compression: Option<&'a RawValue>,
    #[serde(borrow)]
    pub partial_images: Option<&'a RawValue>,
    #[serde(borrow)]
    pub input_fidelity: Option<&'a RawValue>,
    #[serde(borrow)]
    pub user: Option<Str<'a>>,
    /// De facto extension, of LiteLLM: what targets are chosen by.
    #[serde(borrow)]
    pub tags: Option<&'a RawValue>,

    /// The images to edit.
    #[serde(borrow)]
    pub image: Option<ImageList<'a>>,
    /// The same in JSON.
    #[serde(borrow)]
    pub images: Option<ImageList<'a>>,
    #[serde(borrow)]
    pub mask: Option<ImageList<'a>>,
    #[serde(borrow)]
    pub style_image: Option<ImageList<'a>>,

    #[serde(borrow)]
    pub negative_prompt: Option<Str<'a>>,
    #[serde(borrow)]
    pub search_prompt: Option<Str<'a>>,
    #[serde(borrow)]
    pub select_prompt: Option<Str<'a>>,
    #[serde(borrow)]
    pub style_preset: Option<Str<'a>>,
    #[serde(default, deserialize_with = "whole::optional")]
    pub seed: Option<i64>,
    #[serde(default, deserialize_with = "whole::optional")]
    pub grow_mask: Option<i64>,
    #[serde(default, deserialize_with = "whole::optional")]
    pub left: Option<i64>,
    #[serde(default, deserialize_with = "whole::optional")]
    pub right: Option<i64>,
    #[serde(default, deserialize_with = "whole::optional")]
    pub up: Option<i64>,
    #[serde(default, deserialize_with = "whole::optional")]
    pub down: Option<i64>,
    pub strength: Option<f64>,
    pub creativity: Option<f64>,
    pub control_strength: Option<f64>,
    pub fidelity: Option<f64>,
    pub style_strength: Option<f64>,
    pub composition_fidelity: Option<f64>,
    pub change_strength: Option<f64>,

    /// Fields unknown here.
    #[serde(skip)]
    pub extra: Unknown<'a>,
}

impl<'de: 'a, 'a> Deserialize<'de> for ImageRequest<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut extra = Unknown::default();
        let request = Self::deserialize(Collector::new(deserializer, &mut extra))?;
        Ok(Self { extra, ..request })
    }
}

/// The fields that are no texts, where a request is a form.
pub const IMAGE_SCALARS: &[&str] = &[
    "n",
    "stream",
    "seed",
    "grow_mask",
    "left",
    "right",
    "up",
    "down",
    "strength",
    "creativity",
    "control_strength",
    "fidelity",
    "style_strength",
    "composition_fidelity",
    "change_strength",
];

/// One image or several.
#[derive(Debug, Clone)]
pub struct ImageList<'a>(pub Vec<GivenImage<'a>>);

/// An image: a file of a form, or a URL in JSON, which may stand alone as a text.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct GivenImage<'a> {
    /// The content in base64.
    #[serde(borrow)]
    pub data: Option<Str<'a>>,
    #[serde(borrow)]
    pub image_url: Option<Str<'a>>,
    #[serde(borrow)]
    pub file_id: Option<Str<'a>>,
}

impl<'de: 'a, 'a> Deserialize<'de> for ImageList<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&'de RawValue>::deserialize(deserializer)?;
        let one = |raw: &'de RawValue| match raw.get().starts_with('"') {
            true => {
                let image_url = Some(serde_json::from_str::<Str<'de>>(raw.get())?);
                Ok(GivenImage { image_url, ..GivenImage::default() })
            }
            false => serde_json::from_str::<GivenImage<'de>>(raw.get()),
        };
        let images = match raw.get().starts_with('[') {
            true => serde_json::from_str::<Vec<&'de RawValue>>(raw.get())
                .and_then(|all| all.into_iter().map(one).collect()),
            false => one(raw).map(|image| vec![image]),
        };
        images.map(ImageList).map_err(|error| Error::custom(format_args!("not an image: {error}")))
    }
}

/// The answer.
#[derive(Debug, Serialize)]
pub struct ImagesResponse<'a> {
    pub created: u32,
    pub data: Vec<MadeImage<'a>>,
    pub output_format: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    /// Images that a filter of the model withheld, if others were made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcrop: Option<FilteredImages>,
}

/// An image as base64 or as a data URL.
#[derive(Debug, Serialize)]
pub struct MadeImage<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub b64_json: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// The reasons for images that are missing, a reason for each.
#[derive(Debug, Serialize)]
pub struct FilteredImages {
    pub filtered: Vec<String>,
}

/// The event of a complete image.
#[derive(Debug, Serialize)]
pub struct ImageEvent<'a> {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub b64_json: &'a str,
    pub created_at: u32,
    pub output_format: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
}
