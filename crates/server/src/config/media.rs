//! The section on media that a request only links to.

use translate::S3Access;
use translate::s3_access::S3Prefix;

use super::parsers::{self, Expected};
use super::provenance::Show;
use super::section::Section;
use super::yaml_tree::Value;
use crate::media::{MediaSettings, Range};

/// Reads every key of the section.
pub(super) fn read(root: &mut Section<'_>, media: &mut MediaSettings) {
    root.section("media", |section| {
        section.set("fetch", &mut media.fetch, parsers::boolean);
        section.set("allow_http", &mut media.allow_http, parsers::boolean);
        section.set("ports", &mut media.ports, ports);
        section.set("allow_private", &mut media.allow_private, ranges);
        section.set("deny", &mut media.deny, ranges);
        section.set("max_mib", &mut media.max_mib, parsers::mib);
        section.set("max_urls", &mut media.max_urls, parsers::count);
        section.set("timeout", &mut media.timeout, parsers::span);
        section.set("s3_prefixes", &mut media.s3_prefixes, stores);
    });
}

fn list<T>(
    value: &Value,
    expected: Expected,
    read: impl Fn(&Value) -> Option<T>,
) -> Result<Vec<T>, Expected> {
    let Value::List(items) = value else { return Err(expected) };
    items.iter().map(|item| read(&item.value).ok_or(expected)).collect()
}

fn ports(value: &Value) -> Result<Vec<u16>, Expected> {
    list(value, "a list of ports such as [8443]", |item| match item {
        Value::Integer(port) => u16::try_from(*port).ok().filter(|port| *port > 0),
        _ => None,
    })
}

fn ranges(value: &Value) -> Result<Vec<Range>, Expected> {
    list(value, "a list of networks such as [10.1.0.0/16]", |item| match item {
        Value::Text(text) => text.parse().ok(),
        _ => None,
    })
}

fn stores(value: &Value) -> Result<S3Access, Expected> {
    const EXPECTED: Expected = "a list of s3://bucket/path/, or of { prefix: s3://bucket/path/, bucket_owner: \"123456789012\" }";
    list(value, EXPECTED, |item| match item {
        Value::Text(prefix) => {
            is_prefix(prefix).then(|| S3Prefix { prefix: prefix.clone(), bucket_owner: None })
        }
        Value::Map(entries) => {
            let mut store = S3Prefix { prefix: String::new(), bucket_owner: None };
            for (key, node) in entries {
                match (key.name.as_str(), &node.value) {
                    ("prefix", Value::Text(prefix)) => store.prefix.clone_from(prefix),
                    ("bucket_owner", Value::Text(owner)) => {
                        store.bucket_owner = Some(owner.clone()).filter(|owner| is_account(owner));
                        store.bucket_owner.as_ref()?;
                    }
                    _ => return None,
                }
            }
            is_prefix(&store.prefix).then_some(store)
        }
        _ => None,
    })
    .map(S3Access::new)
}

fn is_prefix(text: &str) -> bool {
    text.strip_prefix("s3://")
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphanumeric()))
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

impl Show for Vec<u16> {
    fn show(&self) -> String {
        format!("[{}]", self.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
    }
}

impl Show for Vec<Range> {
    fn show(&self) -> String {
        format!("[{}]", self.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
    }
}

impl Show for S3Access {
    fn show(&self) -> String {
        let prefixes: Vec<_> = self.iter().map(|store| store.prefix.show()).collect();
        format!("[{}]", prefixes.join(", "))
    }
}
