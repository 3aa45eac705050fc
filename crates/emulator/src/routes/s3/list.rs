//! ListObjectsV2.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{Denied, ObjectRequest, xml};
use crate::{delivery::Reply, routes::State};

/// Most keys of a page.
const PAGE: usize = 1_000;
/// Characters of a key that its encoded form keeps.
const KEPT: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// Answers a request for a page of the bucket's keys.
pub(super) fn answer(request: &ObjectRequest<'_>, state: &State) -> Result<Reply, Denied> {
    if request.parameter("location").is_some() {
        return Ok(xml::reply(200, "LocationConstraint", ""));
    }
    if request.parameter("list-type") != Some("2") {
        let message = "This emulator lists by ListObjectsV2 only.";
        return Err(Denied::new(501, "NotImplemented", message));
    }
    let most = match request.parameter("max-keys").map(str::parse::<usize>) {
        None => PAGE,
        Some(Ok(most)) => most.min(PAGE),
        Some(Err(_)) => {
            return Err(Denied::new(400, "InvalidArgument", "Provided max-keys not an integer"));
        }
    };
    let prefix = request.parameter("prefix").unwrap_or_default();
    let delimiter = request.parameter("delimiter").filter(|text| !text.is_empty());
    let start = request.parameter("continuation-token").or(request.parameter("start-after"));
    let is_encoded = request.parameter("encoding-type") == Some("url");
    let name = |text: &str| match is_encoded {
        true => utf8_percent_encode(text, KEPT).to_string(),
        false => text.to_owned(),
    };
    let (mut body, mut count, mut last, mut more) = (String::new(), 0, String::new(), false);
    let mut folder: Option<String> = None;
    for (key, object) in state.objects.list(&request.bucket, prefix, start.unwrap_or_default()) {
        let below = delimiter.and_then(|delimiter| {
            let end = key.get(prefix.len()..)?.find(delimiter)?;
            key.get(..prefix.len() + end + delimiter.len())
        });
        if below.is_some() && below == folder.as_deref() {
            last.clone_from(&key);
            continue;
        }
        if count == most {
            more = true;
            break;
        }
        count += 1;
        match below {
            Some(below) => {
                let members = xml::members(&[("Prefix", &name(below))]);
                body.push_str(&format!("<CommonPrefixes>{members}</CommonPrefixes>"));
            }
            None => {
                let members = xml::members(&[
                    ("Key", &name(&key)),
                    ("LastModified", &xml::iso_date(object.modified)),
                    ("ETag", &object.etag),
                    ("Size", &object.body.len().to_string()),
                    ("StorageClass", "STANDARD"),
                ]);
                body.push_str(&format!("<Contents>{members}</Contents>"));
            }
        }
        folder = below.map(ToOwned::to_owned);
        last = key;
    }
    let mut head = xml::members(&[
        ("Name", &request.bucket),
        ("Prefix", &name(prefix)),
        ("MaxKeys", &most.to_string()),
        ("KeyCount", &count.to_string()),
        ("IsTruncated", if more { "true" } else { "false" }),
    ]);
    if is_encoded {
        head.push_str("<EncodingType>url</EncodingType>");
    }
    if more {
        head.push_str(&xml::members(&[("NextContinuationToken", &last)]));
    }
    Ok(xml::reply(200, "ListBucketResult", &format!("{head}{body}")))
}
