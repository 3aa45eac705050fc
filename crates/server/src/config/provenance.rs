//! Values of the configuration, key by key, with the source of each: for `outcrop check`. Secrets are
//! masked.

use std::fmt;
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroU64};
use std::path::{Path, PathBuf};
use std::time::Duration;

use schema::openai::moderations::Category;
use translate::Unsupported;
use translate::profile::PromptCache;

use super::UsageCost;
use super::parsers::UNLIMITED;
use crate::byte_size::Mib;
use crate::guardrail_api::CheckScope;
use crate::native::s3::NativeS3;
use crate::native::settings::{NativeErrors, OtherModels};
use crate::telemetry::request_log::S3Place;
use bedrock::{AccountSecret, Service};

use crate::response_cache::CacheMode;
use routing::catalogue::{CrossRegion, EolAliases};
use routing::{
    Affinity, GuardrailMode, HedgeDelay, Strategy, TagFilter, Thousandths, Unlisted, Weight,
};

/// Every key that was read or has a default, in the order of the documentation.
#[derive(Clone, Default)]
pub(crate) struct Provenance(Vec<Entry>);

/// By hand: what counts is in the configuration itself.
impl fmt::Debug for Provenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ledger")
    }
}

/// One key.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    /// The value as YAML would write it; secrets are masked.
    pub(crate) value: String,
    pub(crate) origin: ValueOrigin,
}

/// The source of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) key: String,
    pub(crate) text: String,
}

/// The source of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ValueOrigin {
    Flag(&'static str),
    Environment(String),
    /// File and line, from 1.
    File(PathBuf, u64),
    Default,
}

impl ValueOrigin {
    pub(super) fn line(file: &Path, line: u64) -> Self {
        Self::File(file.to_owned(), line)
    }
}

