//! Profile fields that differ where a model is called in an API of another surface than Converse: those of the
//! API, from the table `surfaces` of `config/models.toml`, and a row's own, from its table `on`.

use std::collections::BTreeMap;

use toml::{Table, Value};
use translate::Profile;
use translate::profile::{Surface, SurfaceApi};

use super::overrides::read;
use super::registry::{EVIDENCE, PROFILE, Row};

/// The name of the fields of stored prompts, which are called by Converse.
const PROMPT: &str = "prompt";

/// The profile fields of each API, by its name.
#[derive(Debug, Clone, Default)]
pub(super) struct SurfaceRows(BTreeMap<String, Table>);

impl SurfaceRows {
    /// Reads the table `surfaces`.
    ///
    /// # Errors
    /// An API is unknown, or its row has no evidence or a wrong field.
    pub(super) fn read(written: BTreeMap<String, Table>) -> Result<Self, String> {
        let mut rows = BTreeMap::new();
        for (api, mut row) in written {
            let named = |error: String| format!("surfaces.{api}: {error}");
            row.remove(EVIDENCE).ok_or_else(|| named("evidence is missing".to_owned()))?;
            let profile = match row.remove(PROFILE) {
                Some(Value::Table(profile)) if row.is_empty() => profile,
                _ => return Err(named("a row holds profile and evidence".to_owned())),
            };
            check(&api, &profile).map_err(named)?;
            rows.insert(api, profile);
        }
        Ok(Self(rows))
    }

    /// The profile of a row, on the surface that the row names.
    pub(super) fn profile_of(&self, row: &Row) -> Profile {
        self.laid_under(Some(row), &row.profile, (&row.overrides, &Table::new()))
            .unwrap_or_else(|| Profile::clone(&row.profile))
    }

    /// The profile with the fields of its surface: they go over the row's `own`, and under those of the
    /// operator. `None` on Converse, where there are none.
    pub(super) fn laid_under(
        &self,
        row: Option<&Row>,
        profile: &Profile,
        (own, operators): (&Table, &Table),
    ) -> Option<Profile> {
        if profile.surface == Surface::Converse {
            return None;
        }
        let endpoint = profile.surface_endpoint().or(profile.messages_endpoint());
        let api = match profile.surface {
            Surface::Prompt => PROMPT,
            _ => endpoint.map_or(SurfaceApi::Messages, |endpoint| endpoint.api).name(),
        };
        let mut fields = own.clone();
        let on = row.and_then(|row| row.on.get(api));
        for table in [self.0.get(api), on, Some(operators)].into_iter().flatten() {
            fields.extend(table.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
        // Each field was validated by itself.
        read(fields).map_err(|error| log::error!("a profile cannot be put together: {error}")).ok()
    }
}

/// Checks the fields for an API.
///
/// # Errors
/// There is no such API, or a field is wrong.
pub(super) fn check(api: &str, profile: &Table) -> Result<(), String> {
    let names = [
        SurfaceApi::Chat,
        SurfaceApi::Responses,
        SurfaceApi::Messages,
        SurfaceApi::Agent,
        SurfaceApi::Flow,
    ]
    .map(SurfaceApi::name);
    if api != PROMPT && !names.contains(&api) {
        return Err(format!("there is no such API; name {} or {PROMPT}", names.join(", ")));
    }
    read(profile.clone()).map(|_| ())
}

#[cfg(test)]
mod tests {
    use translate::profile::{GuardrailPlace, PromptCache, Replay, StructuredOutput};

    use super::super::overrides::ProfileOverrides;
    use super::super::registry::Registry;
    use super::*;

    fn on_mantle(id: &str, more: &[(&str, &str)]) -> Profile {
        let registry = Registry::open();
        let mut overrides = ProfileOverrides::default();
        for (name, value) in [("surface", "mantle")].iter().chain(more) {
            overrides.set(name, Value::String((*value).to_owned())).unwrap();
        }
        overrides.over(registry.find(id), None, PromptCache::Auto, registry.surfaces())
    }

    #[test]
    fn a_surface_changes_a_profile_below_the_operators_word() {
        let converse = &Registry::open().find("openai.gpt-6-sol").unwrap().profile;
        assert_eq!(converse.guardrail, GuardrailPlace::OnCall);
        let mantle = on_mantle("openai.gpt-6-sol", &[]);
        assert_eq!(mantle.surface_endpoint().unwrap().api, SurfaceApi::Responses);
        assert_eq!(mantle.guardrail, GuardrailPlace::Around);
        assert_eq!(mantle.structured_output, StructuredOutput::Native);
        assert_eq!(mantle.efforts, converse.efforts, "the model's own fields stay");
        let told = on_mantle("openai.gpt-6-sol", &[("structured_output", "forced_tool")]);
        assert_eq!(told.structured_output, StructuredOutput::ForcedTool);
    }

    #[test]
    fn a_row_has_fields_of_its_own_on_a_surface() {
        assert_eq!(on_mantle("openai.gpt-6-sol", &[]).replay, Replay::Redacted);
        assert_eq!(on_mantle("openai.gpt-oss-20b-1:0", &[]).replay, Replay::Never);
    }

    #[test]
    fn wrong_rows_are_refused() {
        let row = |text: &str| {
            let rows: BTreeMap<String, Table> = toml::from_str(text).unwrap();
            SurfaceRows::read(rows).map(|_| ()).unwrap_err()
        };
        assert!(row("[chat]\nprofile = { seed = true }").contains("evidence"));
        assert!(row("[chat]\nevidence = []\nprofile = { sed = true }").contains("sed"));
        assert!(row("[talk]\nevidence = []\nprofile = { seed = true }").contains("responses"));
    }
}
