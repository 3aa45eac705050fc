//! Citations of an answer's text. Bedrock assigns them by block: a citation covers the text of its
//! block, or, if the block has none (as with web search), the text before it. OpenAI assigns them
//! by position in the final content, counted in code points.

use schema::converse::response::Citation;
use schema::openai::annotation::{Annotation, Cited, UrlCitation};
use serde_json::value::RawValue;

/// The citations of one answer so far.
#[derive(Debug, Default)]
pub(crate) struct CitedSources {
    /// Characters of content so far.
    length: u64,
    /// Start of the open block.
    begun: u64,
    /// The last block with text.
    last: (u64, u64),
    /// Citations of the open block.
    open: Vec<Box<RawValue>>,
    done: Vec<Cited>,
}

impl CitedSources {
    /// Counts more content.
    pub(crate) fn say(&mut self, text: &str) {
        self.length += text.chars().count() as u64;
    }

    /// Adds a citation of the open block.
    pub(crate) fn cite(&mut self, citation: &RawValue) {
        self.open.extend(on_one_line(citation));
    }

    /// Adds all citations of the open block; a value that is not a list is ignored.
    pub(crate) fn cite_all(&mut self, citations: &RawValue) {
        let citations: Vec<&RawValue> = serde_json::from_str(citations.get()).unwrap_or_default();
        for citation in citations {
            self.cite(citation);
        }
    }

    /// Ends the open block. Returns its citations.
    pub(crate) fn end_block(&mut self) -> &[Cited] {
        if self.length > self.begun {
            self.last = (self.begun, self.length);
        }
        self.begun = self.length;
        let (start_index, end_index) = self.last;
        let cited = |citation| Cited { start_index, end_index, citation };
        let known = self.done.len();
        self.done.extend(self.open.drain(..).map(cited));
        self.done.get(known..).unwrap_or_default()
    }

    /// Discards the counted content, which turned out not to be the answer; the citations keep no
    /// positions.
    pub(crate) fn unsay(&mut self) {
        (self.length, self.begun, self.last) = (0, 0, (0, 0));
        for cited in &mut self.done {
            (cited.start_index, cited.end_index) = (0, 0);
        }
    }

    /// The citations: web pages as `annotations`, and all of them as received.
    pub(crate) fn finish(&mut self) -> (Vec<Annotation>, Vec<Cited>) {
        self.end_block();
        let done = std::mem::take(&mut self.done);
        let annotation = |url_citation| Annotation::UrlCitation { url_citation };
        (done.iter().filter_map(web_page).map(annotation).collect(), done)
    }
}

/// JSON as received, except for line breaks between its members: they would end a line of the event
/// stream.
pub(crate) fn on_one_line(json: &RawValue) -> Option<Box<RawValue>> {
    if !json.get().contains(['\n', '\r']) {
        return Some(json.to_owned());
    }
    RawValue::from_string(json.get().replace(['\n', '\r'], " ")).ok()
}

/// The web page of a citation, if it has one and covers text.
pub(crate) fn web_page(cited: &Cited) -> Option<UrlCitation> {
    if cited.start_index == cited.end_index {
        return None;
    }
    let citation: Citation<'_> = serde_json::from_str(cited.citation.get()).ok()?;
    let web = citation.location.web;
    let source = citation.source.filter(|source| is_address(source));
    let (url, domain) = match web {
        Some(web) => (web.url.or(source)?, web.domain),
        None => (source?, None),
    };
    let title = citation.title.or(domain).unwrap_or_else(|| url.clone());
    Some(UrlCitation {
        start_index: cited.start_index,
        end_index: cited.end_index,
        url: url.to_string(),
        title: title.to_string(),
    })
}

/// Sources of search results are free text; only some are web addresses.
fn is_address(source: &str) -> bool {
    source.starts_with("https://") || source.starts_with("http://")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json, to_value};

    use super::*;

    fn raw(value: &Value) -> Box<RawValue> {
        RawValue::from_string(value.to_string()).unwrap()
    }

    fn web(url: &str) -> Box<RawValue> {
        raw(&json!({ "location": { "web": { "url": url, "domain": "a.example" } } }))
    }

    #[test]
    fn positions_are_counted_in_code_points() {
        let mut sources = CitedSources::default();
        sources.say("Grüße 😀 ");
        sources.end_block();
        sources.cite(&web("https://a.example/1"));
        sources.say("né");
        sources.say("e");
        sources.end_block();
        let (annotations, cited) = sources.finish();
        let url_citation = json!({
            "start_index": 8, "end_index": 11, "url": "https://a.example/1", "title": "a.example",
        });
        let wanted = json!([{ "type": "url_citation", "url_citation": url_citation }]);
        assert_eq!(to_value(annotations).unwrap(), wanted);
        assert_eq!(cited.len(), 1);
    }

    #[test]
    fn a_block_without_text_cites_the_text_before_it() {
        let mut sources = CitedSources::default();
        sources.say("one");
        sources.end_block();
        sources.say("two");
        sources.end_block();
        for url in ["https://a.example/1", "https://a.example/2"] {
            sources.cite(&web(url));
            sources.end_block();
        }
        let (annotations, cited) = sources.finish();
        assert_eq!(annotations.len(), 2);
        assert!(cited.iter().all(|cited| (cited.start_index, cited.end_index) == (3, 6)));
    }

    #[test]
    fn sources_other_than_web_pages_are_kept_without_annotation() {
        let mut sources = CitedSources::default();
        sources.say("x");
        for odd in [
            json!({ "location": { "documentChar": { "documentIndex": 0, "start": 1, "end": 2 } } }),
            json!({ "source": "s3://bucket/key" }),
            json!({ "location": { "moon": {} }, "title": null }),
            json!("text"),
        ] {
            sources.cite(&raw(&odd));
        }
        sources.cite_all(&raw(&json!({ "no": "list" })));
        sources.cite(&raw(&json!({ "source": "http://b.example", "title": "B" })));
        let (annotations, cited) = sources.finish();
        assert_eq!((annotations.len(), cited.len()), (1, 5));
    }

    #[test]
    fn kept_citations_fit_on_one_line() {
        let mut sources = CitedSources::default();
        sources.cite(&RawValue::from_string("{\r\n  \"title\": \"a\\nb\"\n}".to_owned()).unwrap());
        let (_, cited) = sources.finish();
        assert_eq!(cited[0].citation.get(), "{    \"title\": \"a\\nb\" }");
    }

    #[test]
    fn discarded_text_leaves_no_positions() {
        let mut sources = CitedSources::default();
        sources.say("thinking aloud");
        sources.cite(&web("https://a.example"));
        sources.end_block();
        sources.unsay();
        let (annotations, cited) = sources.finish();
        assert_eq!((annotations.len(), cited.len()), (0, 1));
    }
}