impl fmt::Display for ValueOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => write!(f, "flag {name}"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::File(file, line) => write!(f, "{}:{line}", file.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

impl Provenance {
    /// Notes a key; an earlier entry under the same key is replaced.
    pub(super) fn tell(&mut self, key: &str, value: String, origin: ValueOrigin) {
        match self.0.iter_mut().find(|told| told.key == key) {
            Some(told) => (told.value, told.origin) = (value, origin),
            None => self.0.push(Entry { key: key.to_owned(), value, origin }),
        }
    }

    /// The differences from an earlier one, each in a few words. Changed secrets look alike.
    pub(crate) fn changes(&self, before: &Self) -> Vec<Change> {
        let find =
            |provenance: &Self, key: &str| provenance.0.iter().position(|told| told.key == key);
        let mut changes = Vec::new();
        for Entry { key, value, .. } in &self.0 {
            let earlier = find(before, key).and_then(|at| before.0.get(at));
            let text = match earlier {
                Some(told) if told.value == *value => continue,
                Some(told) => format!("{key}: {} -> {value}", told.value),
                None => format!("{key}: {value} is new"),
            };
            changes.push(Change { key: key.clone(), text });
        }
        for Entry { key, .. } in before.0.iter().filter(|told| find(self, &told.key).is_none()) {
            changes.push(Change { key: key.clone(), text: format!("{key} is gone") });
        }
        changes
    }

    /// Origin of a key.
    pub(crate) fn origin(&self, key: &str) -> Option<&ValueOrigin> {
        self.0.iter().find(|told| told.key == key).map(|told| &told.origin)
    }

    /// Every key.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.0.iter()
    }
}

/// A value that can be shown to operators.
pub(super) trait Show {
    /// The value as YAML would write it, in one line.
    fn show(&self) -> String;
}

impl<T: Show> Show for Option<T> {
    fn show(&self) -> String {
        self.as_ref().map_or_else(|| "null".to_owned(), Show::show)
    }
}

impl Show for AccountSecret {
    fn show(&self) -> String {
        "[secret]".to_owned()
    }
}

impl Show for String {
    /// Quotes text that YAML would read as another type.
    fn show(&self) -> String {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._/:@+".contains(c);
        let is_plain = self.chars().all(plain)
            && self.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
            && !self.ends_with(':')
            && !matches!(self.as_str(), "true" | "false" | "null" | "yes" | "no" | "on" | "off");
        if is_plain { self.clone() } else { serde_json::Value::from(self.as_str()).to_string() }
    }
}

impl Show for SocketAddr {
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Show for PathBuf {
    fn show(&self) -> String {
        self.display().to_string().show()
    }
}

impl Show for S3Place {
    fn show(&self) -> String {
        self.address().show()
    }
}

impl Show for Vec<Service> {
    fn show(&self) -> String {
        let names: Vec<_> = self.iter().map(|service| service.host_label()).collect();
        format!("[{}]", names.join(", "))
    }
}

impl Show for NativeS3 {
    fn show(&self) -> String {
        self.name().to_owned()
    }
}

impl Show for NativeErrors {
    fn show(&self) -> String {
        self.name().to_owned()
    }
}

impl Show for OtherModels {
    fn show(&self) -> String {
        self.name().to_owned()
    }
}

impl Show for bool {
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Show for Mib {
    fn show(&self) -> String {
        self.count().to_string()
    }
}

impl Show for usize {
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Show for u8 {
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Show for u32 {
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Show for NonZeroU32 {
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Show for NonZeroU64 {
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Show for Vec<String> {
    fn show(&self) -> String {
        format!("[{}]", self.iter().map(Show::show).collect::<Self>().join(", "))
    }
}

impl Show for Thousandths {
    fn show(&self) -> String {
        (f64::from(self.0) / 1000.0).to_string()
    }
}

impl Show for HedgeDelay {
    fn show(&self) -> String {
        match self {
            Self::Fixed(delay) => delay.show(),
            Self::Percentile(percentage) => format!("p{percentage}"),
        }
    }
}

impl Show for CacheMode {
    fn show(&self) -> String {
        self.name().to_owned()
    }
}

impl Show for Strategy {
    fn show(&self) -> String {
        match self {
            Self::Weighted => "weighted",
            Self::LeastBusy => "least_busy",
            Self::Latency => "latency",
            Self::Usage => "usage",
            Self::Order => "order",
        }
        .to_owned()
    }
}

impl Show for TagFilter {
    fn show(&self) -> String {
        match self {
            Self::Off => "off",
            Self::Any => "any",
            Self::All => "all",
        }
        .to_owned()
    }
}

impl Show for Unsupported {
    fn show(&self) -> String {
        self.name().to_owned()
    }
}

impl Show for CheckScope {
    fn show(&self) -> String {
        match self {
            Self::Content => "false",
            Self::ContentAndAttacks => "true",
        }
        .to_owned()
    }
}

impl Show for Category {
    fn show(&self) -> String {
        self.name().to_owned()
    }
}

impl Show for Affinity {
    fn show(&self) -> String {
        match self {
            Self::On => "on",
            Self::Off => "off",
        }
        .to_owned()
    }
}

impl Show for Duration {
    fn show(&self) -> String {
        // Written the way it is read back.
        let seconds = if *self == UNLIMITED { 0.0 } else { self.as_secs_f64() };
        seconds.to_string()
    }
}

impl Show for Weight {
    fn show(&self) -> String {
        (f64::from(self.0) / 1000.0).to_string()
    }
}

impl Show for PromptCache {
    fn show(&self) -> String {
        self.name().to_owned()
    }
}

impl Show for CrossRegion {
    fn show(&self) -> String {
        match self {
            Self::Always => "always",
            Self::Auto => "auto",
            Self::Never => "never",
        }
        .to_owned()
    }
}

impl Show for EolAliases {
    fn show(&self) -> String {
        match self {
            Self::Send => "send",
            Self::Remap => "remap",
        }
        .to_owned()
    }
}

impl Show for UsageCost {
    fn show(&self) -> String {
        match self {
            Self::Hidden => "false",
            Self::Shown => "true",
        }
        .to_owned()
    }
}

impl Show for Unlisted {
    fn show(&self) -> String {
        match self {
            Self::Served => "false",
            Self::Refused => "true",
        }
        .to_owned()
    }
}

impl Show for GuardrailMode {
    fn show(&self) -> String {
        match self {
            Self::Default => "default",
            Self::Mandatory => "mandatory",
        }
        .to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_entry_of_a_key_counts() {
        let mut provenance = Provenance::default();
        provenance.tell("a", "1".to_owned(), ValueOrigin::Default);
        provenance.tell("b", "2".to_owned(), ValueOrigin::line(Path::new("f"), 3));
        provenance.tell("a", "4".to_owned(), ValueOrigin::Flag("--a"));
        let told: Vec<String> =
            provenance.iter().map(|t| format!("{}={} {}", t.key, t.value, t.origin)).collect();
        assert_eq!(told, ["a=4 flag --a", "b=2 f:3"]);
    }

    #[test]
    fn changes_are_told_by_key() {
        let (mut before, mut after) = (Provenance::default(), Provenance::default());
        for (key, value) in [("a", "1"), ("b", "2"), ("c", "3")] {
            before.tell(key, value.to_owned(), ValueOrigin::Default);
        }
        for (key, value) in [("a", "1"), ("b", "4"), ("d", "5")] {
            after.tell(key, value.to_owned(), ValueOrigin::Flag("--x"));
        }
        let texts: Vec<String> =
            after.changes(&before).into_iter().map(|change| change.text).collect();
        assert_eq!(texts, ["b: 2 -> 4", "d: 5 is new", "c is gone"]);
        assert_eq!(after.changes(&after), []);
    }

    #[test]
    fn text_that_yaml_would_misread_is_quoted() {
        for (text, shown) in
            [("us-east-1", "us-east-1"), ("0123", "\"0123\""), ("no", "\"no\""), ("a b", "\"a b\"")]
        {
            assert_eq!(text.to_owned().show(), shown);
        }
        assert_eq!(Duration::from_millis(500).show(), "0.5");
        assert_eq!(Weight(1500).show(), "1.5");
    }
}
