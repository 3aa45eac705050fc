//! Paths of the front API as clients write them, made into those of the route table: slashes doubled or at the
//! end, and Azure's, whose clients cannot be given other paths. All others stay as they are.

use actix_web::HttpMessage;
use actix_web::dev::ServiceRequest;
use actix_web::http::uri::PathAndQuery;

use super::SERVED;
use super::models::decoded;
use crate::credential::SentTarget;
use crate::pipeline::deployment::AzureDeployment;

/// What is reachable by other spellings besides the served paths, below the base URL; `/*` stands for
/// anything below.
const KNOWN: &[&str] = &[
    "",
    "batches/*",
    "conversations/*",
    "files/*",
    "messages/batches/*",
    "models/*",
    "responses/*",
    "v2/rerank",
    "vector_stores/*",
    "livez",
    "readyz",
    "health",
    "healthz",
];

/// Gives a request the path that its route has.
pub(crate) fn normalise(request: &mut ServiceRequest) {
    let Some((path, deployment)) = normalised(request.path()) else { return };
    let uri = request.uri();
    let sent = SentTarget(uri.path().to_owned(), uri.query().map(ToOwned::to_owned));
    let path = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    let mut parts = uri.clone().into_parts();
    // A path that is no path any more is left for the fallback to refuse.
    let Ok(path) = PathAndQuery::try_from(path) else { return };
    parts.path_and_query = Some(path);
    let Ok(uri) = actix_web::http::Uri::from_parts(parts) else { return };
    request.match_info_mut().get_mut().update(&uri);
    request.head_mut().uri = uri;
    request.extensions_mut().insert(sent);
    if let Some(deployment) = deployment {
        request.extensions_mut().insert(deployment);
    }
}

/// The path in the table, if it is another one, and the model that it names.
fn normalised(path: &str) -> Option<(String, Option<AzureDeployment>)> {
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let (base, rest, deployment) = match segments.as_slice() {
        ["openai", "deployments", name, rest @ ..] if !rest.is_empty() => {
            ("/v1", rest, Some(AzureDeployment(decoded(name))))
        }
        ["openai", "v1", rest @ ..] | ["openai", rest @ ..] => ("/v1", rest, None),
        // Anthropic's clients for AWS add their version below a base of that name.
        ["anthropic", "v1", rest @ ..] if matches!(rest, ["messages" | "models", ..]) => {
            ("/v1", rest, None)
        }
        ["v1", rest @ ..] => ("/v1", rest, None),
        rest => ("", rest, None),
    };
    let rest = rest.join("/");
    let is_known = KNOWN.iter().chain(SERVED).any(|known| match known.strip_suffix('*') {
        Some(above) => rest.len() > above.len() && rest.starts_with(above),
        None => rest == *known,
    });
    let normalised = match (base, rest.as_str()) {
        ("", "") => "/".to_owned(),
        (base, "") => base.to_owned(),
        (base, rest) => format!("{base}/{rest}"),
    };
    (is_known && normalised != path).then_some((normalised, deployment))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_served_paths_are_normalised() {
        for (path, expected) in [
            ("/v1/chat/completions/", "/v1/chat/completions"),
            ("//v1/chat/completions", "/v1/chat/completions"),
            ("/v1//chat//completions", "/v1/chat/completions"),
            ("/chat/completions/", "/chat/completions"),
            ("/v1/models/", "/v1/models"),
            ("/v1/models/a%2Fb/", "/v1/models/a%2Fb"),
            ("/v1/", "/v1"),
            ("//", "/"),
            ("/readyz/", "/readyz"),
            ("/openai/v1/embeddings", "/v1/embeddings"),
            ("/openai/models", "/v1/models"),
            ("/anthropic/v1/messages", "/v1/messages"),
            ("/anthropic/v1/messages/count_tokens", "/v1/messages/count_tokens"),
            ("/anthropic/v1/messages/batches", "/v1/messages/batches"),
            ("/anthropic/v1/messages/batches/a/results", "/v1/messages/batches/a/results"),
            ("/openai/v1/files/a/content", "/v1/files/a/content"),
            ("/v1/batches/a/cancel/", "/v1/batches/a/cancel"),
            ("/anthropic/v1/models/a", "/v1/models/a"),
        ] {
            assert_eq!(normalised(path), Some((expected.to_owned(), None)), "{path}");
        }
        for path in [
            "/",
            "/v1",
            "/v1/chat/completions",
            "/v1/models/a/b",
            "/v1/assistants/",
            "/v1/v1/chat/completions",
            "/bedrock/model/a//converse",
            "/model/a/converse/",
            "/openai/assistants",
            "/openai/deployments/a/assistants",
            "/openai/deployments/embeddings",
            "/anthropic/v1/files",
        ] {
            assert_eq!(normalised(path), None, "{path}");
        }
    }

    #[test]
    fn azures_paths_name_a_model() {
        for (path, expected, name) in [
            ("/openai/deployments/gpt-4o/chat/completions", "/v1/chat/completions", "gpt-4o"),
            ("/openai/deployments/a/completions", "/v1/completions", "a"),
            ("/openai/deployments/a%2Fb%3A0/embeddings/", "/v1/embeddings", "a/b:0"),
        ] {
            let deployment = Some(AzureDeployment(name.to_owned()));
            assert_eq!(normalised(path), Some((expected.to_owned(), deployment)), "{path}");
        }
    }
}
