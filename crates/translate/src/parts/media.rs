//! Images as data URLs. The base64 goes through as the text it is: decoding it, only to encode it
//! again, would be most of the cost of a call with a picture.

use schema::converse::media::{ImageBlock, Source};
use schema::openai::content::ImageUrl;

use crate::Invalid;

/// The Converse block of an image URL; `param` is the path of the part, for complaints.
pub(crate) fn image<'a>(image: &'a ImageUrl<'_>, param: &str) -> Result<ImageBlock<'a>, Invalid> {
    let url = image.url.as_str();
    let complain = |message: &'static str, code: &'static str| {
        Err(Invalid::value(format!("{param}.image_url.url"), message).with_code(code))
    };
    let Some(rest) = strip_scheme(url) else {
        return complain(
            "Only data: URLs are accepted for images; send the picture as data:image/png;base64,...",
            "invalid_image_url",
        );
    };
    let Some((kind, data)) = rest.split_once(',') else {
        return complain("The data: URL has no comma before its data.", "invalid_image_url");
    };
    let Some(mime) = kind.strip_suffix(";base64") else {
        return complain(
            "The data: URL must be base64 (data:image/png;base64,...).",
            "invalid_image_url",
        );
    };
    if !is_base64(data) {
        return complain("The image is not valid base64.", "image_parse_error");
    }
    match sniff(data).or_else(|| declared(mime)) {
        Some(format) => Ok(ImageBlock { format, source: Source::Bytes(data) }),
        None => complain("The image must be PNG, JPEG, GIF or WebP.", "invalid_image_format"),
    }
}

fn strip_scheme(url: &str) -> Option<&str> {
    url.get(..5).filter(|scheme| scheme.eq_ignore_ascii_case("data:"))?;
    url.get(5..)
}

/// The format by the first bytes, seen through base64. What the data says beats what the URL says:
/// browsers and agents mislabel pictures, and Bedrock refuses a wrong label.
fn sniff(data: &str) -> Option<&'static str> {
    const MAGIC: &[(&str, &str)] =
        &[("iVBORw0KGg", "png"), ("/9j/", "jpeg"), ("R0lGOD", "gif"), ("UklGR", "webp")];
    MAGIC.iter().find(|(magic, _)| data.starts_with(magic)).map(|&(_, format)| format)
}

fn declared(mime: &str) -> Option<&'static str> {
    let mime = mime.split(';').next().unwrap_or_default();
    match mime.to_ascii_lowercase().as_str() {
        "image/png" => Some("png"),
        "image/jpeg" | "image/jpg" => Some("jpeg"),
        "image/gif" => Some("gif"),
        "image/webp" => Some("webp"),
        _ => None,
    }
}

/// Standard alphabet, padded to a multiple of four, not empty.
fn is_base64(data: &str) -> bool {
    let bytes = data.as_bytes();
    let digits = match bytes {
        [digits @ .., b'=', b'='] | [digits @ .., b'='] => digits,
        digits => digits,
    };
    !digits.is_empty()
        && bytes.len().is_multiple_of(4)
        && digits.iter().all(|&b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(url: &'static str) -> Result<(&'static str, String), (String, &'static str)> {
        let image = ImageUrl { url: url.into(), detail: None };
        match super::image(&image, "p") {
            Ok(ImageBlock { format, source: Source::Bytes(data) }) => Ok((format, data.to_owned())),
            Err(invalid) => Err((invalid.param.unwrap(), invalid.code)),
        }
    }

    #[test]
    fn the_data_decides_the_format_and_stays_as_it_is() {
        let png = "data:image/jpeg;base64,iVBORw0KGgoAAAANSUhEUg==";
        assert_eq!(translated(png), Ok(("png", "iVBORw0KGgoAAAANSUhEUg==".to_owned())));
        assert_eq!(translated("DATA:image/JPG;base64,AAAA"), Ok(("jpeg", "AAAA".to_owned())));
        assert_eq!(translated("data:image/webp;x=1;base64,AAA="), Ok(("webp", "AAA=".to_owned())));
    }

    #[test]
    fn what_is_not_an_image_is_refused_where_it_stands() {
        for (url, code) in [
            ("https://example.com/a.png", "invalid_image_url"),
            ("data:image/png;base64", "invalid_image_url"),
            ("data:image/png,abc", "invalid_image_url"),
            ("data:image/png;base64,", "image_parse_error"),
            ("data:image/png;base64,AAA", "image_parse_error"),
            ("data:image/png;base64,A=AA", "image_parse_error"),
            ("data:image/png;base64,AA A", "image_parse_error"),
            ("data:image/svg+xml;base64,AAAA", "invalid_image_format"),
            ("data:", "invalid_image_url"),
            ("dä", "invalid_image_url"),
        ] {
            assert_eq!(translated(url), Err(("p.image_url.url".to_owned(), code)), "{url}");
        }
    }
}
