//! Knobs of a profile that an operator sets for a target: they are laid over the model's row, as
//! `like` lays one row over another.

use toml::{Table, Value};
use translate::Profile;
use translate::profile::PromptCache;

use super::book::Row;

/// The knob that is the operator's wish.
const PROMPT_CACHE: &str = "prompt_cache";

/// Some knobs of [`Profile`], judged when they were read.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Knobs(Table);

impl Knobs {
    /// Adds a knob.
    ///
    /// # Errors
    /// What is wrong with its name or value.
    pub(crate) fn set(&mut self, name: &str, value: Value) -> Result<(), String> {
        let alone = Table::from_iter([(name.to_owned(), value.clone())]);
        read(alone)?;
        self.0.insert(name.to_owned(), value);
        Ok(())
    }

    /// Sets what is wanted of the prompt cache.
    pub(crate) fn want(&mut self, cache: PromptCache) {
        self.0.insert(PROMPT_CACHE.to_owned(), Value::String(cache.name().to_owned()));
    }

    /// The profile of a row, or of no row, through the inference profiles of a geography if it is called so,
    /// with these knobs; `cache` holds unless they, or the row, say
    /// otherwise.
    pub(super) fn over(
        &self,
        row: Option<&Row>,
        geography: Option<&str>,
        cache: PromptCache,
    ) -> Profile {
        let mut profile = self.laid_over(row, geography);
        let told = row.is_some_and(|row| row.knobs.contains_key(PROMPT_CACHE));
        if !told && !self.0.contains_key(PROMPT_CACHE) {
            profile.prompt_cache = cache;
        }
        profile
    }

    fn laid_over(&self, row: Option<&Row>, geography: Option<&str>) -> Profile {
        let within = row.and_then(|row| row.within.get(geography?));
        if self.0.is_empty() && within.is_none() {
            return row.map(|row| row.profile.clone()).unwrap_or_default();
        }
        let mut knobs = row.map(|row| row.knobs.clone()).unwrap_or_default();
        knobs.extend(
            within.into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())),
        );
        knobs.extend(self.0.iter().map(|(name, value)| (name.clone(), value.clone())));
        read(knobs).unwrap_or_else(|error| {
            // Each knob was judged by itself, and none depends on another.
            log::error!("a profile cannot be put together: {error}");
            Profile::default()
        })
    }
}

pub(super) fn read(knobs: Table) -> Result<Profile, String> {
    Value::Table(knobs).try_into().map_err(|error: toml::de::Error| error.message().to_owned())
}

#[cfg(test)]
mod tests {
    use translate::profile::{StructuredOutput, ToolChoices};

    use super::super::book::Book;
    use super::*;

    #[test]
    fn knobs_lie_over_a_row_one_by_one() {
        let row = Book::open().find("meta.llama3-3-70b-instruct-v1:0").unwrap();
        assert_eq!(row.profile.tool_choice, ToolChoices::Auto);
        let mut knobs = Knobs::default();
        assert_eq!(knobs.over(Some(row), None, PromptCache::Auto), row.profile);
        knobs.set("structured_output", Value::String("native".to_owned())).unwrap();
        let profile = knobs.over(Some(row), None, PromptCache::Auto);
        assert_eq!(profile.structured_output, StructuredOutput::Native);
        assert_eq!(profile.tool_choice, ToolChoices::Auto, "the row's own stay");
        assert_eq!(
            knobs.over(None, None, PromptCache::Auto).structured_output,
            StructuredOutput::Native
        );
    }

    #[test]
    fn the_wish_of_a_target_comes_before_the_one_of_all() {
        let mut knobs = Knobs::default();
        assert_eq!(knobs.over(None, None, PromptCache::Off).prompt_cache, PromptCache::Off);
        knobs.set(PROMPT_CACHE, Value::String("marks".to_owned())).unwrap();
        assert_eq!(knobs.over(None, None, PromptCache::Off).prompt_cache, PromptCache::Marks);
    }

    #[test]
    fn wrong_knobs_are_refused_with_what_is_known() {
        let mut knobs = Knobs::default();
        let error = knobs.set("sytem", Value::Boolean(true)).unwrap_err();
        assert!(error.contains("sytem") && error.contains("tool_choice"), "{error}");
        let error = knobs.set("tool_choice", Value::String("all".to_owned())).unwrap_err();
        assert!(error.contains("all") && error.contains("named"), "{error}");
    }
}
