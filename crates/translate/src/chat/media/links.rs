//! Positions of URLs in a request: one walk finds them, another one over the same fields fills them in.

use std::collections::HashSet;

use schema::Str;
use schema::openai::chat::ChatRequest;
use schema::openai::content::{Content, File, Part};
use schema::openai::message::Role;

/// URLs to fetch, each with the path of its first field. Holds at most one URL beyond the limit: that one
/// is refused, regardless of any after it.
#[derive(Debug)]
pub(crate) struct LinksFound<'p> {
    links: Vec<(String, String)>,
    known: HashSet<&'p str>,
    most: usize,
}

impl<'p> LinksFound<'p> {
    pub(crate) fn new(most: usize) -> Self {
        Self { links: Vec::new(), known: HashSet::new(), most }
    }

    /// Adds the URLs of a message's content; `path` is that of the content.
    pub(crate) fn add(&mut self, content: Option<&'p Content<'_>>, path: &impl Fn() -> String) {
        let Some(Content::Parts(parts)) = content else { return };
        for (index, part) in parts.iter().enumerate() {
            let Some((field, url)) = place(part) else { continue };
            if self.links.len() > self.most {
                return;
            }
            if is_link(url) && self.known.insert(url) {
                let param = format!("{}[{index}].{field}", path());
                self.links.push((url.as_str().to_owned(), param));
            }
        }
    }

    pub(crate) fn finish(self) -> Vec<(String, String)> {
        self.links
    }
}

/// The distinct URLs to fetch in a request.
pub(in crate::chat) fn links(request: &ChatRequest<'_>, most: usize) -> Vec<(String, String)> {
    let mut found = LinksFound::new(most);
    // Media in assistant turns are not sent.
    let messages = request.messages.iter().filter(|message| message.role != Role::Assistant);
    for message in messages {
        let at = message.at;
        found.add(message.content.as_ref(), &|| format!("messages[{at}].content"));
    }
    found.finish()
}

/// Replaces every URL with known content.
pub(in crate::chat) fn fill<'a>(
    request: &mut ChatRequest<'a>,
    content: &dyn Fn(&str) -> Option<&'a str>,
) {
    for message in &mut request.messages {
        if let Some(within) = &mut message.content {
            fill_content(within, content);
        }
    }
}

/// Replaces the URLs in the content of a message with known content.
pub(crate) fn fill_content<'a>(
    within: &mut Content<'a>,
    content: &dyn Fn(&str) -> Option<&'a str>,
) {
    let Content::Parts(parts) = within else { return };
    for part in parts {
        let Some((_, url)) = place(part) else { continue };
        let Some(content) = content(url) else { continue };
        let name = name(url);
        match part {
            Part::ImageUrl { image: link, .. } | Part::VideoUrl { video: link, .. } => {
                link.url = content.into();
            }
            Part::InputAudio { audio, .. } => audio.data = content.into(),
            Part::File { file, .. } => {
                file.filename = file.filename.take().or(name);
                file.file_data = Some(content.into());
            }
            Part::Text { .. }
            | Part::Refusal { .. }
            | Part::SearchResult { .. }
            | Part::Thought(_)
            | Part::Call(_)
            | Part::Result(_)
            | Part::Moved
            | Part::Foreign(_) => {}
        }
    }
}

/// The field of a part that may contain a URL.
fn place<'p, 'a>(part: &'p Part<'a>) -> Option<(&'static str, &'p Str<'a>)> {
    match part {
        Part::ImageUrl { image, .. } => Some(("image_url.url", &image.url)),
        Part::VideoUrl { video, .. } => Some(("video_url.url", &video.url)),
        Part::InputAudio { audio, .. } => Some(("input_audio.data", &audio.data)),
        Part::File { file, .. } => {
            let File {
                file_data,
                file_id,
                file_url,
                filename: _,
                format: _,
                citations: _,
                context: _,
            } = file;
            let fields = [
                ("file.file_data", file_data),
                ("file.file_url", file_url),
                ("file.file_id", file_id),
            ];
            fields.into_iter().find_map(|(field, url)| Some((field, url.as_ref()?)))
        }
        Part::Text { .. }
        | Part::Refusal { .. }
        | Part::SearchResult { .. }
        | Part::Thought(_)
        | Part::Call(_)
        | Part::Result(_)
        | Part::Moved
        | Part::Foreign(_) => None,
    }
}

fn is_link(url: &str) -> bool {
    ["https://", "http://"].iter().any(|scheme| {
        url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    })
}

/// File name from a URL.
fn name<'a>(url: &str) -> Option<Str<'a>> {
    let path = url.split(['?', '#']).next()?;
    let (_, path) = path.split_once("://")?;
    let (_, last) = path.rsplit_once('/')?;
    (!last.is_empty()).then(|| last.replace("%20", " ").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &str = r#"{"model": "m", "messages": [
        {"role": "user", "content": "https://example.com/text.png"},
        {"role": "user", "content": [
            {"type": "text", "text": "https://example.com/text.png"},
            {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
            {"type": "image_url", "image_url": "HTTPS://example.com/a.png"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            {"type": "image_url", "image_url": {"url": "s3://bucket/a.png"}},
            {"type": "file", "file": {"file_id": "https://example.com/My%20report.pdf?sig=1"}},
            {"type": "file", "file": {"file_url": "http://example.com/b.pdf", "filename": "own.pdf"}}
        ]},
        {"role": "tool", "tool_call_id": "1", "content": [
            {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
            {"type": "video_url", "video_url": {"url": "https://example.com/c.mp4"}}
        ]}
    ]}"#;

    #[test]
    fn links_are_found_once_and_filled_everywhere() {
        let mut request: ChatRequest<'_> = serde_json::from_str(REQUEST).unwrap();
        let found = links(&request, 10);
        let params: Vec<_> = found.iter().map(|(_, param)| param.as_str()).collect();
        assert_eq!(
            params,
            [
                "messages[1].content[1].image_url.url",
                "messages[1].content[2].image_url.url",
                "messages[1].content[5].file.file_id",
                "messages[1].content[6].file.file_url",
                "messages[2].content[1].video_url.url",
            ]
        );
        assert_eq!(links(&request, 2), found[..3]);
        fill(&mut request, &|url| is_link(url).then_some("data:;base64,AAAA"));
        assert_eq!(links(&request, 10), []);
        let Some(Content::Parts(parts)) = &request.messages[1].content else { panic!() };
        let Part::File { file, .. } = &parts[5] else { panic!() };
        assert_eq!(file.filename.as_deref(), Some("My report.pdf"));
        let Part::File { file, .. } = &parts[6] else { panic!() };
        assert_eq!(file.filename.as_deref(), Some("own.pdf"));
    }
}
