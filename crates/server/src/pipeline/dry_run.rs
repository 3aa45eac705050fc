//! Dry runs: the caller receives the request that would go to Bedrock, and no call is made. Credentials
//! and signatures are left out.

use std::collections::BTreeMap;

use actix_web::HttpResponse;
use actix_web::http::header::ContentType;
use bytes::Bytes;
use http::Request;
use serde::Serialize;
use serde_json::value::RawValue;
use translate::{Invalid, Report};

use super::parsed_request::Untranslated;
use crate::error::GatewayError;
use crate::offload::Offload;
use crate::request::answer_headers::describe;
use crate::request::context::RequestContext;
use routing::AttemptLog;

/// The response to a dry run.
#[derive(Debug, Serialize)]
struct DryRun<'d> {
    object: &'static str,
    #[serde(flatten)]
    calls: Calls<'d>,
    /// The value of `x-outcrop-target`; absent for calls that name no model.
    #[serde(skip_serializing_if = "str::is_empty")]
    target: &'d str,
    region: &'d str,
    /// The model name from the request.
    model: &'d str,
    /// The value of `x-outcrop-ignored`.
    ignored: &'d [String],
}

/// The calls that would be sent.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Calls<'d> {
    One(Shown<'d>),
    Many { calls: Vec<Shown<'d>> },
}

/// One request that would be sent.
#[derive(Debug, Serialize)]
struct Shown<'d> {
    method: &'d str,
    url: String,
    headers: BTreeMap<&'d str, &'d str>,
    /// The body as it would be sent; null if there is none.
    body: Option<&'d RawValue>,
}

/// Responds with the calls and their addresses.
pub(crate) async fn tell(
    attempt_log: AttemptLog,
    requests: Vec<Request<Bytes>>,
    report: &Report,
    context: &mut RequestContext,
    offload: &Offload,
) -> Result<HttpResponse, GatewayError> {
    let (model, ignored) = (context.model().to_owned(), report.ignored().to_vec());
    let length = requests.iter().map(|request| request.body().len()).sum();
    let told = offload
        .run(length, async move { written(&attempt_log, &requests, &model, &ignored) })
        .await??;
    let mut response = HttpResponse::Ok();
    response.content_type(ContentType::json());
    context.complete();
    describe(&mut response, context, report, None);
    Ok(response.body(told))
}

fn written(
    attempt_log: &AttemptLog,
    requests: &[Request<Bytes>],
    model: &str,
    ignored: &[String],
) -> Result<Vec<u8>, Untranslated> {
    let mut calls = Vec::with_capacity(requests.len());
    for request in requests {
        calls.push(shown(request)?);
    }
    let calls = match (calls.pop(), calls.is_empty()) {
        (Some(only), true) => Calls::One(only),
        (last, _) => {
            calls.extend(last);
            Calls::Many { calls }
        }
    };
    let told = DryRun {
        object: "outcrop.dry_run",
        calls,
        target: &attempt_log.target,
        region: &attempt_log.region,
        model,
        ignored,
    };
    Ok(serde_json::to_vec(&told)?)
}

fn shown(request: &Request<Bytes>) -> Result<Shown<'_>, Invalid> {
    let body = match request.body().as_ref() {
        b"" => None,
        body => Some(serde_json::from_slice(body).map_err(|_| {
            Invalid::value("body", "A dry run shows bodies of JSON, and this is none.")
        })?),
    };
    let headers = request.headers().iter();
    Ok(Shown {
        method: request.method().as_str(),
        url: request.uri().to_string(),
        headers: headers
            .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
            .collect(),
        body,
    })
}
