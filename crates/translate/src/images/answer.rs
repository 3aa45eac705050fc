//! Images that were made, from the answers to all calls of a request.

use schema::Str;
use schema::invoke::picture::PictureResponse;
use schema::openai::images::{FilteredImages, ImageEvent, ImageRequest, ImagesResponse, MadeImage};
use serde::Serialize;

use super::ImageTask;
use crate::Invalid;

/// Bytes of a PNG in which its size stands, and the base64 that holds them.
const PNG_HEAD: usize = 24;
const PNG_HEAD_BASE64: usize = 32;
const PNG_BEGINNING: &str = "iVBORw0KGgo";

/// The images of one answer, and the reasons for those that are missing.
#[derive(Debug)]
pub struct MadeImages<'b> {
    images: Vec<Str<'b>>,
    filtered: Vec<String>,
}

impl<'b> MadeImages<'b> {
    /// Reads an answer.
    ///
    /// # Errors
    /// It cannot be read, or has neither an image nor a reason.
    pub fn read(body: &'b [u8]) -> Result<Self, serde_json::Error> {
        let PictureResponse { images, finish_reasons } = serde_json::from_slice(body)?;
        let filtered: Vec<String> =
            finish_reasons.into_iter().flatten().map(|reason| reason.to_string()).collect();
        let images: Vec<Str<'b>> = images.into_iter().filter(|image| !image.is_empty()).collect();
        if images.is_empty() && filtered.is_empty() {
            return Err(serde::de::Error::custom("no image and no reason"));
        }
        Ok(Self { images, filtered })
    }

    /// Number of images.
    pub fn count(&self) -> usize {
        self.images.len()
    }
}

/// Facts that an answer states besides the images.
#[derive(Debug, Clone, Copy)]
pub struct ImageStamp {
    /// The front door.
    pub task: ImageTask,
    /// The time, in Unix seconds.
    pub created: u32,
    /// The format that was asked of the model.
    pub output_format: &'static str,
    /// Decodes base64; for the beginning of an image.
    pub decode: fn(&str) -> Option<Vec<u8>>,
}

/// An answer: whole, or as the one event of a stream.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum ImageAnswer<'a> {
    /// One body.
    Whole(ImagesResponse<'a>),
    /// One event, whose name is its `type`.
    Event(ImageEvent<'a>),
}

/// Combines the answers to all calls.
///
/// # Errors
/// A filter withheld every image.
pub fn answer<'a>(
    request: &ImageRequest<'_>,
    made: &'a [MadeImages<'_>],
    stamp: ImageStamp,
) -> Result<ImageAnswer<'a>, Invalid> {
    let images: Vec<&str> = made.iter().flat_map(|one| &one.images).map(Str::as_str).collect();
    let filtered: Vec<String> = made.iter().flat_map(|one| one.filtered.clone()).collect();
    let Some(first) = images.first().copied() else {
        let message = format!("No image was made: {}.", filtered.join("; "));
        return Err(Invalid {
            message: message.into(),
            param: None,
            code: "content_policy_violation",
        });
    };
    let ImageStamp { task, created, output_format, decode } = stamp;
    let size = size_of(first, decode);
    if request.stream == Some(true) {
        let kind = match task {
            ImageTask::Generate => "image_generation.completed",
            ImageTask::Edit => "image_edit.completed",
        };
        let event = ImageEvent { kind, b64_json: first, created_at: created, output_format, size };
        return Ok(ImageAnswer::Event(event));
    }
    let as_url = request.response_format.as_deref() == Some("url");
    let data = images.iter().map(|image| match as_url {
        false => MadeImage { b64_json: Some(*image), url: None },
        true => {
            let url = format!("data:image/{output_format};base64,{image}");
            MadeImage { b64_json: None, url: Some(url) }
        }
    });
    let outcrop = (!filtered.is_empty()).then_some(FilteredImages { filtered });
    Ok(ImageAnswer::Whole(ImagesResponse {
        created,
        data: data.collect(),
        output_format,
        size,
        outcrop,
    }))
}

/// The size of a PNG, which stands in its head.
fn size_of(image: &str, decode: fn(&str) -> Option<Vec<u8>>) -> Option<String> {
    let head = image.get(..PNG_HEAD_BASE64).filter(|head| head.starts_with(PNG_BEGINNING))?;
    let bytes = decode(head)?;
    let side = |from: usize| {
        let four: [u8; 4] = bytes.get(from..from + 4)?.try_into().ok()?;
        Some(u32::from_be_bytes(four))
    };
    Some(format!("{}x{}", side(PNG_HEAD - 8)?, side(PNG_HEAD - 4)?))
}
