//! Settings of image models: which of a request's numbers and short texts each service takes.

use schema::openai::images::ImageRequest;
use serde_json::{Map, Value};

use super::ImageTask;
use crate::profile::ImageShape;
use crate::{Invalid, Report};

pub(super) const SEED: &str = "seed";
pub(super) const STRENGTH: &str = "strength";
/// Largest seed.
pub(super) const MOST_SEED: u64 = 4_294_967_294;
/// The borders of an image that may be moved.
const BORDERS: [&str; 4] = ["left", "right", "up", "down"];

/// Whether a model reads a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Prompting {
    Required,
    Optional,
    Unread,
}

pub(super) fn prompting(shape: ImageShape) -> Prompting {
    match shape {
        ImageShape::Text
        | ImageShape::TextOrImage
        | ImageShape::Inpaint
        | ImageShape::SearchReplace
        | ImageShape::SearchRecolor
        | ImageShape::Upscale
        | ImageShape::Control
        | ImageShape::StyleGuide => Prompting::Required,
        ImageShape::Outpaint | ImageShape::StyleTransfer => Prompting::Optional,
        ImageShape::Erase | ImageShape::RemoveBackground | ImageShape::UpscaleFast => {
            Prompting::Unread
        }
    }
}

/// The settings that a service takes.
fn taken(shape: ImageShape, task: ImageTask) -> &'static [&'static str] {
    match (shape, task) {
        (ImageShape::TextOrImage, ImageTask::Edit) => &["negative_prompt", SEED, STRENGTH],
        (ImageShape::Text | ImageShape::TextOrImage, _) => &["negative_prompt", SEED],
        (ImageShape::Inpaint, _) => &["negative_prompt", SEED, "grow_mask", "style_preset"],
        (ImageShape::Outpaint, _) => {
            &["left", "right", "up", "down", "creativity", SEED, "style_preset"]
        }
        (ImageShape::Erase, _) => &["grow_mask", SEED],
        (ImageShape::SearchReplace, _) => {
            &["search_prompt", "negative_prompt", "grow_mask", SEED, "style_preset"]
        }
        (ImageShape::SearchRecolor, _) => {
            &["select_prompt", "negative_prompt", "grow_mask", SEED, "style_preset"]
        }
        (ImageShape::RemoveBackground | ImageShape::UpscaleFast, _) => &[],
        (ImageShape::Upscale, _) => &["creativity", "negative_prompt", SEED, "style_preset"],
        (ImageShape::Control, _) => &["control_strength", "negative_prompt", SEED, "style_preset"],
        (ImageShape::StyleGuide, _) => &["fidelity", "negative_prompt", SEED, "style_preset"],
        (ImageShape::StyleTransfer, _) => {
            &["negative_prompt", SEED, "style_strength", "composition_fidelity", "change_strength"]
        }
    }
}

/// The settings of a request that the service takes; the others are reported.
///
/// # Errors
/// A setting that the service needs is missing, or a seed is out of range.
pub(super) fn of(
    request: &ImageRequest<'_>,
    (shape, task): (ImageShape, ImageTask),
    report: &mut Report,
) -> Result<Map<String, Value>, Invalid> {
    let text = |value: &Option<schema::Str<'_>>| value.as_deref().map(Value::from);
    let given = [
        ("negative_prompt", text(&request.negative_prompt)),
        ("search_prompt", text(&request.search_prompt)),
        ("select_prompt", text(&request.select_prompt)),
        ("style_preset", text(&request.style_preset)),
        (SEED, request.seed.map(Value::from)),
        ("grow_mask", request.grow_mask.map(Value::from)),
        ("left", request.left.map(Value::from)),
        ("right", request.right.map(Value::from)),
        ("up", request.up.map(Value::from)),
        ("down", request.down.map(Value::from)),
        (STRENGTH, request.strength.map(Value::from)),
        ("creativity", request.creativity.map(Value::from)),
        ("control_strength", request.control_strength.map(Value::from)),
        ("fidelity", request.fidelity.map(Value::from)),
        ("style_strength", request.style_strength.map(Value::from)),
        ("composition_fidelity", request.composition_fidelity.map(Value::from)),
        ("change_strength", request.change_strength.map(Value::from)),
    ];
    let in_range = |seed: i64| u64::try_from(seed).is_ok_and(|seed| seed <= MOST_SEED);
    if let Some(seed) = request.seed.filter(|seed| !in_range(*seed)) {
        let message = format!("seed must be from 0 to {MOST_SEED}, and is {seed}.");
        return Err(Invalid::value(SEED, message));
    }
    let taken = taken(shape, task);
    let mut settings = Map::new();
    for (name, value) in given {
        match value {
            Some(value) if taken.contains(&name) => {
                settings.insert(name.to_owned(), value);
            }
            Some(_) => report.ignore(name),
            None => {}
        }
    }
    complete(&settings, shape)?;
    Ok(settings)
}

/// Refuses a request without what its service needs.
fn complete(settings: &Map<String, Value>, shape: ImageShape) -> Result<(), Invalid> {
    let missing = |name: &'static str, message: &'static str| {
        Err(Invalid::value(name, message).with_code("missing_required_parameter"))
    };
    match shape {
        ImageShape::SearchReplace if !settings.contains_key("search_prompt") => {
            missing("search_prompt", "search_prompt is missing: name the object to replace.")
        }
        ImageShape::SearchRecolor if !settings.contains_key("select_prompt") => {
            missing("select_prompt", "select_prompt is missing: name the object to colour.")
        }
        ImageShape::Outpaint if !BORDERS.iter().any(|border| settings.contains_key(*border)) => {
            missing(
                "left",
                "Give at least one of left, right, up and down: the pixels to add there.",
            )
        }
        _ => Ok(()),
    }
}
