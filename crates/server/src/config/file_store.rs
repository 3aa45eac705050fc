//! The sections on files and batches, which are kept in a bucket of S3.

use std::time::Duration;

use super::parsers::{self, Expected};
use super::provenance::Show;
use super::section::Section;
use super::yaml_tree::Value;
use super::{Config, credentials};
use crate::byte_size::Mib;
use bedrock::AccountSpec;

/// Settings of the store of files.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FileSettings {
    /// The bucket; without one no files are kept.
    pub(crate) bucket: Option<String>,
    /// Beginning of the keys of all objects.
    pub(crate) prefix: String,
    /// Longest file.
    pub(crate) max_mib: Mib,
    /// The account that calls S3.
    pub(crate) place: AccountSpec,
}

/// Settings of batches.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BatchSettings {
    /// The role that Bedrock assumes to read and write records; without one, lines are only run as calls.
    pub(crate) role_arn: Option<String>,
    /// Fewest records of a job, by the account's quota.
    pub(crate) min_records: usize,
    /// The treatment of lines that are too few for a job.
    pub(crate) small: SmallBatches,
    /// Most lines of one batch that are run as calls at a time.
    pub(crate) concurrency: usize,
    /// Most lines of a batch.
    pub(crate) max_lines: usize,
    /// Time between two looks at a job.
    pub(crate) poll: Duration,
}

/// The treatment of lines that are too few for a job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum SmallBatches {
    /// They are run as ordinary calls, at the ordinary price.
    #[default]
    Run,
    /// The batch fails.
    Fail,
}

impl Default for FileSettings {
    fn default() -> Self {
        let prefix = "outcrop/".to_owned();
        Self { bucket: None, prefix, max_mib: Mib::new(512), place: AccountSpec::default() }
    }
}

impl Default for BatchSettings {
    fn default() -> Self {
        Self {
            role_arn: None,
            min_records: 100,
            small: SmallBatches::Run,
            concurrency: 4,
            max_lines: 50_000,
            poll: Duration::from_secs(60),
        }
    }
}

impl SmallBatches {
    fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Fail => "fail",
        }
    }
}

/// The bucket, role and pace of a demonstration, where the operator sets none.
pub(super) fn stay_home(config: &mut Config) {
    let Config { files, batches, .. } = config;
    files.place = AccountSpec { region: files.place.region.take(), ..AccountSpec::default() };
    files.bucket.get_or_insert_with(|| "outcrop-demo".to_owned());
    let role = || "arn:aws:iam::123456789012:role/outcrop-batches".to_owned();
    batches.role_arn.get_or_insert_with(role);
    batches.poll = batches.poll.min(Duration::from_millis(500));
}

/// Reads both sections.
pub(super) fn read(root: &mut Section<'_>, config: &mut Config) {
    let Config { files, batches, .. } = config;
    root.section("files", |section| {
        files.bucket = section.optional("bucket", bucket);
        section.set("prefix", &mut files.prefix, prefix);
        section.set("max_mib", &mut files.max_mib, parsers::mib);
        files.place = credentials::place(section);
    });
    root.section("batches", |section| {
        batches.role_arn = section.optional("role_arn", role);
        section.set("min_records", &mut batches.min_records, |value| {
            parsers::whole(value, 1..=50_000, "a whole number from 1 to 50000")
        });
        section.set("small", &mut batches.small, small);
        section.set("concurrency", &mut batches.concurrency, parsers::count);
        section.set("max_lines", &mut batches.max_lines, |value| {
            parsers::whole(value, 1..=1_000_000, "a whole number from 1 to 1000000")
        });
        section.set("poll", &mut batches.poll, parsers::span);
    });
}

fn bucket(value: &Value) -> Result<String, Expected> {
    let is_plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._".contains(&byte);
    let name = parsers::text(value).ok();
    let name = name.filter(|name| (3..=63).contains(&name.len()) && name.bytes().all(is_plain));
    name.ok_or("the name of a bucket, such as my-files")
}

fn prefix(value: &Value) -> Result<String, Expected> {
    const EXPECTED: Expected =
        "the beginning of keys: letters, digits and -._/ with a slash at the end, such as outcrop/";
    let Value::Text(text) = value else { return Err(EXPECTED) };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._/".contains(&byte);
    let is_prefix = text.is_empty()
        || (text.ends_with('/')
            && text.bytes().all(is_plain)
            && text.trim_end_matches('/').split('/').all(|part| !matches!(part, "" | "." | "..")));
    if is_prefix { Ok(text.clone()) } else { Err(EXPECTED) }
}

fn role(value: &Value) -> Result<String, Expected> {
    let arn = parsers::text(value).ok();
    let arn = arn.filter(|arn| arn.starts_with("arn:aws") && arn.contains(":role/"));
    arn.ok_or("the ARN of a role, such as arn:aws:iam::123456789012:role/batches")
}

fn small(value: &Value) -> Result<SmallBatches, Expected> {
    let words = [SmallBatches::Run, SmallBatches::Fail];
    match value {
        Value::Text(text) => words.into_iter().find(|word| word.name() == text),
        _ => None,
    }
    .ok_or("run or fail")
}

impl Show for SmallBatches {
    fn show(&self) -> String {
        self.name().to_owned()
    }
}
