//! `POST /v1/images/generations` and `/v1/images/edits` as InvokeModel bodies: the model decides the service, each
//! image is a call.

use std::borrow::Cow;

use schema::invoke::picture::PictureRequest;
use schema::openai::images::{GivenImage, ImageList, ImageRequest};
use serde_json::value::RawValue;

use crate::profile::ImageShape;
use crate::{Invalid, Report};

mod answer;
mod settings;
mod size;

pub use answer::{ImageAnswer, ImageStamp, MadeImages, answer};

/// Longest prompt, in characters.
const PROMPT: usize = 10_000;
/// Most images of one request, as in OpenAI's API.
const MOST: u32 = 10;
/// The mode of a model that makes images from texts and from images.
const FROM_TEXT: &str = "text-to-image";
const FROM_IMAGE: &str = "image-to-image";
/// Degree to which an image changes, where the request does not say.
const STRENGTH: f64 = 0.7;

/// The front door of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageTask {
    /// `/v1/images/generations`.
    Generate,
    /// `/v1/images/edits`.
    Edit,
}

/// Functions and limits that translation is given from outside.
#[derive(Debug, Clone, Copy)]
pub struct ImageInput {
    /// The front door.
    pub task: ImageTask,
    /// Most images of one request that the operator allows.
    pub most: u32,
    /// A mask that is transparent where the image is edited, in base64, as one that is white there. A mask
    /// without transparency stays as it is (`None`). The error says why it cannot be read.
    pub white_mask: fn(&str) -> Result<Option<String>, String>,
}

/// A translated request.
#[derive(Debug)]
pub struct ImageQuestion<'r> {
    /// The body of each call, but for its seed.
    body: PictureRequest<'r>,
    /// Number of images, each of which is a call.
    pub count: u32,
    /// The fields that could not be honoured.
    pub report: Report,
}

/// Translates a request for a model that accepts bodies of this shape.
///
/// # Errors
/// The request cannot be expressed for this model; the error names the field.
pub fn question<'r>(
    request: &'r ImageRequest<'_>,
    shape: ImageShape,
    input: &ImageInput,
) -> Result<ImageQuestion<'r>, Invalid> {
    fits(shape, input.task)?;
    let mut report = Report::default();
    without_effect(request, &mut report);
    response_format(request)?;
    let count = count(request, input.most)?;
    let output_format = size::output_format(request, shape, &mut report)?;
    let mut body = PictureRequest {
        prompt: prompt(request, shape, &mut report)?,
        output_format,
        settings: settings::of(request, (shape, input.task), &mut report)?,
        ..PictureRequest::default()
    };
    let ratio = size::aspect_ratio(request)?;
    match size::takes_ratio(shape, input.task) {
        true => body.aspect_ratio = ratio,
        false if ratio.is_some() => report.ignore("size"),
        false => {}
    }
    match input.task {
        ImageTask::Generate => {
            body.mode = (shape == ImageShape::TextOrImage).then_some(FROM_TEXT);
            for (field, given) in images_of(request) {
                if given.is_some() {
                    report.ignore(field);
                }
            }
        }
        ImageTask::Edit => edited(request, shape, input, (&mut body, &mut report))?,
    }
    Ok(ImageQuestion { body, count, report })
}

impl ImageQuestion<'_> {
    /// The format that is asked of the model.
    pub fn output_format(&self) -> &'static str {
        self.body.output_format
    }

    /// The bodies of the calls, as JSON. With a seed each image has one of its own.
    ///
    /// # Errors
    /// None: the members are JSON.
    pub fn bodies(mut self) -> Result<Vec<Vec<u8>>, serde_json::Error> {
        let seed = self.body.settings.get(settings::SEED).and_then(serde_json::Value::as_u64);
        let bodies = (0..u64::from(self.count)).map(|at| {
            if let Some(seed) = seed {
                let own = seed.saturating_add(at) % (settings::MOST_SEED + 1);
                self.body.settings.insert(settings::SEED.to_owned(), own.into());
            }
            serde_json::to_vec(&self.body)
        });
        bodies.collect()
    }
}

