//! The few documents of S3 that are read and written. Their elements have no attributes, and those that are read here
//! do not contain themselves.

use super::{ListedObject, ObjectPage};
use crate::error::Failure;

/// Code and message of an error.
pub(crate) fn error(body: &[u8]) -> Option<(String, String)> {
    let text = std::str::from_utf8(body).ok()?;
    let content = elements(text, "Error").next()?;
    Some((text_of(content, "Code")?, text_of(content, "Message").unwrap_or_default()))
}

/// Whether a refusal says that the bucket itself does not exist.
pub(super) fn is_bucket_missing(failure: &Failure) -> bool {
    match failure {
        Failure::Service(refused) => {
            refused.exception.to_string().contains("NoSuchBucket")
                || error(&refused.body).is_some_and(|(code, _)| code == "NoSuchBucket")
        }
        _ => false,
    }
}

/// The id of an upload that was begun.
pub(super) fn upload_id(body: &[u8]) -> Option<String> {
    text_of(std::str::from_utf8(body).ok()?, "UploadId")
}

/// The list of an upload's parts.
pub(super) fn parts(etags: &[String]) -> String {
    let mut text = "<CompleteMultipartUpload>".to_owned();
    for (number, etag) in (1..).zip(etags) {
        let etag = escaped(etag);
        text.push_str(&format!(
            "<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
        ));
    }
    text.push_str("</CompleteMultipartUpload>");
    text
}

/// A page of a list, with the keys below a prefix.
pub(super) fn page(body: &[u8], prefix: &str) -> Option<ObjectPage> {
    let text = std::str::from_utf8(body).ok()?;
    elements(text, "IsTruncated").next()?;
    let objects = elements(text, "Contents").map(|content| {
        let key = decoded(&text_of(content, "Key")?)?;
        let size = text_of(content, "Size")?.parse().ok()?;
        Some(ListedObject { key: key.strip_prefix(prefix)?.to_owned(), size })
    });
    Some(ObjectPage {
        objects: objects.collect::<Option<_>>()?,
        next: text_of(text, "NextContinuationToken"),
    })
}

fn elements<'t>(text: &'t str, name: &str) -> impl Iterator<Item = &'t str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let mut rest = text;
    std::iter::from_fn(move || {
        let (_, after) = rest.split_once(&open)?;
        let (content, after) = after.split_once(&close)?;
        rest = after;
        Some(content)
    })
}

fn text_of(text: &str, name: &str) -> Option<String> {
    elements(text, name).next().map(unescaped)
}

fn unescaped(text: &str) -> String {
    if !text.contains('&') {
        return text.to_owned();
    }
    let plain = text.replace("&quot;", "\"").replace("&#34;", "\"").replace("&apos;", "'");
    plain.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A key of a list that was asked for in encoded form.
fn decoded(text: &str) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'%' => {
                let (digits, after) = rest.split_at_checked(2)?;
                rest = after;
                bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            }
            b'+' => bytes.push(b' '),
            byte => bytes.push(*byte),
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_read_with_their_encoded_keys() {
        let text = "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"x\"><Name>b</Name>\
            <IsTruncated>true</IsTruncated><Contents><Key>p/a%20%C3%BC%2B</Key><Size>7</Size></Contents>\
            <Contents><Key>p/b+c</Key><Size>0</Size></Contents>\
            <NextContinuationToken>t&amp;=</NextContinuationToken></ListBucketResult>";
        let listed = |key: &str, size| ListedObject { key: key.to_owned(), size };
        assert_eq!(
            page(text.as_bytes(), "p/").unwrap(),
            ObjectPage {
                objects: vec![listed("a ü+", 7), listed("b c", 0)],
                next: Some("t&=".to_owned())
            }
        );
        assert_eq!(page(b"<html>", ""), None);
    }

    #[test]
    fn errors_have_a_code() {
        let body = b"<Error><Code>NoSuchKey</Code><Message>a &lt; b</Message></Error>";
        assert_eq!(error(body), Some(("NoSuchKey".to_owned(), "a < b".to_owned())));
        assert_eq!(error(b"{}"), None);
    }
}
