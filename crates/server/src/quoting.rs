//! Limits on the caller's text that an error quotes. Names and values may be megabytes long.

use std::borrow::Cow;

/// Most characters of one quoted text, and of a path to a field.
const QUOTED: usize = 200;
/// Most bytes of an id.
const ID: usize = 100;
/// Most bytes of a message. A longer one, which quotes many texts or text outside quotes, is cut in the
/// middle, because its advice is at the end.
const MESSAGE: usize = 1_600;
/// Bytes kept at the end of a cut message.
const END: usize = 400;

/// A message in which no quoted text is long.
pub(crate) fn message(text: Cow<'static, str>) -> Cow<'static, str> {
    if text.len() <= QUOTED {
        return text;
    }
    let text = shorten_quotes(&text).map_or(text, Cow::Owned);
    if text.len() <= MESSAGE {
        return text;
    }
    let start = text.floor_char_boundary(MESSAGE - END);
    let end = text.ceil_char_boundary(text.len() - END);
    Cow::Owned(format!("{} … {}", &text[..start], &text[end..]))
}

/// A path, or the beginning of a long one: it may hold a caller's own names.
pub(crate) fn path(text: &str) -> String {
    beginning(text).map_or_else(|| text.to_owned(), |(beginning, _)| format!("{beginning}…"))
}

/// An id, or the beginning of a long one.
pub(crate) fn id(text: &str) -> &str {
    &text[..text.floor_char_boundary(ID)]
}

/// A path in which no segment is a key: those of the admin API may hold one.
pub(crate) fn path_without_keys(path: &str) -> String {
    let shown = |segment| if is_key(segment) { "sk-..." } else { segment };
    path.split('/').map(shown).collect::<Vec<_>>().join("/")
}

/// Whether a text begins like a key.
pub(crate) fn is_key(segment: &str) -> bool {
    segment.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("sk-"))
}

/// Splits a long text into its first characters and the rest; `None` if it is short enough to quote.
fn beginning(text: &str) -> Option<(&str, &str)> {
    let (end, _) = text.char_indices().nth(QUOTED)?;
    Some(text.split_at(end))
}

/// The message with every long text between double quotes cut; `None` if there is none.
fn shorten_quotes(text: &str) -> Option<String> {
    let mut shortened = String::new();
    let mut rest = text;
    let mut is_cut = false;
    while let Some((before, quoted)) = rest.split_once('"') {
        shortened.push_str(before);
        shortened.push('"');
        let end = closing(quoted);
        let (inside, after) = quoted.split_at(end.unwrap_or(quoted.len()));
        match beginning(inside) {
            Some((beginning, _)) => {
                is_cut = true;
                shortened.push_str(beginning);
                shortened.push('…');
            }
            None => shortened.push_str(inside),
        }
        rest = after;
        if let Some(after) = rest.strip_prefix('"') {
            shortened.push('"');
            rest = after;
        }
    }
    shortened.push_str(rest);
    is_cut.then_some(shortened)
}

/// The end of a quoted text: the next quote without a backslash before it.
fn closing(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> String {
        message(Cow::Owned(text.to_owned())).into_owned()
    }

    #[test]
    fn keys_in_paths_are_not_shown() {
        for (path, shown) in [
            ("/key/sk-canary/regenerate", "/key/sk-.../regenerate"),
            ("/key/SK-canary", "/key/sk-..."),
            ("/key/info", "/key/info"),
            ("/task-1/sk", "/task-1/sk"),
            ("", ""),
        ] {
            assert_eq!(path_without_keys(path), shown);
        }
    }

    #[test]
    fn only_quoted_texts_are_cut() {
        let long = "x\"é".repeat(1_000_000);
        let text = format!("No tool {long:?} is known, nor {:?}: declare it.", "y");
        let cut = told(&text);
        assert!(cut.starts_with("No tool \"x\\\"éx") && cut.len() < 500, "{cut}");
        assert!(cut.ends_with("…\" is known, nor \"y\": declare it."), "{cut}");
        let two = told(&format!("{long:?} and {long:?} are one."));
        assert!(two.len() < 1_000 && two.ends_with("\" are one."), "{two}");
    }

    #[test]
    fn a_long_message_keeps_its_beginning_and_its_end() {
        let cut = told(&format!("Begin {} end.", "é".repeat(1_000_000)));
        assert!(cut.starts_with("Begin é") && cut.ends_with("é end."), "{cut}");
        assert!(cut.len() <= MESSAGE + 8);
        let never_closed = told(&format!("Begin \"{}", "x".repeat(1_000_000)));
        assert!(never_closed.len() < 300);
    }

    #[test]
    fn short_messages_are_unchanged() {
        for text in ["", "The model \"a\" is not known.", &"a word ".repeat(100)] {
            assert_eq!(told(text), text);
        }
        assert_eq!(path("messages[0].content"), "messages[0].content");
        assert_eq!(path(&"é".repeat(300)).chars().count(), QUOTED + 1);
    }
}