/// Refuses a model of the other front door.
fn fits(shape: ImageShape, task: ImageTask) -> Result<(), Invalid> {
    let refused = |message: &'static str| {
        Err(Invalid::value("model", message).with_code("model_not_supported"))
    };
    match (task, shape) {
        (ImageTask::Generate, ImageShape::Text | ImageShape::TextOrImage) => Ok(()),
        (ImageTask::Generate, _) => {
            refused("This model edits images: send them to POST /v1/images/edits.")
        }
        (ImageTask::Edit, ImageShape::Text) => {
            refused("This model makes images from texts only: use POST /v1/images/generations.")
        }
        (ImageTask::Edit, _) => Ok(()),
    }
}

/// Checks the form in which images are returned.
fn response_format(request: &ImageRequest<'_>) -> Result<(), Invalid> {
    match request.response_format.as_deref() {
        None | Some("b64_json" | "url") => Ok(()),
        Some(other) => {
            let message =
                format!("response_format is {other:?}; use b64_json, or url for data URLs.");
            Err(Invalid::value("response_format", message))
        }
    }
}

fn count(request: &ImageRequest<'_>, most: u32) -> Result<u32, Invalid> {
    let (n, most) = (request.n.unwrap_or(1), most.min(MOST));
    if n < 1 {
        let message = format!("n must be at least 1, and is {n}.");
        return Err(Invalid::value("n", message).with_code("integer_below_min_value"));
    }
    if request.stream == Some(true) && n > 1 {
        return Err(Invalid::value("n", "n must be 1 where the answer is a stream."));
    }
    u32::try_from(n).ok().filter(|n| *n <= most).ok_or_else(|| {
        let message = format!("n may be {most} at most here, and is {n}.");
        Invalid::value("n", message).with_code("integer_above_max_value")
    })
}

/// The prompt, if the model takes one.
fn prompt<'r>(
    request: &'r ImageRequest<'_>,
    shape: ImageShape,
    report: &mut Report,
) -> Result<Option<&'r str>, Invalid> {
    let given = request.prompt.as_deref().filter(|prompt| !prompt.trim().is_empty());
    if given.is_some_and(|prompt| prompt.chars().count() > PROMPT) {
        let message = format!("prompt has more than {PROMPT} characters.");
        return Err(Invalid::value("prompt", message).with_code("string_above_max_length"));
    }
    match (given, settings::prompting(shape)) {
        (None, settings::Prompting::Required) => {
            let message = "prompt is missing or blank, and this model needs one.";
            Err(Invalid::value("prompt", message).with_code("missing_required_parameter"))
        }
        (Some(_), settings::Prompting::Unread) => {
            report.ignore("prompt");
            Ok(None)
        }
        (given, _) => Ok(given),
    }
}

