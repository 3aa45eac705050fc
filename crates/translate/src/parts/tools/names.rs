//! Names and ids. Bedrock's patterns are narrower than what clients use, so what does not fit is
//! renamed by a rule that needs no memory: the same name always becomes the same name, in tools, in
//! history and in answers. What an answer needs to be told back is noted beside.

use std::borrow::Cow;
use std::collections::HashMap;

use super::form::Form;
use crate::profile::ToolNames;

/// What answers must know of the tools that were sent, by the names they were sent under.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    /// As sent: as the client said it.
    renamed: HashMap<String, String>,
    /// Tools whose input travels in other clothes.
    forms: HashMap<String, Form>,
    /// Tools that the service runs.
    hosted: Vec<String>,
}

impl Names {
    /// The client's name of a tool that Bedrock calls `sent`.
    pub(crate) fn original<'n>(&'n self, sent: &'n str) -> &'n str {
        self.renamed.get(sent).map_or(sent, String::as_str)
    }

    /// How the input of a tool that Bedrock calls `sent` travels.
    pub(crate) fn form(&self, sent: &str) -> Form {
        self.forms.get(sent).copied().unwrap_or_default()
    }

    /// Whether the service runs the tool that it calls `sent`.
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

/// A tool name within `[a-zA-Z0-9_-]{1,64}`, or narrower where the model cannot call it otherwise.
pub(crate) fn sent_name(name: &str, names: ToolNames) -> Cow<'_, str> {
    let hyphens = names == ToolNames::Any;
    fit(name, |c| c.is_ascii_alphanumeric() || c == '_' || (hyphens && c == '-'))
}

/// A text of these characters and up to 64 bytes, or what it is shortened to.
pub(super) fn fit(text: &str, allowed: impl Fn(char) -> bool) -> Cow<'_, str> {
    if (1..=NAME_LIMIT).contains(&text.len()) && text.chars().all(&allowed) {
        return Cow::Borrowed(text);
    }
    let suffix = format!("_{:08x}", digest(text));
    let kept = text.chars().map(|c| if allowed(c) { c } else { '_' });
    Cow::Owned(kept.take(NAME_LIMIT - suffix.len()).chain(suffix.chars()).collect())
}

/// FNV-1a, folded: names apart that look alike once their odd characters are gone. Not secret.
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
    fn names_that_fit_stay_and_others_are_told_apart() {
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
