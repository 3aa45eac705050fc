//! Sources that an answer may cite: documents with citations requested, and search results. For
//! models without citations they are sent as ordinary content, and the request for citations is
//! reported.

use std::borrow::Cow;

use schema::converse::media::{CitationsConfig, DocumentBlock, SearchResultBlock, Source};
use schema::converse::message::ContentBlock;

use super::{base64, formats};
use crate::profile::{Citations, Profile, SearchResults};
use crate::{Invalid, Report};

const CITED: CitationsConfig = CitationsConfig { enabled: true };

/// Citation options of a document.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct CitationOptions<'a> {
    /// The answer should cite the document.
    pub(crate) cites: bool,
    /// Text about the document that is not cited.
    pub(crate) context: Option<&'a str>,
}

/// Applies a part's citation options to its block. Bedrock cites only PDF and text, text only where
/// it is sent as text, and no source in S3. ("Only txt and pdf formats are supported when citations
/// are enabled", boto/boto3#4726, 2026-02-24; text as the source, strands-agents/harness-sdk#3582.)
pub(super) fn document<'a>(
    block: ContentBlock<'a>,
    CitationOptions { cites, context }: CitationOptions<'a>,
    profile: &Profile,
    report: &mut Report,
) -> ContentBlock<'a> {
    let is_served = profile.citations == Citations::Native;
    let block = match block {
        ContentBlock::Document(mut document) if is_served => {
            document.context = context.map(Cow::Borrowed);
            if cites {
                match citable(document) {
                    Ok(cited) => return ContentBlock::Document(cited),
                    Err(other) => document = other,
                }
            }
            ContentBlock::Document(document)
        }
        other => {
            if context.is_some() {
                report.ignore("messages.content.file.context");
            }
            other
        }
    };
    if cites {
        report.ignore("messages.content.file.citations");
    }
    block
}

/// The document in a form that can be cited, or else unchanged.
fn citable(document: DocumentBlock<'_>) -> Result<DocumentBlock<'_>, DocumentBlock<'_>> {
    let citations = Some(CITED);
    match &document.source {
        Source::Bytes(_) if document.format == "pdf" => Ok(DocumentBlock { citations, ..document }),
        Source::Bytes(data) if formats::is_text(document.format) && formats::is_readable(data) => {
            let text = formats::decoded(base64::whole(data));
            let source = Source::Text(Cow::Owned(text));
            Ok(DocumentBlock { format: "txt", source, citations, ..document })
        }
        Source::Text(_) => Ok(DocumentBlock { citations, ..document }),
        Source::Bytes(_) | Source::Encoded(_) | Source::S3Location(_) => Err(document),
    }
}

/// A search result as a block of its own, or as text that names its source. Blank passages are left
/// out.
pub(crate) fn search_result<'a>(
    mut result: SearchResultBlock<'a>,
    param: &str,
    profile: &Profile,
    report: &mut Report,
) -> Result<ContentBlock<'a>, Invalid> {
    result.content.retain(|passage| !passage.text.trim().is_empty());
    if result.content.is_empty() {
        let message = "A search result needs content: text parts that are not blank.";
        return Err(Invalid::value(format!("{param}.content"), message)
            .with_code("missing_required_parameter"));
    }
    if profile.search_results == SearchResults::Native {
        return Ok(ContentBlock::SearchResult(result));
    }
    let SearchResultBlock { source, title, content, citations } = result;
    if citations.is_some_and(|citations| citations.enabled) {
        report.ignore("messages.content.search_result.citations");
    }
    let quoted = |text: &str| text.replace('"', "'");
    let (source, title) = (quoted(&source), quoted(&title));
    let passages: Vec<&str> = content.iter().map(|passage| &*passage.text).collect();
    let text = passages.join("\n\n");
    Ok(ContentBlock::Text(Cow::Owned(format!(
        "<search_result source=\"{source}\" title=\"{title}\">\n{text}\n</search_result>"
    ))))
}