/// The fields that hold images, and their values.
fn images_of<'r, 'a>(
    request: &'r ImageRequest<'a>,
) -> [(&'static str, Option<&'r ImageList<'a>>); 4] {
    [
        ("image", request.image.as_ref()),
        ("images", request.images.as_ref()),
        ("mask", request.mask.as_ref()),
        ("style_image", request.style_image.as_ref()),
    ]
}

/// Adds the images of an edit to the body.
fn edited<'r>(
    request: &'r ImageRequest<'_>,
    shape: ImageShape,
    input: &ImageInput,
    (body, report): (&mut PictureRequest<'r>, &mut Report),
) -> Result<(), Invalid> {
    let given = request.image.as_ref().map(|list| ("image", list));
    let given = given.or(request.images.as_ref().map(|list| ("images", list)));
    let (field, images) = given.filter(|(_, list)| !list.0.is_empty()).ok_or_else(|| {
        let message = "image is missing: send the image to edit.";
        Invalid::value("image", message).with_code("missing_required_parameter")
    })?;
    let style = request.style_image.as_ref().and_then(|list| list.0.first());
    let most = usize::from(shape == ImageShape::StyleTransfer && style.is_none()) + 1;
    if images.0.len() > most {
        let message = format!("{field} holds {} images; this model edits {most}.", images.0.len());
        return Err(Invalid::value(field, message).with_code("array_above_max_length"));
    }
    let image = images.0.first().map(|image| content(image, field)).transpose()?;
    if shape == ImageShape::StyleTransfer {
        let style = style.map(|image| (image, "style_image"));
        let style = style.or(images.0.get(1).map(|image| (image, field))).ok_or_else(|| {
            let message = "style_image is missing: send the image whose style is taken, as style_image or as the second image.";
            Invalid::value("style_image", message).with_code("missing_required_parameter")
        })?;
        body.init_image = image;
        body.style_image = Some(content(style.0, style.1)?);
    } else {
        body.image = image;
        if style.is_some() {
            report.ignore("style_image");
        }
    }
    if shape == ImageShape::TextOrImage {
        body.mode = Some(FROM_IMAGE);
        body.settings.entry(settings::STRENGTH).or_insert_with(|| STRENGTH.into());
    }
    let Some(mask) = request.mask.as_ref().and_then(|list| list.0.first()) else { return Ok(()) };
    if !matches!(shape, ImageShape::Inpaint | ImageShape::Erase) {
        let message = "This model takes no mask: leave it out, or name a model that fills or erases the masked part.";
        return Err(Invalid::value("mask", message).with_code("unsupported_parameter"));
    }
    let given = content(mask, "mask")?;
    let white = (input.white_mask)(given).map_err(|why| {
        Invalid::value("mask", format!("The mask cannot be read: {why}."))
            .with_code("invalid_image_format")
    })?;
    body.mask = Some(white.map_or(Cow::Borrowed(given), Cow::Owned));
    Ok(())
}

/// The content of an image in base64.
fn content<'r>(image: &'r GivenImage<'_>, field: &'static str) -> Result<&'r str, Invalid> {
    let GivenImage { data, image_url, file_id } = image;
    if file_id.is_some() {
        let message = "Files by id are not kept here: send the image itself.";
        return Err(Invalid::value(field, message).with_code("unsupported_value"));
    }
    let of_url = |url: &'r str| {
        let (head, content) = url.strip_prefix("data:")?.split_once(',')?;
        head.ends_with(";base64").then_some(content)
    };
    let given = match (data, image_url) {
        (Some(data), _) => Some(data.as_str()),
        (None, Some(url)) => of_url(url.as_str()),
        (None, None) => None,
    };
    given.filter(|content| !content.is_empty()).ok_or_else(|| {
        let message = format!("{field} must be a file of the form, or a data URL in base64 (data:image/png;base64,...).");
        Invalid::value(field, message).with_code("invalid_image_url")
    })
}

/// Reports the fields that cannot be honoured by any model. Destructured without `..`: a new field does not
/// compile until its use is decided.
fn without_effect(request: &ImageRequest<'_>, report: &mut Report) {
    let ImageRequest {
        model: _,
        prompt: _,
        n: _,
        size: _,
        output_format: _,
        response_format: _,
        stream: _,
        quality,
        style,
        background,
        moderation,
        output_compression,
        partial_images,
        input_fidelity,
        user,
        tags,
        image: _,
        images: _,
        mask: _,
        style_image: _,
        negative_prompt: _,
        search_prompt: _,
        select_prompt: _,
        style_preset: _,
        seed: _,
        grow_mask: _,
        left: _,
        right: _,
        up: _,
        down: _,
        strength: _,
        creativity: _,
        control_strength: _,
        fidelity: _,
        style_strength: _,
        composition_fidelity: _,
        change_strength: _,
        extra,
    } = request;
    let is_asked = |raw: &Option<&RawValue>| raw.is_some_and(|raw| raw.get() != "\"auto\"");
    report.ignore_given([
        ("quality", is_asked(quality)),
        ("style", is_asked(style)),
        ("background", is_asked(background)),
        ("moderation", is_asked(moderation)),
        ("output_compression", output_compression.is_some()),
        ("partial_images", partial_images.is_some_and(|raw| raw.get() != "0")),
        ("input_fidelity", input_fidelity.is_some()),
        ("user", user.is_some()),
        ("tags", tags.is_some()),
    ]);
    for field in extra.names() {
        report.ignore(field);
    }
}
