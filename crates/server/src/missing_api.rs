//! APIs that clients ask for and that this gateway does not serve, each with what to use instead: unknown addresses are a
//! 404, known APIs of OpenAI's that nothing on Bedrock serves a 501. An API that gets built loses its row.

use std::fmt;

const BATCHES: &str = "This gateway serves POST and GET {base}/v1/batches, GET {base}/v1/batches/BATCH_ID and POST {base}/v1/batches/BATCH_ID/cancel.";
const MESSAGES: &str = "This gateway serves POST {base}/v1/messages, {base}/v1/messages/count_tokens and {base}/v1/messages/batches: set ANTHROPIC_BASE_URL={base}, or base_url=\"{base}\" in Anthropic's SDKs.";

/// Beginnings of paths of Anthropic's API, each one segment.
const ANTHROPICS: &[&str] = &["messages", "complete"];
/// The first segment of base URLs that only Anthropic's clients have.
const ANTHROPIC: &str = "anthropic";

/// APIs of OpenAI's without a part of Bedrock that could serve them, and clauses that name what to use instead. The
/// first row that fits counts.
#[rustfmt::skip]
const NOT_IMPLEMENTED: &[Row] = &[
    (&["edits"], "OpenAI's edits API",
     "use chat completions, POST {base}/v1/chat/completions"),
    (&["images/variations"], "OpenAI's API for variations of images",
     "use POST {base}/v1/images/edits with a prompt and a model that edits images"),
    (&["videos"], "OpenAI's video API",
     "call a video model with StartAsyncInvoke through AWS's SDKs at {base}/bedrock"),
    (&["audio/speech", "audio/voices", "audio/voice_consents"], "OpenAI's speech API",
     "Amazon Bedrock has no model that turns text into speech by request and answer, so use Amazon Polly"),
    (&["realtime"], "OpenAI's Realtime API",
     "use POST {base}/v1/chat/completions with \"stream\": true, or Nova Sonic through AWS's SDKs without this gateway"),
    (&["uploads"], "OpenAI's API for uploads in parts",
     "send the file in one piece, POST {base}/v1/files"),
    (&["fine_tuning", "fine-tunes", "fine_tunes"], "OpenAI's fine-tuning API",
     "customise a model with Bedrock's CreateModelCustomizationJob through AWS's SDKs at {base}/bedrock (native.services: [bedrock] opens it), and name its ARN as the model"),
    (&["assistants", "threads"], "OpenAI's Assistants API",
     "use POST {base}/v1/responses with a conversation, or an agent of Bedrock's with InvokeAgent through AWS's SDKs at {base}/bedrock"),
    (&["vector_stores"], "This part of OpenAI's vector store API",
     "knowledge bases of Bedrock's are made and filled in AWS, and POST {base}/v1/vector_stores/KNOWLEDGE_BASE_ID/search searches one"),
    (&["containers", "skills", "chatkit"], "This API of OpenAI's",
     "use POST {base}/v1/responses with tools that the client runs"),
    (&["evals"], "OpenAI's API for evaluations",
     "evaluate models with Bedrock's CreateEvaluationJob through AWS's SDKs at {base}/bedrock (native.services: [bedrock] opens it)"),
    (&["organization", "projects", "usage", "dashboard"], "OpenAI's administration API",
     "keys and spend are at the gateway's admin API where it has a master key, else in AWS: IAM, Cost Explorer, CloudWatch"),
];

/// Beginnings of paths, the API that they belong to, and its replacement. `{base}` is the gateway's address. The
/// first row that fits counts.
#[rustfmt::skip]
const MISSING: &[Row] = &[
    (&["responses", "conversations"], "This part of OpenAI's Responses API",
     "Continue a response with previous_response_id, or send the items of the conversation in input, POST {base}/v1/responses."),
    (ANTHROPICS, "This part of Anthropic's API", MESSAGES),
    (&["engines"], "OpenAI's engines API",
     "Use POST {base}/v1/completions with the model's name in \"model\", or chat completions, POST {base}/v1/chat/completions."),
    (&["images"], "This part of OpenAI's image API",
     "This gateway serves POST {base}/v1/images/generations and {base}/v1/images/edits. Chat models read images as data URLs in image_url parts."),
    (&["audio"], "This part of OpenAI's audio API",
     "This gateway serves POST {base}/v1/audio/transcriptions and {base}/v1/audio/translations."),
    (&["files"], "This part of OpenAI's file API",
     "Send a file in one piece, POST {base}/v1/files, or put it into the request: file parts with file_data, or image_url parts with data URLs, at POST {base}/v1/chat/completions."),
    (&["batches"], "This part of OpenAI's batch API", BATCHES),
    (&["tokenize", "utils/token_counter"], "This token counter",
     "Use POST {base}/v1/chat/completions/input_tokens with the body of a chat request."),
    (&["model/info", "model_group/info"], "LiteLLM's model list",
     "Use GET {base}/v1/models."),
    (&["key", "user", "team", "budget", "spend", "global", "customer", "config", "ui"], "LiteLLM's management API",
     "Names, targets and limits are set in the gateway's configuration file."),
    (&["api/chat", "api/generate", "api/tags", "api/show", "api/embed", "api/embeddings", "api/version"], "Ollama's API",
     "Set the client to an OpenAI-compatible provider with the base URL {base}/v1."),
    (&["v1beta", "v1alpha"], "Google's Gemini API",
     "Set the client to an OpenAI-compatible provider with the base URL {base}/v1."),
    (&["v2/chat", "chat", "v2/embed", "embed", "generate"], "This API",
     "Use POST {base}/v1/chat/completions or POST {base}/v1/embeddings."),
    (&["metrics"], "Metrics", "The access log has a line for every request."),
];

