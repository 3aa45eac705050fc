//! Names of agents and flows of Bedrock's, which are called like models: `agent/ID/ALIAS` and `flow/ID/ALIAS`.

use std::borrow::Cow;

use toml::Value;

use super::overrides::ProfileOverrides;

/// First segments, and the surfaces that they name.
const KINDS: [(&str, &str); 2] = [("agent/", "agent"), ("flow/", "flow")];
/// Longest id of an agent, a flow or an alias.
const LONGEST: usize = 10;

/// The surface of a name, if it is one of an agent or a flow.
pub(super) fn surface(name: &str) -> Option<&'static str> {
    let (rest, surface) =
        KINDS.iter().find_map(|(kind, surface)| Some((name.strip_prefix(kind)?, *surface)))?;
    let (id, alias) = rest.split_once('/')?;
    let is_id = |text: &str| {
        (1..=LONGEST).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    (is_id(id) && is_id(alias)).then_some(surface)
}

/// The operator's fields of a profile, with the surface of an agent or a flow.
pub(super) fn accepts<'o>(name: &str, own: &'o ProfileOverrides) -> Cow<'o, ProfileOverrides> {
    let Some(surface) = surface(name) else { return Cow::Borrowed(own) };
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
    use super::*;

    #[test]
    fn agents_and_flows_are_named_by_id_and_alias() {
        for (name, expected) in [
            ("agent/ABCDEFGHIJ/TSTALIASID", Some("agent")),
            ("flow/ABCDEFGHIJ/A", Some("flow")),
            ("agent/ABCDEFGHIJ", None),
            ("agent/ABCDEFGHIJ/", None),
            ("agent/A/B/C", None),
            ("agent/../TSTALIASID", None),
            ("agent/ABCDEFGHIJK/A", None),
            ("agents/A/B", None),
            ("nova-lite", None),
        ] {
            assert_eq!(surface(name), expected, "{name}");
        }
    }
}
