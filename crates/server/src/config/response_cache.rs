//! The section on kept answers.

use super::problems::Problem;
use super::reader::ConfigReader;
use super::section::Section;
use super::yaml_tree::Value;
use super::{Config, parsers};
use crate::byte_size::Mib;
use crate::master_key::MasterKey;
use crate::reasoning_store::StoreSettings;
use crate::response_cache::{CacheMode, CacheSettings};

/// Reads every key of the section.
pub(super) fn read(root: &mut Section<'_>, settings: &mut CacheSettings) {
    root.section("response_cache", |section| {
        section.set("mode", &mut settings.mode, mode);
        section.set("ttl", &mut settings.ttl, parsers::age);
        section.set("max_mib", &mut settings.max_mib, |value| {
            parsers::whole(value, 1..=65_536, "a whole number from 1 to 65536").map(Mib::new)
        });
        section.set("redis", &mut settings.redis, parsers::boolean);
        if let Some(namespace) = section.optional("namespace", parsers::text) {
            settings.namespace = namespace;
        }
    });
}

fn mode(value: &Value) -> Result<CacheMode, parsers::Expected> {
    match value {
        Value::Text(text) => CacheMode::ALL.into_iter().find(|mode| mode.name() == text),
        // YAML of old reads `off` as false.
        Value::Bool(false) => Some(CacheMode::Off),
        _ => None,
    }
    .ok_or("off, on_request or all")
}

impl Config {
    /// The Redis that keeps answers. Its entries are sealed with a key of the master key, which all replicas have.
    pub(crate) fn answer_store(&self) -> Option<StoreSettings> {
        let settings = &self.response_cache;
        if !settings.redis || settings.mode == CacheMode::Off {
            return None;
        }
        let url = settings.redis_url.clone().or_else(|| self.access.redis_url.clone())?;
        let Some(MasterKey::Key(secret)) = &self.master_key else { return None };
        Some(StoreSettings { url, secret: secret.clone() })
    }

    /// Reports a Redis that is wanted and cannot be used.
    pub(super) fn check_answer_store(&self, reading: &mut ConfigReader) {
        let settings = &self.response_cache;
        if !settings.redis || settings.mode == CacheMode::Off || self.answer_store().is_some() {
            return;
        }
        let message = "response_cache.redis needs the address of a Redis and a master key";
        if settings.is_of_litellm {
            reading.notes.push(format!("{message}: answers are kept in each process alone"));
        } else {
            let remedy =
                "set access.redis_url (or REDIS_URL) and master_key, which seals what lies there";
            reading.problems.add(Problem::general(message.to_owned(), remedy));
        }
    }
}
