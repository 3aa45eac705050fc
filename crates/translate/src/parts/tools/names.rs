//! Names and ids. Bedrock's patterns are narrower than the clients', so other names are converted
//! by a stateless rule: the same name always gives the same result, in tools, in history and in
//! answers. The original names are noted for the answer.

use std::borrow::Cow;
use std::collections::HashMap;

use super::form::Form;
use crate::profile::ToolNames;

/// Facts about the sent tools for the answer half, by their sent names.
#[derive(Debug, Clone, Default)]
pub(crate) struct SentToolNames {
    /// The client's name for each sent name.
    renamed: HashMap<String, String>,
    /// Tools whose input is wrapped.
    forms: HashMap<String, Form>,
    /// Tools that the service runs.
    hosted: Vec<String>,
}

impl SentToolNames {
    /// The client's name of the tool sent as `sent`.
    pub(crate) fn original<'n>(&'n self, sent: &'n str) -> &'n str {
        self.renamed.get(sent).map_or(sent, String::as_str)
    }

    /// The form in which the input of the tool sent as `sent` is sent.
    pub(crate) fn form(&self, sent: &str) -> Form {
        self.forms.get(sent).copied().unwrap_or_default()
    }

    /// Returns whether the service runs the tool sent as `sent`.
    pub(crate) fn is_hosted(&self, sent: &str) -> bool {
        self.hosted.iter().any(|name| name == sent)
    }

    pub(super) fn note_hosted(&mut self, name: &str) {
        self.hosted.push(name.to_owned());
    }

    pub(super) fn note(&mut self, sent: &str, original: &str) {
        if sent != original && !self.renamed.contains_key(sent) {
            self.renamed.insert(sent.to_owned(), original.to_owned());
        }
    }

    pub(crate) fn note_form(&mut self, sent: &str, form: Form) {
        if form != Form::Plain {
            self.forms.insert(sent.to_owned(), form);
        }
    }
}

const NAME_LIMIT: usize = 64;

/// A tool name within `[a-zA-Z0-9_-]{1,64}`, or narrower where the model requires it.
pub(crate) fn sent_name(name: &str, names: ToolNames) -> Cow<'_, str> {
    let hyphens = names == ToolNames::Any;
    fit(name, |c| c.is_ascii_alphanumeric() || c == '_' || (hyphens && c == '-'))
}

/// The text if it has only allowed characters and at most 64 bytes, else a shortened form.
pub(super) fn fit(text: &str, allowed: impl Fn(char) -> bool) -> Cow<'_, str> {
    if (1..=NAME_LIMIT).contains(&text.len()) && text.chars().all(&allowed) {
        return Cow::Borrowed(text);
    }
    let suffix = format!("_{:08x}", digest(text));
    let kept = text.chars().map(|c| if allowed(c) { c } else { '_' });
    Cow::Owned(kept.take(NAME_LIMIT - suffix.len()).chain(suffix.chars()).collect())
}

/// FNV-1a, folded: keeps names distinct that become equal without their refused characters. Not
/// secret.
pub(super) fn digest(text: &str) -> u32 {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let bytes = hash.to_be_bytes();
    u32::from_be_bytes([
        bytes[0] ^ bytes[4],
        bytes[1] ^ bytes[5],
        bytes[2] ^ bytes[6],
        bytes[3] ^ bytes[7],
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_fit_stay_and_others_stay_distinct() {
        let any = |name: &str| sent_name(name, ToolNames::Any).into_owned();
        assert_eq!(any("get_weather-2"), "get_weather-2");
        let (dotted, slashed) = (any("files.read"), any("files/read"));
        assert!(dotted.starts_with("files_read_") && slashed.starts_with("files_read_"));
        assert_ne!(dotted, slashed);
        let long = "x".repeat(65);
        assert_eq!(any(&long).len(), 64);
        assert_ne!(any(&long), any(&"x".repeat(66)));
        assert_eq!(any("é").len(), 10);
    }

    #[test]
    fn some_models_can_call_no_name_with_a_hyphen() {
        let sent = |name: &str| sent_name(name, ToolNames::NoHyphens).into_owned();
        assert_eq!(sent("get_weather_2"), "get_weather_2");
        for hyphened in ["get-weather", "mcp-server-github_list-issues", "-", &"a-".repeat(40)] {
            let name = sent(hyphened);
            assert!(!name.contains('-') && (1..=64).contains(&name.len()), "{name}");
            assert_eq!(sent(hyphened), name);
        }
        assert_ne!(sent("get-weather"), sent("get_weather"));
        assert_ne!(sent("get-weather_x"), sent("get_weather-x"));
    }
}
