//! `/console/`: the operator's page. Its files are public and hold no data; what they show comes from the admin API, which
//! wants a key.

use std::path::Path;
use std::sync::LazyLock;

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    CROSS_ORIGIN_OPENER_POLICY, CROSS_ORIGIN_RESOURCE_POLICY, ETAG, HeaderMap, HeaderName,
    IF_NONE_MATCH, LOCATION, PERMISSIONS_POLICY, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use actix_web::middleware::{Next, from_fn};
use actix_web::web::{self, Data};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use console::Asset;

use super::{read, refuse_method};
use crate::browser::Refusal;
use crate::state::Worker;

/// The path of the page.
const PATH: &str = "/console/";
/// Names a folder from which the files are served instead, for work on them.
const FOLDER: &str = "OUTCROP_CONSOLE_DIR";
/// Scripts and styles of this address alone, no markup parsed from text, no frames, no forms.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";
/// Everything that a page could ask the browser for, switched off.
const PERMISSIONS: &str = "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), microphone=(), midi=(), payment=(), usb=()";
const SECURITY: [(HeaderName, &str); 8] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
    (CROSS_ORIGIN_OPENER_POLICY, "same-origin"),
    (CROSS_ORIGIN_RESOURCE_POLICY, "same-origin"),
    (PERMISSIONS_POLICY, PERMISSIONS),
    // A new version is seen at once; the entity tag spares the bytes.
    (CACHE_CONTROL, "no-cache"),
];

static OWN_FOLDER: LazyLock<Option<String>> =
    LazyLock::new(|| std::env::var(FOLDER).ok().filter(|folder| !folder.is_empty()));

/// The routes of the page.
pub(super) fn table(app: &mut web::ServiceConfig) {
    app.service(
        web::scope("/console")
            .wrap(from_fn(guard_host))
            .service(read("", redirect))
            .service(read("/{file:.*}", file))
            .default_service(refuse_method("GET, HEAD")),
    );
}

/// The page itself, where its relative addresses are right.
async fn redirect() -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header((LOCATION, PATH)).finish()
}

async fn file(http: HttpRequest) -> HttpResponse {
    let path = http.match_info().query("file");
    let Some(asset) = console::find(path) else {
        return secured(StatusCode::NOT_FOUND).content_type("text/plain").body("not found\n");
    };
    match &*OWN_FOLDER {
        None => embedded(asset, http.headers()),
        Some(folder) => from_folder(asset, folder),
    }
}

fn embedded(asset: &'static Asset, headers: &HeaderMap) -> HttpResponse {
    let has = |name: &HeaderName, part: &str| {
        let values = headers.get_all(name).filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|one| {
            let one = one.trim().trim_start_matches("W/");
            one.split(';').next().unwrap_or_default() == part || one == "*" && part.starts_with('"')
        })
    };
    if has(&IF_NONE_MATCH, &asset.tag) {
        return described(StatusCode::NOT_MODIFIED, asset).finish();
    }
    let mut response = described(StatusCode::OK, asset);
    if has(&ACCEPT_ENCODING, "gzip") {
        response.insert_header((CONTENT_ENCODING, "gzip")).body(asset.compressed.as_slice())
    } else {
        response.body(&*asset.bytes)
    }
}

/// Only the files that are embedded are read: no path leaves the folder.
fn from_folder(asset: &Asset, folder: &str) -> HttpResponse {
    match std::fs::read(Path::new(folder).join(asset.path)) {
        Ok(bytes) => secured(StatusCode::OK).insert_header((CONTENT_TYPE, asset.kind)).body(bytes),
        Err(error) => {
            log::warn!("{FOLDER}: {}: {error}", asset.path);
            secured(StatusCode::NOT_FOUND).finish()
        }
    }
}

fn described(status: StatusCode, asset: &Asset) -> HttpResponseBuilder {
    let mut response = secured(status);
    response
        .insert_header((CONTENT_TYPE, asset.kind))
        .insert_header((ETAG, asset.tag.as_str()))
        .insert_header((VARY, ACCEPT_ENCODING.as_str()));
    response
}

fn secured(status: StatusCode) -> HttpResponseBuilder {
    let mut response = HttpResponseBuilder::new(status);
    for header in SECURITY {
        response.insert_header(header);
    }
    response
}

/// Refuses names that are not this gateway's: a page whose name was made to resolve here could read what it is told. The
/// files hold no data, so pages of other sites may link to them.
async fn guard_host(
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let Some(worker) = request.app_data::<Data<Worker>>() else { return next.call(request).await };
    let now = worker.now();
    let judged = now.config.browser().judge(&request, request.app_config().local_addr());
    match judged {
        Err(refusal @ Refusal::Host(_)) => {
            let response = secured(StatusCode::MISDIRECTED_REQUEST).body(format!("{refusal}\n"));
            Ok(request.into_response(response))
        }
        Ok(_) | Err(Refusal::Origin(_) | Refusal::Site(_)) => next.call(request).await,
    }
}
