//! Positions of URLs in a request: one walk finds them, another one over the same fields fills them in.

use std::collections::HashSet;

use schema::Str;
use schema::anthropic::messages::MessagesRequest;
use schema::anthropic::messages::content::{Block, BlockKind, Content, Source};

/// The distinct URLs to fetch, each with the path of its first field; at most one beyond `most`, which
/// is then refused.
pub(super) fn links(request: &MessagesRequest<'_>, most: usize) -> Vec<(String, String)> {
    let mut found = Found { links: Vec::new(), known: HashSet::new(), most };
    for (at, message) in request.messages.iter().enumerate() {
        found.content(&message.content, &format!("messages[{at}].content"));
    }
    found.links
}

struct Found<'r> {
    links: Vec<(String, String)>,
    known: HashSet<&'r str>,
    most: usize,
}

impl<'r> Found<'r> {
    fn content(&mut self, content: &'r Content<'_>, place: &str) {
        for (index, block) in content.blocks().iter().enumerate() {
            match &block.kind {
                BlockKind::Image { source: Source::Url(url) }
                | BlockKind::Document { source: Source::Url(url), .. }
                    if self.links.len() <= self.most && self.known.insert(url) =>
                {
                    let param = format!("{place}[{index}].source.url");
                    self.links.push((url.to_string(), param));
                }
                BlockKind::ToolResult { content: Some(content), .. } => {
                    self.content(content, &format!("{place}[{index}].content"));
                }
                _ => {}
            }
        }
    }
}

/// Replaces every URL with known content.
pub(super) fn fill<'a>(
    request: &mut MessagesRequest<'a>,
    content: &dyn Fn(&str) -> Option<&'a str>,
) {
    for message in &mut request.messages {
        fill_content(&mut message.content, content);
    }
}

fn fill_content<'a>(place: &mut Content<'a>, content: &dyn Fn(&str) -> Option<&'a str>) {
    let Content::Blocks(blocks) = place else { return };
    for Block { kind, is_filled, .. } in blocks {
        match kind {
            BlockKind::Image { source } | BlockKind::Document { source, .. } => {
                if let Source::Url(url) = source
                    && let Some(fetched) = content(url)
                {
                    *source = of_data_url(fetched);
                    *is_filled = true;
                }
            }
            BlockKind::ToolResult { content: Some(inside), .. } => fill_content(inside, content),
            _ => {}
        }
    }
}

/// A `data:` URL as a source; another text stays a URL, and is refused later.
pub(super) fn of_data_url<'a>(url: &'a str) -> Source<'a> {
    let parts = url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,"));
    match parts {
        Some((kind, data)) => {
            let media_type = (!kind.is_empty()).then(|| Str::from(kind));
            Source::Base64 { media_type, data: data.into() }
        }
        None => Source::Url(url.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_once_and_filled_everywhere() {
        let text = r#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":[
            {"type":"image","source":{"type":"url","url":"https://a.example/1.png"}},
            {"type":"tool_result","tool_use_id":"t","content":[
                {"type":"image","source":{"type":"url","url":"https://a.example/1.png"}},
                {"type":"document","source":{"type":"url","url":"https://a.example/2.pdf"}}]}]}]}"#;
        let mut request: MessagesRequest<'_> = serde_json::from_str(text).unwrap();
        let found = links(&request, 10);
        let params: Vec<_> = found.iter().map(|(_, param)| param.as_str()).collect();
        assert_eq!(
            params,
            ["messages[0].content[0].source.url", "messages[0].content[1].content[1].source.url"]
        );
        fill(&mut request, &|_| Some("data:image/png;base64,AAAA"));
        assert_eq!(links(&request, 10), []);
    }
}
