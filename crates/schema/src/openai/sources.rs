//! Sources that an answer may cite: search results, and the citation options of a document. They
//! have Anthropic's form, which clients of other gateways send in chat messages too.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use crate::Str;

/// `search_result`: an external source, with the passages that were found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchResult<'a> {
    /// A URL, or another name of the origin.
    pub source: Str<'a>,
    pub title: Str<'a>,
    pub content: Vec<Str<'a>>,
    /// Whether the answer should cite it.
    pub cites: bool,
}

/// `citations`: `{"enabled": true}`, or the bare boolean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Citing(pub bool);

/// The passages of a search result: text parts, strings, or one string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Passages<'a>(pub(super) Vec<Str<'a>>);

/// The members of a search result that is nested in a member of its own.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct SearchFields<'a> {
    #[serde(borrow)]
    pub(super) source: Option<Str<'a>>,
    #[serde(borrow)]
    pub(super) title: Option<Str<'a>>,
    #[serde(borrow)]
    pub(super) content: Option<Passages<'a>>,
    pub(super) citations: Option<Citing>,
}

impl<'a> SearchFields<'a> {
    /// The complete search result; a missing title defaults to the source.
    ///
    /// # Errors
    /// The name of the missing member.
    pub(super) fn whole(self) -> Result<SearchResult<'a>, &'static str> {
        let Self { source, title, content, citations } = self;
        let source = source.ok_or("source")?;
        Ok(SearchResult {
            title: title.unwrap_or_else(|| source.clone()),
            source,
            content: content.ok_or("content")?.0,
            cites: citations.is_some_and(|citing| citing.0),
        })
    }
}

impl<'de> Deserialize<'de> for Citing {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CitingVisitor)
    }
}

struct CitingVisitor;

impl<'de> Visitor<'de> for CitingVisitor {
    type Value = Citing;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with enabled")
    }

    fn visit_bool<E: Error>(self, enabled: bool) -> Result<Citing, E> {
        Ok(Citing(enabled))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Citing, A::Error> {
        let mut citing = Citing(false);
        while let Some(member) = map.next_key::<Str<'de>>()? {
            match member.as_str() {
                "enabled" => citing.0 = map.next_value()?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(citing)
    }
}

/// One passage.
#[derive(Deserialize)]
#[serde(untagged)]
enum Passage<'a> {
    Part {
        #[serde(borrow)]
        text: Str<'a>,
    },
    Text(#[serde(borrow)] Str<'a>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Listed<'a> {
    Many(#[serde(borrow)] Vec<Passage<'a>>),
    One(#[serde(borrow)] Str<'a>),
}

impl<'de: 'a, 'a> Deserialize<'de> for Passages<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts = match Listed::deserialize(deserializer)? {
            Listed::One(text) => vec![text],
            Listed::Many(passages) => passages
                .into_iter()
                .map(|passage| match passage {
                    Passage::Part { text } | Passage::Text(text) => text,
                })
                .collect(),
        };
        Ok(Self(texts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_result_is_read_in_all_its_spellings() {
        for content in [r#""A.""#, r#"["A."]"#, r#"[{"type": "text", "text": "A."}]"#] {
            for citations in [r#"{"enabled": true, "x": 1}"#, "true"] {
                let json = format!(
                    r#"{{"source": "https://e.com", "content": {content}, "citations": {citations}}}"#
                );
                let fields: SearchFields<'_> = serde_json::from_str(&json).unwrap();
                let result = fields.whole().unwrap();
                assert_eq!((result.title.as_str(), result.cites), ("https://e.com", true));
                assert_eq!(result.content, [Str::from("A.")]);
            }
        }
        let bare: SearchFields<'_> = serde_json::from_str(r#"{"title": "T"}"#).unwrap();
        assert_eq!(bare.whole(), Err("source"));
        assert!(serde_json::from_str::<Citing>(r#""yes""#).is_err());
    }
}
