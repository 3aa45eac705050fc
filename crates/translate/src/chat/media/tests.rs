//! Image links in all their malformed variants.

use schema::converse::media::{ImageBlock, Source};
use schema::converse::message::ContentBlock;

use super::*;
use crate::parts::media::Attachments;
use crate::{Profile, S3Access};

fn translated(url: &'static str) -> Result<(&'static str, String), (String, &'static str)> {
    let image = ImageUrl { url: url.into(), detail: None };
    let (profile, stores) = (Profile::default(), S3Access::default());
    match Attachments::new(&profile, &stores).attach(&link(&image, Medium::Image, "p")) {
        Ok(ContentBlock::Image(ImageBlock { format, source: Source::Bytes(data) })) => {
            Ok((format, data.to_owned()))
        }
        Ok(other) => panic!("{other:?}"),
        Err(invalid) => Err((invalid.param.unwrap(), invalid.code)),
    }
}

#[test]
fn the_data_decides_the_format_and_stays_as_it_is() {
    let png = "data:image/jpeg;base64,iVBORw0KGgoAAAANSUhEUg==";
    assert_eq!(translated(png), Ok(("png", "iVBORw0KGgoAAAANSUhEUg==".to_owned())));
    assert_eq!(translated("DATA:image/JPG;base64,AAAA"), Ok(("jpeg", "AAAA".to_owned())));
    assert_eq!(translated("data:image/png;BASE64,AAAA"), Ok(("png", "AAAA".to_owned())));
    assert_eq!(translated("data:image/webp;x=1;base64,AAA="), Ok(("webp", "AAA=".to_owned())));
}

#[test]
fn links_to_other_content_are_refused_by_their_field() {
    for (url, code) in [
        ("https://example.com/a.png", "invalid_image_url"),
        ("ftp://example.com/a.png", "invalid_image_url"),
        ("s3://bucket/a.png", "unsupported_value"),
        ("data:image/png;base64", "invalid_image_url"),
        ("data:image/png,abc", "invalid_image_url"),
        ("data:image/png;base64,", "image_parse_error"),
        ("data:image/png;base64,AAA", "image_parse_error"),
        ("data:image/png;base64,A=AA", "image_parse_error"),
        ("data:image/png;base64,AA A", "image_parse_error"),
        ("data:image/svg+xml;base64,AAAA", "invalid_image_format"),
        ("data:image/heic;base64,AAAAGGZ0eXBoZWljAAAAAA==", "invalid_image_format"),
        ("data:image/png;base64,AAAAIGZ0eXBpc29tAAAAAA==", "invalid_image_format"),
        ("data:", "invalid_image_url"),
        ("dä", "invalid_image_url"),
    ] {
        assert_eq!(translated(url), Err(("p.image_url.url".to_owned(), code)), "{url}");
    }
}
