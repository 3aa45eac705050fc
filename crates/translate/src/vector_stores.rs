//! `POST /v1/vector_stores/{id}/search` as `Retrieve` on a knowledge base: one call for each query, a text or an
//! image, whose passages are merged by score.

use schema::converse::media::{ImageBlock, Source};
use schema::converse::message::ContentBlock;
use schema::openai::vector_stores::{
    FoundPassage, PASSAGE_TEXT, PassageMedia, PassageText, RankingOptions, SEARCH_PAGE_OBJECT,
    VectorFilter, VectorSearchPage, VectorSearchRequest,
};
use schema::retrieve::{
    FilterAttribute, IMAGE_QUERY, LocationName, PassageContent, PassageLocation, QueryImage,
    RetrievalConfiguration, RetrievalFilter, RetrievalQuery, RetrieveRequest, RetrieveResponse,
    RetrievedPassage, VectorSearch,
};
use serde_json::{Map, Value};

use crate::embeddings::is_data_url;
use crate::parts::media::{Attachments, MediaPart};
use crate::profile::{Media, Medium};
use crate::{Invalid, Profile, Report, S3Access};

/// Results of a search that does not say, and the most of any.
const USUAL: u32 = 10;
const MOST: i64 = 50;
/// Most queries of a search, each of which is a call.
const QUERIES: usize = 10;
/// Largest image that is searched for, in bytes.
const IMAGE_BYTES: u32 = 5_242_880;
/// Deepest filter within filters; the service takes fewer.
const DEPTH: usize = 8;
/// Beginning of the service's own members of metadata.
const OWN: &str = "x-amz-bedrock-kb-";

/// A search whose conditions were read.
#[derive(Debug)]
pub struct VectorQuestion<'r> {
    queries: Vec<Query<'r>>,
    filter: Option<RetrievalFilter<'r>>,
    most: u32,
    /// The fields that could not be honoured.
    pub report: Report,
}

/// A query: a text or an image.
#[derive(Debug)]
enum Query<'r> {
    Text(&'r str),
    /// An image: its format, and base64.
    Image(&'static str, &'r str),
}

/// Reads a search.
///
/// # Errors
/// A condition that cannot be expressed; the error names the field.
pub fn question<'r>(request: &'r VectorSearchRequest<'_>) -> Result<VectorQuestion<'r>, Invalid> {
    // Destructured without `..`: a new field does not compile until its use is decided.
    let VectorSearchRequest {
        query,
        filters,
        max_num_results,
        ranking_options,
        rewrite_query,
        extra,
    } = request;
    let mut report = Report::default();
    if *rewrite_query == Some(true) {
        report.ignore("rewrite_query");
    }
    if let Some(RankingOptions { ranker, score_threshold: _, hybrid_search }) = ranking_options {
        if ranker.as_deref().is_some_and(|ranker| !matches!(ranker, "auto" | "none")) {
            report.ignore("ranking_options.ranker");
        }
        if hybrid_search.is_some() {
            report.ignore("ranking_options.hybrid_search");
        }
    }
    for field in extra.names() {
        report.ignore(field);
    }
    let queries = queries(&query.0)?;
    let most = match max_num_results {
        None => USUAL,
        Some(most) => {
            u32::try_from(*most).ok().filter(|_| (1..=MOST).contains(most)).ok_or_else(|| {
                let message = format!("max_num_results must be from 1 to {MOST}, and is {most}.");
                Invalid::value("max_num_results", message)
            })?
        }
    };
    let filter = filters.as_ref().map(|filter| condition(filter, "filters", 0)).transpose()?;
    Ok(VectorQuestion { queries, filter, most, report })
}

fn queries<'r>(queries: &'r [schema::Str<'_>]) -> Result<Vec<Query<'r>>, Invalid> {
    if queries.is_empty() {
        let message = "query must be a text, or hold at least one.";
        return Err(Invalid::value("query", message).with_code("empty_array"));
    }
    if queries.len() > QUERIES {
        let message =
            format!("query holds {} texts; at most {QUERIES} are searched for.", queries.len());
        return Err(Invalid::value("query", message).with_code("array_above_max_length"));
    }
    queries
        .iter()
        .map(|query| match query.as_str() {
            text if text.trim().is_empty() => {
                Err(Invalid::value("query", "query is empty or blank."))
            }
            url if is_data_url(url) => image(url),
            text => Ok(Query::Text(text)),
        })
        .collect()
}

/// An image as a data URL, which is how a text can be one.
fn image(url: &str) -> Result<Query<'_>, Invalid> {
    let reads = Profile {
        media: Media::of(&[Medium::Image]),
        image_bytes: IMAGE_BYTES,
        ..Profile::default()
    };
    let part = MediaPart {
        text: url,
        medium: Medium::Image,
        format: None,
        filename: None,
        param: "query".to_owned(),
    };
    match Attachments::new(&reads, &S3Access::default()).attach(&part)? {
        ContentBlock::Image(ImageBlock { format, source: Source::Bytes(data) }) => {
            Ok(Query::Image(format, data))
        }
        _ => Err(Invalid::value(
            "query",
            "query is no image: knowledge bases are searched by text, or by PNG, JPEG, GIF and WebP as data URLs.",
        )),
    }
}

