//! Names of agents, flows and stored prompts of Bedrock's, which are called like models: `agent/ID/ALIAS`,
//! `flow/ID/ALIAS`, `prompt/ID` and `prompt/ID:VERSION`, or the ARN of a prompt.

use std::borrow::Cow;

use toml::Value;
use translate::stored_prompt;

use super::id::{Arn, ArnKind, Id};
use super::overrides::ProfileOverrides;

/// First segments, and the surfaces that they name.
const KINDS: [(&str, &str); 2] = [("agent/", "agent"), ("flow/", "flow")];
/// Longest id of an agent, a flow or an alias.
const LONGEST: usize = 10;
/// The surface of stored prompts.
const PROMPT: &str = "prompt";
/// Longest version of a prompt.
const LONGEST_VERSION: usize = 5;

/// A stored prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Prompt<'n> {
    pub(super) id: &'n str,
    /// The draft if there is none.
    pub(super) version: Option<&'n str>,
}

/// The stored prompt of an id or ARN, if it is one.
pub(super) fn prompt<'n>(id: &Id<'n>) -> Option<Prompt<'n>> {
    let rest = match *id {
        Id::Arn(Arn { kind: ArnKind::Prompt, resource, .. }) => resource,
        Id::Model(text) => text.strip_prefix(stored_prompt::PREFIX)?,
        Id::Arn(_) | Id::Profile { .. } => return None,
    };
    let (id, version) = match rest.split_once(':') {
        Some((id, version)) => (id, Some(version)),
        None => (rest, None),
    };
    let is_number = |text: &str| {
        (1..=LONGEST_VERSION).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
    };
    (stored_prompt::is_id(id) && version.is_none_or(is_number)).then_some(Prompt { id, version })
}

/// The surface of an id, if it is one of an agent, a flow or a prompt.
pub(super) fn surface(id: &Id<'_>) -> Option<&'static str> {
    if prompt(id).is_some() {
        return Some(PROMPT);
    }
    let Id::Model(name) = id else { return None };
    let (rest, surface) =
        KINDS.iter().find_map(|(kind, surface)| Some((name.strip_prefix(kind)?, *surface)))?;
    let (id, alias) = rest.split_once('/')?;
    (is_id(id) && is_id(alias)).then_some(surface)
}

/// Whether a text is an id of an agent, a flow or an alias.
fn is_id(text: &str) -> bool {
    (1..=LONGEST).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// The operator's fields of a profile, with the surface of an agent, a flow or a prompt.
pub(super) fn accepts<'o>(id: &Id<'_>, own: &'o ProfileOverrides) -> Cow<'o, ProfileOverrides> {
    let Some(surface) = surface(id) else { return Cow::Borrowed(own) };
    let mut accepts = own.clone();
    match accepts.set("surface", Value::String(surface.to_owned())) {
        Ok(()) => Cow::Owned(accepts),
        Err(error) => {
            log::error!("a surface cannot be set: {error}");
            Cow::Borrowed(own)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::id::Name;
    use super::*;

    #[test]
    fn agents_flows_and_prompts_are_named_by_their_ids() {
        for (name, expected) in [
            ("agent/ABCDEFGHIJ/TSTALIASID", Some("agent")),
            ("flow/ABCDEFGHIJ/A", Some("flow")),
            ("agent/ABCDEFGHIJ", None),
            ("agent/ABCDEFGHIJ/", None),
            ("agent/A/B/C", None),
            ("agent/../TSTALIASID", None),
            ("agent/ABCDEFGHIJK/A", None),
            ("agents/A/B", None),
            ("prompt/ABCDEFGHIJ", Some("prompt")),
            ("prompt/ABCDEFGHIJ:12", Some("prompt")),
            ("prompt/ABCDEFGHIJ:DRAFT", None),
            ("prompt/ABCDEFGHIJ:", None),
            ("prompt/ABCDEFGHI", None),
            ("arn:aws:bedrock:us-east-1:123456789012:prompt/ABCDEFGHIJ:1", Some("prompt")),
            ("arn:aws:bedrock:us-east-1:123456789012:prompt-router/ABCDEFGHIJ", None),
            ("nova-lite", None),
        ] {
            assert_eq!(surface(&Name::parse(name).id), expected, "{name}");
        }
    }
}
