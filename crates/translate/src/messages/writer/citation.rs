//! Citations in Anthropic's form. Bedrock's have the same members in a union by the kind of location.

use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

/// The citation in Anthropic's form; `None` for a kind of location that it does not have.
pub(super) fn location(citation: &RawValue) -> Option<Box<RawValue>> {
    let citation: Value = serde_json::from_str(citation.get()).ok()?;
    let cited_text: String = citation["sourceContent"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|part| part["text"].as_str())
        .collect();
    let title = &citation["title"];
    let of_document = |kind: &str, place: &Value, from: &str, to: &str| {
        json!({
            "type": kind,
            "cited_text": cited_text,
            "document_index": place["documentIndex"].as_u64().unwrap_or_default(),
            "document_title": title,
            from: place["start"].as_u64().unwrap_or_default(),
            to: place["end"].as_u64().unwrap_or_default(),
            "file_id": null,
        })
    };
    let of_search = |source: &Value, title: &Value, place: &Value| {
        json!({
            "type": "search_result_location",
            "cited_text": cited_text,
            "source": source.as_str().unwrap_or_default(),
            "title": title,
            "search_result_index": place["searchResultIndex"].as_u64().unwrap_or_default(),
            "start_block_index": place["start"].as_u64().unwrap_or_default(),
            "end_block_index": place["end"].as_u64().unwrap_or_default(),
        })
    };
    let (kind, place) = citation["location"].as_object()?.iter().next()?;
    let told = match kind.as_str() {
        "documentChar" => of_document("char_location", place, "start_char_index", "end_char_index"),
        "documentPage" => {
            of_document("page_location", place, "start_page_number", "end_page_number")
        }
        "documentChunk" => {
            of_document("content_block_location", place, "start_block_index", "end_block_index")
        }
        "searchResultLocation" => of_search(&citation["source"], title, place),
        // A web search's own location needs an index that Bedrock does not give.
        "web" => {
            let title = if title.is_null() { &place["domain"] } else { title };
            of_search(&place["url"], title, &Value::Null)
        }
        _ => return None,
    };
    to_raw_value(&told).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(citation: &Value) -> Option<Value> {
        let raw = to_raw_value(citation).unwrap();
        location(&raw).map(|told| serde_json::from_str(told.get()).unwrap())
    }

    #[test]
    fn every_kind_of_location_is_told() {
        for (given, kind) in [
            ("documentChar", "char_location"),
            ("documentPage", "page_location"),
            ("documentChunk", "content_block_location"),
            ("searchResultLocation", "search_result_location"),
            ("web", "search_result_location"),
        ] {
            let place = json!({ "start": 1, "end": 2, "url": "https://a.example" });
            let citation = json!({ "title": "T", "sourceContent": [{ "text": "a" }, { "text": "b" }], "location": { given: place } });
            let told = of(&citation).unwrap();
            assert_eq!(
                (told["type"].as_str(), told["cited_text"].as_str()),
                (Some(kind), Some("ab"))
            );
        }
        assert_eq!(of(&json!({ "location": { "moon": {} } })), None);
        assert_eq!(of(&json!({})), None);
    }
}
