//! What the workers share, what each has for itself, and the one list of routes.

use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::header::HeaderName;
use actix_web::middleware::{Next, from_fn};
use actix_web::{App, FromRequest, Handler, HttpMessage, Responder, guard, web};
use arc_swap::ArcSwap;

use crate::browser;
use crate::config::Config;
use crate::error::{ErrorDialect, GatewayError};
use crate::json_schema::Validators;
use crate::master_key;
use crate::media::Fetcher;
use crate::offload::Offload;
use crate::panic_guard::{self, Panicked};
use crate::readiness::Readiness;
use crate::reasoning_store::{LocalStore, RedisStore};
use crate::request::context::RequestId;
use crate::routes::refusal::{self, Shape};
use crate::routes::{
    chat, count, embeddings, fallback, health, models, moderations, native, page, paths,
};
use crate::shutdown::{self, Cutoff};
use bedrock::{Account, HOP, Sdk, Settings, Transport, TransportPool};
use routing::{OpenError, Resolver};

/// Moderations of large inputs at a time; each holds a thread while Bedrock judges.
const MODERATIONS: usize = 8;

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What all workers share.
#[derive(Debug)]
pub(crate) struct Shared {
    current: ArcSwap<Snapshot>,
    draining: AtomicBool,
    /// The address listened on.
    pub(crate) address: SocketAddr,
    /// Whether credentials were found.
    pub(crate) readiness: Readiness,
    /// Cuts off what is under way when the process must end.
    pub(crate) cutoff: Cutoff,
    /// For media that requests refer to.
    pub(crate) fetcher: Fetcher,
    /// What models thought; it outlives reloads.
    pub(crate) memory: LocalStore,
    /// For answers that were asked to be JSON.
    pub(crate) validators: Validators,
    /// For work that takes long.
    pub(crate) offload: Offload,
    /// For moderations of large inputs, which wait for Bedrock as well.
    pub(crate) moderation: Offload,
}

/// What a reload replaces as one: a request sees one snapshot from its beginning to its end.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) config: Config,
    pub(crate) names: Resolver,
    /// Who moderates.
    pub(crate) moderator: Account,
    /// What models thought, where replicas share it.
    pub(crate) store: Option<Arc<RedisStore>>,
    /// How many came before it.
    generation: u64,
}

/// More notes than this are for `outcrop check` to tell.
const NOTES: usize = 4;

impl Snapshot {
    /// Opens the accounts that a configuration needs; `setup` says what it leaves open. What `before`
    /// has is kept where nothing about it has changed.
    pub(crate) async fn open(
        mut config: Config,
        setup: &Settings,
        before: Option<&Self>,
    ) -> Result<Self, OpenError> {
        let setup = Settings {
            region: setup.region.clone().or_else(|| config.region.clone()),
            last_region: config.last_region.clone(),
            profile: setup.profile.clone().or_else(|| config.profile.clone()),
            timeouts: config.timeouts,
            ..setup.clone()
        };
        let names =
            Resolver::open(&config.models, setup, before.map(|before| &before.names)).await?;
        let place = &config.moderation.place;
        let moderator = names
            .account_at(place, before.map(|before| &before.names))
            .await
            .map_err(OpenError::Moderation)?;
        let generation = before.map_or(0, |before| before.generation + 1);
        let store = config.thinking_store.as_ref();
        let store = RedisStore::open(store, before.and_then(|before| before.store.as_ref()));
        config.notes.extend(names.doubts());
        Ok(Self { config, names, moderator, store, generation })
    }

    /// Defects of the accounts' trust roots and profiles, as far as files show them.
    pub(crate) async fn flaws(&self) -> Vec<String> {
        let mut flaws = Vec::new();
        for account in self.names.accounts() {
            flaws.extend(account.flaws().await);
        }
        flaws.sort();
        flaws.dedup();
        flaws
    }

    /// Says in the log what an operator should know about the configuration.
    pub(crate) fn warn(&self) {
        for note in self.config.notes.iter().take(NOTES) {
            log::warn!("{note}");
        }
        let more = self.config.notes.len().saturating_sub(NOTES);
        if more > 0 {
            log::warn!("{more} more notes on the configuration: outcrop check tells them");
        }
    }
}

impl Shared {
    pub(crate) fn new(snapshot: Snapshot, address: SocketAddr) -> Self {
        let offload = Offload::default();
        Self {
            current: ArcSwap::from_pointee(snapshot),
            draining: AtomicBool::new(false),
            address,
            readiness: Readiness::default(),
            cutoff: Cutoff::default(),
            fetcher: Fetcher::default(),
            memory: LocalStore::default(),
            validators: Validators::new(offload.clone()),
            offload,
            moderation: Offload::with_permits(MODERATIONS),
        }
    }

    /// What is in force now.
    pub(crate) fn now(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Puts another configuration in force. Requests that have begun keep theirs.
    pub(crate) fn replace(&self, next: Snapshot) {
        self.current.store(Arc::new(next));
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
    transports: TransportPool,
    /// The snapshot the transports were last tidied for.
    tidied: Cell<u64>,
}

impl Worker {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, transports: TransportPool::default(), tidied: Cell::new(0) }
    }