/// The address that was asked for, as far as errors repeat it.
#[derive(Debug, Clone)]
pub(crate) struct RequestedUrl {
    pub(crate) method: String,
    pub(crate) path: String,
    /// The gateway's own address, as the caller writes it.
    pub(crate) base: String,
    /// Paths that are served, below `/v1`.
    pub(crate) served: &'static [&'static str],
}

/// A request that no route accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum UrlKind {
    /// Served, below another base URL: the path that is right.
    Elsewhere(&'static str),
    /// An API that is not served, and its replacement.
    Missing(&'static str, &'static str),
    /// An API of OpenAI's that nothing on Bedrock serves, and what to use instead.
    NotImplemented(&'static str, &'static str),
    Unknown,
}

impl UrlKind {
    fn of(path: &str, served: &'static [&'static str]) -> Self {
        let segments: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let ends = || (0..segments.len()).filter_map(|start| segments.get(start..));
        if segments.first() == Some(&ANTHROPIC) {
            return Self::Missing("Anthropic's API", MESSAGES);
        }
        // A base URL may have any segments before the version.
        let version = segments.iter().rposition(|segment| *segment == "v1").map_or(0, |at| at + 1);
        let below = segments.get(version..).unwrap_or_default();
        if let Some((api, instead)) = found(NOT_IMPLEMENTED, below) {
            return Self::NotImplemented(api, instead);
        }
        let served = ends().find_map(|end| {
            let end = end.join("/");
            served.iter().find(|path| **path == end)
        });
        if let Some(served) = served {
            return Self::Elsewhere(served);
        }
        ends().find_map(missing).unwrap_or(Self::Unknown)
    }
}

/// Beginnings of paths, an API, and what to use instead.
type Row = (&'static [&'static str], &'static str, &'static str);

/// The API whose paths begin like these segments.
fn missing(segments: &[&str]) -> Option<UrlKind> {
    let absent = found(NOT_IMPLEMENTED, segments);
    let absent = absent.map(|(api, instead)| UrlKind::NotImplemented(api, instead));
    let unserved = || found(MISSING, segments);
    absent.or_else(|| unserved().map(|(api, instead)| UrlKind::Missing(api, instead)))
}

/// The first of `rows` whose paths begin like these segments: its API and replacement.
fn found(rows: &[Row], segments: &[&str]) -> Option<(&'static str, &'static str)> {
    let begins = |beginning: &str| {
        let mut rest = segments.iter();
        beginning.split('/').all(|part| rest.next().is_some_and(|s| s.eq_ignore_ascii_case(part)))
    };
    let row = rows.iter().find(|(paths, ..)| paths.iter().any(|path| begins(path)));
    row.map(|(_, api, instead)| (*api, *instead))
}

/// Whether a path belongs to Anthropic's API, served or not, by whatever base URL.
pub(crate) fn is_anthropics(path: &str) -> bool {
    // Every request is asked, and most have none of these segments.
    let may_be = path.split('/').any(|segment| {
        segment == ANTHROPIC || ANTHROPICS.iter().any(|name| segment.eq_ignore_ascii_case(name))
    });
    may_be && matches!(UrlKind::of(path, &[]), UrlKind::Missing(_, instead) if instead == MESSAGES)
}

impl RequestedUrl {
    /// Whether the path is that of a known API of OpenAI's that nothing on Bedrock serves.
    pub(crate) fn is_not_implemented(&self) -> bool {
        matches!(UrlKind::of(&self.path, self.served), UrlKind::NotImplemented(..))
    }
}