/// A filter in the service's terms.
fn condition<'r>(
    filter: &'r VectorFilter<'_>,
    place: &str,
    depth: usize,
) -> Result<RetrievalFilter<'r>, Invalid> {
    if depth > DEPTH {
        return Err(Invalid::value(place, "Filters are nested too deeply."));
    }
    let compare: fn(FilterAttribute<'r>) -> RetrievalFilter<'r> = match filter.kind.as_str() {
        "eq" => RetrievalFilter::Equals,
        "ne" => RetrievalFilter::NotEquals,
        "gt" => RetrievalFilter::GreaterThan,
        "gte" => RetrievalFilter::GreaterThanOrEquals,
        "lt" => RetrievalFilter::LessThan,
        "lte" => RetrievalFilter::LessThanOrEquals,
        "in" => RetrievalFilter::In,
        "nin" => RetrievalFilter::NotIn,
        "and" => return compound(filter, place, depth, RetrievalFilter::AndAll),
        "or" => return compound(filter, place, depth, RetrievalFilter::OrAll),
        other => {
            let message = format!(
                "{place}.type is {other:?}; filters are eq, ne, gt, gte, lt, lte, in, nin, and, or."
            );
            return Err(Invalid::value(format!("{place}.type"), message));
        }
    };
    let missing = |member: &str| {
        let message = format!("{place}.{member} is missing.");
        Invalid::value(format!("{place}.{member}"), message).with_code("missing_required_parameter")
    };
    let key = filter.key.as_deref().ok_or_else(|| missing("key"))?;
    let value = filter.value.ok_or_else(|| missing("value"))?;
    Ok(compare(FilterAttribute { key, value }))
}

/// Several conditions; the service takes no list of one.
fn compound<'r>(
    filter: &'r VectorFilter<'_>,
    place: &str,
    depth: usize,
    of: fn(Vec<RetrievalFilter<'r>>) -> RetrievalFilter<'r>,
) -> Result<RetrievalFilter<'r>, Invalid> {
    let within = filter.filters.iter().flatten().enumerate();
    let within =
        within.map(|(at, one)| condition(one, &format!("{place}.filters[{at}]"), depth + 1));
    let mut within = within.collect::<Result<Vec<_>, _>>()?;
    match (within.pop(), within.is_empty()) {
        (None, _) => {
            let param = format!("{place}.filters");
            let message = format!("{param} must hold at least one filter.");
            Err(Invalid::value(param, message).with_code("empty_array"))
        }
        (Some(only), true) => Ok(only),
        (Some(last), false) => {
            within.push(last);
            Ok(of(within))
        }
    }
}

impl VectorQuestion<'_> {
    /// The bodies of the calls, one for each query.
    pub fn bodies(&self) -> impl Iterator<Item = RetrieveRequest<'_>> {
        self.queries.iter().map(|query| RetrieveRequest {
            retrieval_query: query.sent(),
            retrieval_configuration: RetrievalConfiguration {
                vector_search_configuration: VectorSearch {
                    number_of_results: self.most,
                    filter: self.filter.as_ref(),
                },
            },
        })
    }
}

impl<'r> Query<'r> {
    fn sent(&self) -> RetrievalQuery<'r> {
        match *self {
            Self::Text(text) => RetrievalQuery { text: Some(text), image: None, kind: None },
            Self::Image(format, inline_content) => RetrievalQuery {
                text: None,
                image: Some(QueryImage { format, inline_content }),
                kind: Some(IMAGE_QUERY),
            },
        }
    }
}

