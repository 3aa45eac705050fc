//! `models:`, what names mean. An alias stands for an id or a short name, never for another alias, so
//! that one look tells where a name leads.

use super::fields::{self, Fields};
use super::tree::Value;
use crate::catalogue::{CrossRegion, EolAliases, ModelSettings};

/// Longest id Bedrock takes, in characters.
const LONGEST: usize = 2048;

/// Reads the section.
pub(super) fn read(section: &mut Fields<'_>, models: &mut ModelSettings) {
    section.set("cross_region", &mut models.cross_region, |value| match value {
        Value::Text(text) if text == "always" => Ok(CrossRegion::Always),
        Value::Text(text) if text == "auto" => Ok(CrossRegion::Auto),
        Value::Text(text) if text == "never" => Ok(CrossRegion::Never),
        _ => Err("always, auto or never"),
    });
    section.set("eol_aliases", &mut models.eol_aliases, |value| match value {
        Value::Text(text) if text == "send" => Ok(EolAliases::Send),
        Value::Text(text) if text == "remap" => Ok(EolAliases::Remap),
        _ => Err("send or remap"),
    });
    let aliases = &mut models.aliases;
    section.entries("aliases", |names, name, value| {
        let id = fields::text(value)
            .map_err(|expected| (format!("is {}", value.kind()), format!("give {expected}")))?;
        if name.is_empty() || id.chars().count() > LONGEST {
            let wrong = format!("is an empty name, or one for more than {LONGEST} characters");
            return Err((wrong, "give a name and an id".to_owned()));
        }
        if names.iter().any(|other| other.name == id) {
            let wrong = format!("stands for {id}, which is an alias too");
            return Err((wrong, "name the model itself".to_owned()));
        }
        aliases.insert(name.to_owned(), id);
        Ok(())
    });
}