/// The message of the error.
impl fmt::Display for RequestedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, path, base, served } = self;
        let kind = UrlKind::of(path, served);
        if let UrlKind::NotImplemented(api, instead) = kind {
            let instead = instead.replace("{base}", base);
            return write!(f, "{method} {path}: {api} is not implemented here; {instead}.");
        }
        write!(f, "Unknown request URL: {method} {path}. ")?;
        let is_doubled = path.contains("/v1/v1/") || path.ends_with("/v1/v1");
        if is_doubled {
            f.write_str("The path has /v1 twice, because the client adds it to a base URL that ends in it. ")?;
        }
        match kind {
            UrlKind::Elsewhere(served) => write!(
                f,
                "This gateway serves /v1/{served}: set the client's base URL to {base}/v1, or to {base} if the client adds /v1 itself."
            ),
            UrlKind::Missing(api, instead) | UrlKind::NotImplemented(api, instead) => {
                write!(f, "{api} is not served here. {}", instead.replace("{base}", base))
            }
            UrlKind::Unknown => write!(
                f,
                "This gateway serves POST /v1/chat/completions, /v1/responses, /v1/completions, /v1/messages, /v1/embeddings, /v1/rerank and /v1/moderations, GET /v1/models, and Bedrock's own API below /bedrock: set the client's base URL to {base}/v1, or for AWS's SDKs to {base}/bedrock."
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(path: &str) -> String {
        let (method, base) = ("POST".to_owned(), "http://h:1".to_owned());
        let served = &["chat/completions", "models"];
        RequestedUrl { method, path: path.to_owned(), base, served }.to_string()
    }

    #[test]
    fn missing_apis_are_named_by_any_base_url() {
        for (path, api) in [
            ("/v1/conversations", "Responses API"),
            ("/responses/resp_1/input_items", "Responses API"),
            ("/v1/v1/responses/compact", "Responses API"),
            ("/v1/messages/batches", "part of Anthropic's API"),
            ("/v1/complete", "part of Anthropic's API"),
            ("/anthropic/v1/files", "Anthropic's API"),
            ("/v1/engines/davinci", "engines API"),
            ("/v1/edits", "edits API"),
            ("/v1/images/variations", "variations of images"),
            ("/v1/images/others", "image API"),
            ("/v1/audio/speech", "speech API"),
            ("/v1/audio/voices", "speech API"),
            ("/v1/audio/others", "audio API"),
            ("/v1/uploads/u/parts", "uploads in parts"),
            ("/v1/organization/costs", "administration API"),
            ("/v1/realtime", "Realtime API"),
            ("/v1/files/file-1/content", "file API"),
            ("/v1/batches", "batch API"),
            ("/v1/fine_tuning/jobs", "fine-tuning API"),
            ("/v1/threads/t/messages", "Assistants API"),
            ("/v1/assistants", "Assistants API"),
            ("/v1/vector_stores/x/files", "vector store API"),
            ("/api/tags", "Ollama's API"),
            ("/v1beta/models/gemini-pro:generateContent", "Gemini API"),
            ("/key/generate", "management API"),
        ] {
            let told = told(path);
            assert!(told.contains(api), "{path}: {told}");
            assert!(!told.contains('{'), "{told}");
            assert_eq!(told.contains("/v1 twice"), path.contains("v1/v1"), "{told}");
        }
    }

    #[test]
    fn served_paths_below_another_base_url_are_told() {
        for path in [
            "/v1/v1/chat/completions",
            "/api/v1/chat/completions",
            "/v1/chat/completions/chat/completions",
            "/v1beta/openai/chat/completions",
            "/v1/v1/models",
        ] {
            let told = told(path);
            assert!(told.contains("base URL to http://h:1/v1"), "{told}");
        }
        assert!(told("/nothing/of/ours").contains("/v1/chat/completions"));
    }

    #[test]
    fn apis_that_nothing_serves_are_one_sentence() {
        for (paths, ..) in NOT_IMPLEMENTED {
            for path in *paths {
                let (method, base) = ("POST".to_owned(), "http://h:1".to_owned());
                let path = format!("/v1/{path}");
                let asked = RequestedUrl { method, path, base, served: &["messages"] };
                assert!(asked.is_not_implemented(), "{asked}");
                let told = asked.to_string();
                assert!(told.ends_with('.') && !told.contains(". "), "{told}");
            }
        }
        let served = &["completions"][..];
        for path in [
            "/projects/p/v1/completions",
            "/v1/engines/a/completions",
            "/v1/images/others",
            "/no/such/thing",
        ] {
            let (method, base) = ("POST".to_owned(), "http://h:1".to_owned());
            let asked = RequestedUrl { method, path: path.to_owned(), base, served };
            assert!(!asked.is_not_implemented(), "{path}");
        }
    }

    #[test]
    fn messages_fit_into_an_error() {
        for (_, api, instead) in MISSING.iter().chain(NOT_IMPLEMENTED) {
            assert!(api.len() + instead.len() < 600, "{api}");
            assert_eq!(instead.matches('"').count() % 2, 0, "{api}");
        }
    }

    #[test]
    fn anthropics_paths_are_recognised() {
        for (path, is) in [
            ("/v1/messages", true),
            ("/v1/v1/messages", true),
            ("/messages/batches", true),
            ("/anthropic/v1/models", true),
            ("/v1/threads/t/messages", false),
            ("/v1/responses", false),
            ("/anthropics", false),
        ] {
            assert_eq!(is_anthropics(path), is, "{path}");
        }
    }
}