/// Translates the answers to all queries.
///
/// # Errors
/// An answer cannot be read.
pub fn answer<'a>(
    request: &'a VectorSearchRequest<'_>,
    bodies: &[impl AsRef<[u8]>],
) -> Result<VectorSearchPage<'a>, serde_json::Error> {
    let threshold = request.ranking_options.as_ref().and_then(|options| options.score_threshold);
    let mut data: Vec<FoundPassage> = Vec::new();
    for body in bodies {
        let RetrieveResponse { retrieval_results } = serde_json::from_slice(body.as_ref())?;
        let found = retrieval_results.into_iter().map(found);
        for passage in found.filter(|found| threshold.is_none_or(|least| found.score >= least)) {
            let same = data.iter_mut().find(|known| is_same(known, &passage));
            match same {
                // Two queries have found the same passage.
                Some(known) => known.score = known.score.max(passage.score),
                None => data.push(passage),
            }
        }
    }
    data.sort_by(|one, other| other.score.total_cmp(&one.score));
    let most = request.max_num_results.unwrap_or_else(|| i64::from(USUAL));
    data.truncate(usize::try_from(most).unwrap_or_default());
    let search_query = request.query.0.iter().map(|query| shown(query)).collect();
    Ok(VectorSearchPage {
        object: SEARCH_PAGE_OBJECT,
        search_query,
        data,
        has_more: false,
        next_page: None,
    })
}

fn is_same(one: &FoundPassage, other: &FoundPassage) -> bool {
    (&one.file_id, &one.content, &one.outcrop) == (&other.file_id, &other.content, &other.outcrop)
}

/// A query in the answer: of an image, the beginning of its data URL.
fn shown(query: &str) -> &str {
    match query.split_once(',') {
        Some((head, _)) if is_data_url(query) => head,
        _ => query,
    }
}

fn found(passage: RetrievedPassage<'_>) -> FoundPassage {
    let RetrievedPassage { content, location, score, metadata } = passage;
    let file_id = location.as_ref().and_then(name_of).unwrap_or_default().to_owned();
    let path = file_id.trim_end_matches('/');
    let filename = path.rsplit('/').next().unwrap_or(path).to_owned();
    FoundPassage {
        filename,
        file_id,
        score: score.unwrap_or_default(),
        attributes: attributes(metadata.unwrap_or_default()),
        outcrop: content
            .byte_content
            .as_ref()
            .map(|url| PassageMedia { image_url: url.to_string() }),
        content: texts(content),
    }
}

/// The text that names a document's place.
fn name_of<'p>(location: &'p PassageLocation<'_>) -> Option<&'p str> {
    let PassageLocation {
        s3_location,
        web_location,
        confluence_location,
        salesforce_location,
        share_point_location,
        custom_document_location,
        kendra_document_location,
        sql_location,
    } = location;
    let all = [
        s3_location,
        web_location,
        confluence_location,
        salesforce_location,
        share_point_location,
        custom_document_location,
        kendra_document_location,
        sql_location,
    ];
    let LocationName { uri, url, id, query } = all.into_iter().flatten().next()?;
    [uri, url, id, query].into_iter().flatten().next().map(schema::Str::as_str)
}

/// The document's own members of the metadata. OpenAI's attributes are scalars; other values become JSON text.
fn attributes(metadata: Map<String, Value>) -> Map<String, Value> {
    let own = metadata.into_iter().filter(|(name, _)| !name.starts_with(OWN));
    own.map(|(name, value)| match value {
        Value::String(_) | Value::Number(_) | Value::Bool(_) => (name, value),
        Value::Null | Value::Array(_) | Value::Object(_) => {
            (name, Value::String(value.to_string()))
        }
    })
    .collect()
}

/// The texts of a passage: its own, that of a row, what is said in a recording, and what is seen in a video.
fn texts(content: PassageContent<'_>) -> Vec<PassageText> {
    let PassageContent { text, byte_content: _, audio, video, row } = content;
    let row = row.map(|columns| {
        let lines = columns.iter().map(|column| {
            let name = column.column_name.as_deref().unwrap_or_default();
            format!("{name}: {}", column.column_value.as_deref().unwrap_or_default())
        });
        lines.collect::<Vec<_>>().join("\n")
    });
    let said = audio.and_then(|audio| audio.transcription);
    let seen = video.and_then(|video| video.summary);
    let texts = [text, said, seen].into_iter().flatten();
    let texts = texts.map(|text| text.into_cow().into_owned());
    texts.chain(row).map(|text| PassageText { kind: PASSAGE_TEXT, text }).collect()
}
