//! Harmful content in a text, found by fixed rules: a few plain words, addresses, and marks such as
//! `[violence]`, `[hate:low]`, `[topic:Shares]`, `[word:basalt]` or `[pii:NAME]`, which name a filter and
//! its confidence.

/// Confidence of a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Confidence {
    None,
    Low,
    Medium,
    High,
}

impl Confidence {
    /// The API's spelling.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Low => "LOW",
            Self::Medium => "MEDIUM",
            Self::High => "HIGH",
        }
    }

    /// The severity of this confidence, between 0 and 1.
    pub(crate) fn severity(self) -> f64 {
        match self {
            Self::None => 0.0,
            Self::Low => 0.3,
            Self::Medium => 0.6,
            Self::High => 0.9,
        }
    }
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hit<'a> {
    pub(crate) kind: Kind<'a>,
    /// The matching text.
    pub(crate) text: &'a str,
    /// Its start, in bytes.
    pub(crate) at: usize,
}

/// Kind of a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind<'a> {
    /// The name of a content filter, and its confidence.
    Content(&'static str, Confidence),
    Topic(&'a str),
    Word(&'a str),
    Personal(String),
}

const FILTERS: [(&str, &str); 6] = [
    ("hate", "HATE"),
    ("insults", "INSULTS"),
    ("sexual", "SEXUAL"),
    ("violence", "VIOLENCE"),
    ("misconduct", "MISCONDUCT"),
    ("prompt_attack", "PROMPT_ATTACK"),
];

const WORDS: [(&str, &str); 6] = [
    ("kill", "VIOLENCE"),
    ("murder", "VIOLENCE"),
    ("idiot", "INSULTS"),
    ("counterfeit", "MISCONDUCT"),
    ("ignore all previous instructions", "PROMPT_ATTACK"),
    ("reveal your system prompt", "PROMPT_ATTACK"),
];

/// All findings in `text`, unordered.
pub(crate) fn hits(text: &str) -> Vec<Hit<'_>> {
    let mut hits = Vec::new();
    let lower = text.to_ascii_lowercase();
    for (word, filter) in WORDS {
        if let Some(at) = lower.find(word) {
            let text = &text[at..at + word.len()];
            hits.push(Hit { kind: Kind::Content(filter, Confidence::High), text, at });
        }
    }
    for (open, _) in text.match_indices('[') {
        let Some(length) = text[open..].find(']') else { break };
        let whole = &text[open..=open + length];
        if let Some(kind) = mark(&whole[1..whole.len() - 1]) {
            hits.push(Hit { kind, text: whole, at: open });
        }
    }
    let mut from = 0;
    for word in text.split(|c: char| c.is_whitespace() || "<>(),;\"".contains(c)) {
        let address = word.trim_end_matches(['.', '!', '?', ':']);
        if let Some((name, host)) = address.split_once('@')
            && !name.is_empty()
            && host.contains('.')
        {
            let kind = Kind::Personal("EMAIL".to_owned());
            hits.push(Hit { kind, text: address, at: from });
        }
        // One separator, which is one byte long unless it is a space of another script.
        let end = from + word.len();
        from = end + text[end..].chars().next().map_or(0, char::len_utf8);
    }
    hits
}

fn mark(inside: &str) -> Option<Kind<'_>> {
    let (name, value) = inside.split_once(':').map_or((inside, None), |(n, v)| (n, Some(v)));
    if let Some((_, filter)) = FILTERS.into_iter().find(|(mark, _)| *mark == name) {
        let confidence = match value {
            None | Some("high") => Confidence::High,
            Some("medium") => Confidence::Medium,
            Some("low") => Confidence::Low,
            Some(_) => return None,
        };
        return Some(Kind::Content(filter, confidence));
    }
    let value = value.filter(|value| !value.is_empty())?;
    match name {
        "topic" => Some(Kind::Topic(value)),
        "word" => Some(Kind::Word(value)),
        "pii" => Some(Kind::Personal(value.to_ascii_uppercase())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_marks_and_addresses_are_found_with_their_positions() {
        let text = "é Kill [hate:low] [nothing] a.b@example.org, [topic:Shares][pii:name]";
        let mut hits = hits(text);
        hits.sort_by_key(|hit| hit.at);
        for hit in &hits {
            assert_eq!(&text[hit.at..hit.at + hit.text.len()], hit.text);
        }
        let kinds: Vec<Kind<'_>> = hits.into_iter().map(|hit| hit.kind).collect();
        assert_eq!(
            kinds,
            [
                Kind::Content("VIOLENCE", Confidence::High),
                Kind::Content("HATE", Confidence::Low),
                Kind::Personal("EMAIL".to_owned()),
                Kind::Topic("Shares"),
                Kind::Personal("NAME".to_owned()),
            ]
        );
        assert!(super::hits("granite [ and gneiss").is_empty());
    }
}
