//! Sizes and formats: models take proportions instead of pixels.

use schema::openai::images::ImageRequest;

use super::ImageTask;
use crate::profile::ImageShape;
use crate::{Invalid, Report};

/// Proportions that the models take, by width and height.
const RATIOS: [(f64, f64, &str); 9] = [
    (21.0, 9.0, "21:9"),
    (16.0, 9.0, "16:9"),
    (3.0, 2.0, "3:2"),
    (5.0, 4.0, "5:4"),
    (1.0, 1.0, "1:1"),
    (4.0, 5.0, "4:5"),
    (2.0, 3.0, "2:3"),
    (9.0, 16.0, "9:16"),
    (9.0, 21.0, "9:21"),
];

/// Whether a service takes proportions.
pub(super) fn takes_ratio(shape: ImageShape, task: ImageTask) -> bool {
    match shape {
        ImageShape::Text | ImageShape::TextOrImage => task == ImageTask::Generate,
        ImageShape::StyleGuide => true,
        _ => false,
    }
}

/// The nearest proportions of a size; none if the caller leaves them to the model.
///
/// # Errors
/// It is no size.
pub(super) fn aspect_ratio(request: &ImageRequest<'_>) -> Result<Option<&'static str>, Invalid> {
    let Some(size) = request.size.as_deref().filter(|size| *size != "auto") else {
        return Ok(None);
    };
    let parts = size.split_once('x').or_else(|| size.split_once(':'));
    let side = |text: &str| text.parse::<u32>().ok().filter(|side| *side > 0).map(f64::from);
    let Some((width, height)) = parts.and_then(|(width, height)| side(width).zip(side(height)))
    else {
        let message = format!("size is {size:?}; write it as 1024x1024, or auto.");
        return Err(Invalid::value("size", message));
    };
    let wanted = (width / height).ln();
    let distance = |(width, height, _): &(f64, f64, &str)| ((width / height).ln() - wanted).abs();
    let nearest = RATIOS.iter().min_by(|one, other| distance(one).total_cmp(&distance(other)));
    Ok(nearest.map(|(_, _, name)| *name))
}

/// The format of the images. One that the model has not becomes PNG, and is reported.
///
/// # Errors
/// It is no format.
pub(super) fn output_format(
    request: &ImageRequest<'_>,
    shape: ImageShape,
    report: &mut Report,
) -> Result<&'static str, Invalid> {
    match request.output_format.as_deref() {
        None | Some("png") => Ok("png"),
        Some("jpeg" | "jpg") => Ok("jpeg"),
        Some("webp") if shape == ImageShape::TextOrImage => {
            report.ignore("output_format");
            Ok("png")
        }
        Some("webp") => Ok("webp"),
        Some(other) => {
            let message = format!("output_format is {other:?}; use png, jpeg or webp.");
            Err(Invalid::value("output_format", message))
        }
    }
}
