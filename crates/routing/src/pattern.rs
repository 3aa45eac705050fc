//! Names with a `*`: matching callers' names, and the text that the `*` captured.

/// A name with one `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    before: String,
    after: String,
}

impl Pattern {
    /// `None` for a name without `*`.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (before, after) = name.split_once('*')?;
        Some(Self { before: before.to_owned(), after: after.to_owned() })
    }

    /// The text that the `*` captures in `name`, if the pattern matches.
    pub(crate) fn captures<'n>(&self, name: &'n str) -> Option<&'n str> {
        name.strip_prefix(self.before.as_str())?.strip_suffix(self.after.as_str())
    }

    /// Number of literal characters: the pattern with the most is tried first.
    pub(crate) fn spelled_out(&self) -> usize {
        self.before.len() + self.after.len()
    }
}

/// The model that `target` means for a caller's `name` whose `*` captured `captured`.
pub(crate) fn filled(target: &str, name: &str, captured: &str) -> String {
    match target {
        "*" => name.to_owned(),
        _ => target.replacen('*', captured, 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_takes_any_text_and_gives_it_to_the_target() {
        for (pattern, name, captured) in [
            ("claude-*", "claude-3-haiku", Some("3-haiku")),
            ("claude-*", "claude-", Some("")),
            ("claude-*", "nova", None),
            ("*", "any/thing", Some("any/thing")),
            ("bedrock/*", "bedrock/a.b", Some("a.b")),
            ("*-v1", "a-v1", Some("a")),
            ("ab*ba", "aba", None),
        ] {
            assert_eq!(
                Pattern::parse(pattern).unwrap().captures(name),
                captured,
                "{pattern} {name}"
            );
        }
        assert_eq!(Pattern::parse("plain"), None);
        assert_eq!(filled("*", "claude-x", "x"), "claude-x");
        assert_eq!(filled("anthropic.claude-*", "claude-x", "x"), "anthropic.claude-x");
        assert_eq!(filled("amazon.nova-lite-v1:0", "claude-x", "x"), "amazon.nova-lite-v1:0");
    }
}
