//! `GET /`, for people: name and version, the base URL, a line to paste, and where to read on. HTML for browsers,
//! plain text for all others.

use actix_web::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, VARY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};

use super::address;
use crate::listener::Listener;
use crate::request::context::RequestContext;
use crate::state::{Snapshot, Worker};

/// Nothing but the page's own style and its empty icon. A test computes the hash.
const POLICY: &str = "default-src 'none'; style-src 'sha256-FfzBqEYpJ2WL2DECPEE3iSsQ3+7kMuaR6rbNzoMBsGk='; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:3rem auto;padding:0 1rem;color:#222;background:#fff}pre{background:#f3f3f3;padding:1rem;overflow:auto}@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}pre{background:#262626}a{color:#8ab4f8}}";
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Where the project lives, if the manifest says so.
const DOCS: &str = env!("CARGO_PKG_REPOSITORY");
/// The path of the operator's page.
const CONSOLE: &str = "/console/";
/// The model of the example where the operator has named none.
const MODEL: &str = "nova-lite";

/// Answers in the form that the client asks for.
pub(crate) async fn page(worker: Data<Worker>, http: HttpRequest) -> HttpResponse {
    let mut context = RequestContext::begin(&http, "page");
    let (base, model) = (address::of(&http), example(&worker.now()));
    let console = console(&worker);
    context.complete();
    let (kind, text) = if wants_html(&http) {
        ("text/html; charset=utf-8", html(&base, &model, console.as_deref()))
    } else {
        ("text/plain; charset=utf-8", plain(&base, &model, console.as_deref()))
    };
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, kind))
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((X_FRAME_OPTIONS, "DENY"))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((VARY, ACCEPT.as_str()))
        .body(text)
}

/// The operator's first name for a model that chats; none of them where callers prove a key, which the page does
/// not ask for.
fn example(now: &Snapshot) -> String {
    if now.config.master_key.is_some() {
        return MODEL.to_owned();
    }
    let own = now.names.listed();
    let chats = own.iter().find(|one| one.target.profile.embedding.is_none());
    chats.map_or_else(|| MODEL.to_owned(), |one| one.name.to_owned())
}

/// The address of the console, where readers of this page may reach it.
fn console(worker: &Worker) -> Option<String> {
    if !cfg!(feature = "console") {
        return None;
    }
    let shared = &worker.shared;
    let here = shared.now().config.serves_console(Listener::Models);
    let elsewhere = || shared.console.get().map(|address| format!("http://{address}{CONSOLE}"));
    if here { Some(CONSOLE.to_owned()) } else { elsewhere() }
}

fn wants_html(http: &HttpRequest) -> bool {
    let accepted = http.headers().get_all(ACCEPT);
    accepted.filter_map(|value| value.to_str().ok()).any(|value| {
        let mut kinds = value.split(',').filter_map(|kind| kind.split(';').next());
        kinds.any(|kind| kind.trim().eq_ignore_ascii_case("text/html"))
    })
}

/// A request to paste into a shell.
fn curl(base: &str, model: &str) -> String {
    let body = serde_json::json!({
        "model": model,
        "messages": [{ "role": "user", "content": "Hello" }]
    });
    // Names may hold the quote that ends the shell's string.
    let body = body.to_string().replace('\'', "'\\''");
    format!("curl {base}/v1/chat/completions -H 'content-type: application/json' -d '{body}'")
}

fn plain(base: &str, model: &str, console: Option<&str>) -> String {
    let curl = curl(base, model);
    let docs = if DOCS.is_empty() { String::new() } else { format!("documentation: {DOCS}\n") };
    let console = match console {
        None => String::new(),
        Some(path) if path.starts_with('/') => format!("console: {base}{path}\n"),
        Some(address) => format!("console: {address}\n"),
    };
    format!(
        "Outcrop {VERSION}: an OpenAI-compatible gateway on AWS Bedrock\n\nbase URL: {base}/v1\nBedrock's API: {base}/bedrock\nmodels: {base}/v1/models\nhealth: {base}/health\n{console}{docs}\n{curl}\n"
    )
}

fn html(base: &str, model: &str, console: Option<&str>) -> String {
    let (base, curl) = (escaped(base), escaped(&curl(base, model)));
    let docs = if DOCS.is_empty() {
        String::new()
    } else {
        format!(" · <a href=\"{0}\">documentation</a>", escaped(DOCS))
    };
    let console = console.map_or_else(String::new, |address| {
        format!(" · <a href=\"{}\">console</a>", escaped(address))
    });
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>Outcrop</title><link rel=\"icon\" href=\"data:,\"><style>{STYLE}</style></head><body><h1>Outcrop {VERSION}</h1><p>An OpenAI-compatible gateway on AWS Bedrock.</p><p>Base URL for OpenAI's clients: <code>{base}/v1</code><br>Endpoint for AWS's clients: <code>{base}/bedrock</code></p><pre>{curl}</pre><p><a href=\"/v1/models\">models</a> · <a href=\"/health\">health</a>{console}{docs}</p></body></html>\n"
    )
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::digest;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn the_policy_allows_the_style() {
        let hash = STANDARD.encode(digest::digest(&digest::SHA256, STYLE.as_bytes()));
        assert!(POLICY.contains(&format!("'sha256-{hash}'")), "{hash}");
    }

    #[test]
    fn names_cannot_leave_the_page_or_the_shells_string() {
        let page = html("http://h", "a'<script>\"", Some("/console/"));
        assert!(!page.contains("<script") && page.contains("&lt;script&gt;"), "{page}");
        assert!(plain("http://h", "a'b", None).contains(r"a'\''b"));
    }
}
