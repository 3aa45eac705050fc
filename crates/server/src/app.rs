//! What the workers share, what each has for itself, and the one list of routes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::HeaderName;
use actix_web::middleware::Next;
use actix_web::{HttpMessage, web};
use arc_swap::ArcSwap;

use crate::bedrock::{Account, Transport, Transports};
use crate::config::Config;
use crate::exchange::RequestId;
use crate::routes::{chat, embeddings, fallback, health, models, native};
use crate::routing::Names;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What all workers share.
#[derive(Debug)]
pub(crate) struct Shared {
    current: ArcSwap<Snapshot>,
    draining: AtomicBool,
}

/// What a reload replaces as one: a request sees one snapshot from its beginning to its end.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) config: Config,
    pub(crate) names: Names,
}

impl Shared {
    pub(crate) fn new(snapshot: Snapshot) -> Self {
        Self { current: ArcSwap::from_pointee(snapshot), draining: AtomicBool::new(false) }
    }

    /// What is in force now.
    pub(crate) fn now(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// From now on the gateway is not ready: it is about to stop.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}

/// What one worker has: the shared part, and connections of its own.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) shared: Arc<Shared>,
    transports: Transports,
}

impl Worker {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, transports: Transports::default() }
    }

    /// What is in force now.
    pub(crate) fn now(&self) -> Arc<Snapshot> {
        self.shared.now()
    }

    /// The way to an account.
    pub(crate) fn transport(&self, account: &Account) -> Transport {
        self.transports.to(account)
    }
}

/// Every route there is.
pub(crate) fn routes(app: &mut web::ServiceConfig) {
    for path in ["/v1/chat/completions", "/chat/completions"] {
        app.service(only(path, web::post().to(chat::completions)));
    }
    for path in ["/v1/embeddings", "/embeddings"] {
        app.service(only(path, web::post().to(embeddings::embeddings)));
    }
    for path in ["/v1/models", "/models"] {
        app.service(only(path, web::get().to(models::list)));
        // Ids may hold slashes.
        app.service(only(&format!("{path}/{{id:.+}}"), web::get().to(models::one)));
    }
    for path in ["/livez", "/health/liveliness", "/health/liveness", "/health/live"] {
        app.service(only(path, web::get().to(health::live)));
    }
    for path in ["/readyz", "/health/readiness", "/health/ready"] {
        app.service(only(path, web::get().to(health::ready)));
    }
    app.service(web::scope(native::MOUNT).default_service(web::to(native::relay)));
    app.default_service(web::to(fallback::unknown_route));
}

fn only(path: &str, route: actix_web::Route) -> actix_web::Resource {
    web::resource(path).route(route).default_service(web::to(fallback::wrong_method))
}

/// Gives every request an id, and tells it to the client whatever the answer is.
pub(crate) async fn identify(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let id = RequestId::new();
    request.extensions_mut().insert(id.clone());
    let mut response = next.call(request).await?;
    response.headers_mut().insert(REQUEST_ID, id.0);
    Ok(response)
}
