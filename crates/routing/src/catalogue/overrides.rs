//! Overrides: profile fields that an operator sets for a target. They are laid over the model's row, as
//! `like` lays one row over another.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use toml::{Table, Value};
use translate::Profile;
use translate::profile::PromptCache;

use super::registry::Row;
use super::surfaces::SurfaceRows;

/// The profile field for the operator's choice of prompt caching.
const PROMPT_CACHE: &str = "prompt_cache";

/// Some fields of [`Profile`], validated when they were read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProfileOverrides {
    fields: Table,
    /// Hash of the fields; 0 without fields.
    digest: u64,
}

impl ProfileOverrides {
    /// Adds a field.
    ///
    /// # Errors
    /// The name or value is wrong.
    pub fn set(&mut self, name: &str, value: Value) -> Result<(), String> {
        let alone = Table::from_iter([(name.to_owned(), value.clone())]);
        read(alone)?;
        self.insert(name, value);
        Ok(())
    }

    /// Sets the prompt cache mode.
    pub fn want(&mut self, cache: PromptCache) {
        self.insert(PROMPT_CACHE, Value::String(cache.name().to_owned()));
    }

    fn insert(&mut self, name: &str, value: Value) {
        self.fields.insert(name.to_owned(), value);
        let mut hasher = DefaultHasher::new();
        format!("{:?}", self.fields).hash(&mut hasher);
        self.digest = hasher.finish();
    }

    /// Hash of the overrides, which tells those of one process apart.
    pub(super) fn digest(&self) -> u64 {
        self.digest
    }

    /// Whether [`Self::over`] would return the profile of the row.
    pub(super) fn changes_nothing(
        &self,
        row: &Row,
        geography: Option<&str>,
        cache: PromptCache,
    ) -> bool {
        let is_within = geography.is_some_and(|geography| row.within.contains_key(geography));
        let has_mode =
            row.profile.prompt_cache == cache || row.overrides.contains_key(PROMPT_CACHE);
        self.fields.is_empty() && !is_within && has_mode
    }

    /// The profile of a row, or of no row, with these overrides; called through a geography's inference
    /// profiles, it includes the fields of that geography, and those of its surface. `cache` is the default of
    /// the prompt cache mode.
    pub(super) fn over(
        &self,
        row: Option<&Row>,
        geography: Option<&str>,
        cache: PromptCache,
        surfaces: &SurfaceRows,
    ) -> Profile {
        let mut profile = self.laid_over(row, geography, surfaces);
        let told = row.is_some_and(|row| row.overrides.contains_key(PROMPT_CACHE));
        if !told && !self.fields.contains_key(PROMPT_CACHE) {
            profile.prompt_cache = cache;
        }
        profile
    }

    fn laid_over(
        &self,
        row: Option<&Row>,
        geography: Option<&str>,
        surfaces: &SurfaceRows,
    ) -> Profile {
        let within = row.and_then(|row| row.within.get(geography?));
        if self.fields.is_empty() && within.is_none() {
            return row.map(|row| Profile::clone(&row.profile)).unwrap_or_default();
        }
        let mut overrides = row.map(|row| row.overrides.clone()).unwrap_or_default();
        overrides.extend(
            within.into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())),
        );
        let own = overrides.clone();
        overrides.extend(self.fields.iter().map(|(name, value)| (name.clone(), value.clone())));
        let profile = read(overrides).unwrap_or_else(|error| {
            // Each field was validated by itself, and none depends on another.
            log::error!("a profile cannot be put together: {error}");
            Profile::default()
        });
        surfaces.laid_under(row, &profile, (&own, &self.fields)).unwrap_or(profile)
    }
}

pub(super) fn read(overrides: Table) -> Result<Profile, String> {
    Value::Table(overrides).try_into().map_err(|error: toml::de::Error| error.message().to_owned())
}

#[cfg(test)]
mod tests {
    use translate::profile::{StructuredOutput, ToolChoices};

    use super::super::registry::Registry;
    use super::*;

    #[test]
    fn overrides_replace_single_fields_of_a_row() {
        let row = Registry::open().find("meta.llama3-3-70b-instruct-v1:0").unwrap();
        assert_eq!(row.profile.tool_choice, ToolChoices::Auto);
        let mut overrides = ProfileOverrides::default();
        let none = &SurfaceRows::default();
        assert_eq!(overrides.over(Some(row), None, PromptCache::Auto, none), *row.profile);
        assert!(overrides.changes_nothing(row, None, PromptCache::Auto));
        overrides.set("structured_output", Value::String("native".to_owned())).unwrap();
        assert!(!overrides.changes_nothing(row, None, PromptCache::Auto));
        let profile = overrides.over(Some(row), None, PromptCache::Auto, none);
        assert_eq!(profile.structured_output, StructuredOutput::Native);
        assert_eq!(profile.tool_choice, ToolChoices::Auto, "the row's own stay");
        assert_eq!(
            overrides.over(None, None, PromptCache::Auto, none).structured_output,
            StructuredOutput::Native
        );
    }

    #[test]
    fn the_cache_mode_of_a_target_precedes_the_default() {
        let mut overrides = ProfileOverrides::default();
        let mode = |overrides: &ProfileOverrides| {
            overrides.over(None, None, PromptCache::Off, &SurfaceRows::default()).prompt_cache
        };
        assert_eq!(mode(&overrides), PromptCache::Off);
        overrides.set(PROMPT_CACHE, Value::String("marks".to_owned())).unwrap();
        assert_eq!(mode(&overrides), PromptCache::Marks);
    }

    #[test]
    fn wrong_fields_are_refused_with_a_list_of_valid_ones() {
        let mut overrides = ProfileOverrides::default();
        let error = overrides.set("sytem", Value::Boolean(true)).unwrap_err();
        assert!(error.contains("sytem") && error.contains("tool_choice"), "{error}");
        let error = overrides.set("tool_choice", Value::String("all".to_owned())).unwrap_err();
        assert!(error.contains("all") && error.contains("named"), "{error}");
    }
}