    /// What is in force now.
    pub(crate) fn now(&self) -> Arc<Snapshot> {
        let now = self.shared.now();
        if self.tidied.replace(now.generation) != now.generation {
            self.transports.keep(|account| now.names.holds(account));
        }
        now
    }

    /// The way to an account.
    pub(crate) fn transport(&self, account: &Account) -> Transport {
        self.transports.to(account)
    }

    /// The same, for operations that AWS's SDK writes and reads.
    pub(crate) fn sdk(&self, account: &Account) -> Sdk {
        self.transports.sdk(account)
    }
}

/// The application of one worker, for every protocol that clients speak.
pub(crate) fn application(
    shared: Arc<Shared>,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = actix_web::Error,
        InitError = (),
    >,
> {
    App::new()
        .app_data(web::Data::new(Worker::new(shared)))
        .wrap(from_fn(shutdown::answer_before_the_end))
        .wrap(from_fn(identify))
        .configure(routes)
}

/// Every route there is.
fn routes(app: &mut web::ServiceConfig) {
    // Probes come by any name, and tell nothing.
    for path in ["/livez", "/health/liveliness", "/health/liveness", "/health/live"] {
        app.service(read(path, health::live));
    }
    for path in ["/readyz", "/health", "/healthz", "/health/readiness", "/health/ready"] {
        app.service(read(path, health::ready));
    }
    let guards = web::scope("")
        .wrap(from_fn(master_key::guard))
        .wrap(from_fn(browser::guard))
        .wrap(from_fn(refuse_loops));
    app.service(guards.configure(guarded));
}

/// Refuses a call that a gateway has sent on: an endpoint that is a gateway is a mistake, and one that leads
/// back here would call for ever.
async fn refuse_loops(
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let worker = request.app_data::<web::Data<Worker>>();
    match worker.filter(|_| request.headers().contains_key(HOP.as_str())) {
        None => next.call(request).await,
        Some(worker) => {
            let now = worker.now();
            let response =
                refusal::respond(request.request(), &now.config, "loop", GatewayError::Loop);
            Ok(request.into_response(response))
        }
    }
}

/// The routes that web pages may not call.
fn guarded(app: &mut web::ServiceConfig) {
    for path in ["/v1/chat/completions", "/chat/completions"] {
        app.service(json(path, chat::completions));
    }
    for path in ["/v1/chat/completions/input_tokens", "/chat/completions/input_tokens"] {
        app.service(json(path, count::input_tokens));
    }
    for path in ["/v1/embeddings", "/embeddings"] {
        app.service(json(path, embeddings::embeddings));
    }
    for path in ["/v1/moderations", "/moderations"] {
        app.service(json(path, moderations::moderations));
    }
    for path in ["/v1/models", "/models"] {
        app.service(read(path, models::list));
        // Ids may hold slashes.
        app.service(read(&format!("{path}/{{id:.+}}"), models::one));
    }
    for path in ["/", "/v1"] {
        app.service(read(path, page::page));
    }
    app.service(web::scope(native::MOUNT).default_service(web::to(native::relay)));
    app.default_service(web::to(fallback::unknown_route));
}

/// A path that is read only.
fn read<F, A>(path: &str, handler: F) -> actix_web::Resource
where
    F: Handler<A>,
    A: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    let reads = guard::Any(guard::Get()).or(guard::Head());
    web::resource(path)
        .route(web::route().guard(reads).to(handler))
        .default_service(refuse_method("GET, HEAD"))
}

/// A route that takes a body of JSON, and nothing that says it is something else: web pages can send other
/// types without asking.
fn json<F, A>(path: &str, handler: F) -> actix_web::Resource
where
    F: Handler<A>,
    A: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    let declared = guard::fn_guard(|context| fallback::is_json(context.head().headers()));
    web::resource(path)
        .route(web::post().guard(declared).to(handler))
        .route(web::post().to(fallback::wrong_type))
        .default_service(refuse_method("POST"))
}

/// 405 with the methods that are `allowed`.
fn refuse_method(allowed: &'static str) -> actix_web::Route {
    web::to(move |http, payload| fallback::wrong_method(http, payload, allowed))
}

/// Gives every request an id, and tells it to the client whatever the answer is. A panic is answered as well:
/// without that the connection would be closed.
pub(crate) async fn identify(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    paths::settle(&mut request);
    let id = RequestId::new();
    request.extensions_mut().insert(id.clone());
    let worker = request.app_data::<web::Data<Worker>>();
    let shape = worker.map_or(Shape::Front(ErrorDialect::OpenAi), |worker| {
        let (method, uri, headers) = (request.method(), request.uri(), request.headers());
        Shape::of(method.as_str(), uri, headers, &worker.now().config)
    });
    match panic_guard::caught(id.as_str(), next.call(request)).await {
        Ok(answered) => {
            let mut response = answered?;
            response.headers_mut().insert(REQUEST_ID, id.0);
            Ok(response)
        }
        Err(Panicked) => {
            let mut response = refusal::panicked(shape, id.as_str());
            response.headers_mut().insert(REQUEST_ID, id.0);
            // The request went with the panic, and a response needs one.
            Err(InternalError::from_response("panic", response).into())
        }
    }
}
