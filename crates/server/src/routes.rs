//! The HTTP handlers, one file per route, and the table of their paths.

use std::sync::Arc;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::middleware::from_fn;
use actix_web::{App, FromRequest, Handler, Responder, guard, web};

use crate::form::is_form;
use crate::listener::Listener;
use crate::native::path::MOUNT;
use crate::state::{AdminPlace, Shared, Worker};

pub(crate) mod address;
pub(crate) mod admin;
pub(crate) mod audio;
pub(crate) mod batches;
pub(crate) mod chat;
pub(crate) mod completions;
#[cfg(feature = "console")]
pub(crate) mod console;
pub(crate) mod conversations;
pub(crate) mod count;
pub(crate) mod embeddings;
pub(crate) mod fallback;
pub(crate) mod files;
pub(crate) mod health;
pub(crate) mod images;
pub(crate) mod message_batches;
pub(crate) mod messages;
mod metadata;
mod metrics;
pub(crate) mod middleware;
pub(crate) mod models;
mod models_codex;
mod models_page;
pub(crate) mod moderations;
pub(crate) mod native;
pub(crate) mod page;
mod page_limit;
pub(crate) mod paths;
mod recorded;
pub(crate) mod refusal;
pub(crate) mod rerank;
pub(crate) mod responses;
pub(crate) mod vector_stores;

/// Paths of the front API, below the base URL.
pub(crate) const SERVED: &[&str] = &[
    "audio/transcriptions",
    "audio/translations",
    "batches",
    "chat/completions",
    "chat/completions/input_tokens",
    "completions",
    "conversations",
    "embeddings",
    "files",
    "images/edits",
    "images/generations",
    "messages",
    "messages/batches",
    "messages/count_tokens",
    "models",
    "moderations",
    "rerank",
    "responses",
    "responses/compact",
    "responses/input_tokens",
];

/// Path of the metrics.
const METRICS: &str = "/metrics";

/// The application of one worker, for every protocol that clients speak.
pub(crate) fn application(
    shared: Arc<Shared>,
    listener: Listener,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = actix_web::Error,
        InitError = (),
    >,
> {
    let place = ListenerPlan::of(&shared, listener);
    App::new()
        .app_data(web::Data::new(Worker::new(shared)))
        .wrap(from_fn(middleware::answer_before_the_end))
        .wrap(from_fn(middleware::identify))
        .configure(probes)
        .configure(move |app| table(app, place))
}

/// What a listener serves.
#[derive(Debug, Clone, Copy)]
struct ListenerPlan {
    listener: Listener,
    admin: AdminPlace,
    /// Whether it has the operator's page.
    console: bool,
}

impl ListenerPlan {
    fn of(shared: &Shared, listener: Listener) -> Self {
        let console = cfg!(feature = "console")
            && (shared.now().config.serves_console(listener)
                || listener == Listener::Admin && shared.demo_key.is_some());
        Self { listener, admin: shared.admin, console }
    }
}

/// Every route of a listener besides the probes that it always has.
fn table(app: &mut web::ServiceConfig, plan: ListenerPlan) {
    let ListenerPlan { listener, admin: place, console } = plan;
    #[cfg(feature = "console")]
    if console {
        console::table(app);
    }
    let probe = read("/health", health::ready);
    app.service(match (listener, place) {
        (Listener::Telemetry, _) | (Listener::Models, AdminPlace::Alone | AdminPlace::Nowhere) => {
            probe
        }
        // With a key it is a route of the admin API.
        (Listener::Models, AdminPlace::BesideModels) | (Listener::Admin, _) => {
            probe.guard(guard::fn_guard(health::is_probe))
        }
    });
    if listener == Listener::Telemetry {
        app.service(read(METRICS, metrics::open));
        app.default_service(web::to(fallback::unknown_path));
        return;
    }
    app.service(guards().configure(|app| match listener {
        Listener::Telemetry => {}
        Listener::Models => {
            // The routes of models come first: paths are compared one after another.
            guarded(app);
            if place != AdminPlace::Alone {
                app.service(read(METRICS, metrics::of_operator));
                admin::table(app);
            }
        }
        Listener::Admin => {
            app.service(read(METRICS, metrics::of_operator));
            admin::table(app);
            if console {
                playground(app);
            }
            app.default_service(web::to(fallback::unknown_route));
        }
    }));
}

/// The probes, which want no key.
fn probes(app: &mut web::ServiceConfig) {
    // Probes come by any name, and tell nothing.
    for path in ["/livez", "/health/live"] {
        app.service(read(path, health::live));
    }
    for path in ["/health/liveliness", "/health/liveness"] {
        app.service(read(path, health::alive));
    }
    for path in ["/readyz", "/healthz", "/health/ready"] {
        app.service(read(path, health::ready));
    }
    app.service(read("/health/readiness", health::ready_with_store));
}

/// The checks before every other route.
fn guards() -> actix_web::Scope<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<BoxBody>,
        Error = actix_web::Error,
        InitError = (),
    >,
> {
    web::scope("")
        .wrap(from_fn(middleware::authenticate))
        .wrap(from_fn(middleware::guard_browsers))
        .wrap(from_fn(middleware::refuse_loops))
}

/// The routes that web pages may not call.
fn guarded(app: &mut web::ServiceConfig) {
    for path in ["/v1/chat/completions", "/chat/completions"] {
        app.service(json(path, chat::completions));
    }
    for path in ["/v1/chat/completions/input_tokens", "/chat/completions/input_tokens"] {
        app.service(json(path, count::input_tokens));
    }
    for path in ["/v1/completions", "/completions"] {
        app.service(json(path, completions::completions));
    }
    for path in ["/v1/responses", "/responses"] {
        app.service(json(path, responses::create).route(web::get().to(responses::websocket::open)));
    }
    for path in ["/v1/responses/input_tokens", "/responses/input_tokens"] {
        app.service(json(path, responses::input_tokens));
    }
    for path in ["/v1/responses/compact", "/responses/compact"] {
        app.service(json(path, responses::compact));
    }
    for path in ["/v1/responses", "/responses"] {
        app.service(read(&format!("{path}/{{id}}/input_items"), responses::stored::input_items));
        let cancel = web::resource(format!("{path}/{{id}}/cancel"));
        app.service(
            cancel
                .route(web::post().to(responses::stored::cancel))
                .default_service(refuse_method("POST")),
        );
        app.service(
            web::resource(format!("{path}/{{id}}"))
                .route(web::get().to(responses::stored::read))
                .route(web::delete().to(responses::stored::delete))
                .default_service(refuse_method("GET, DELETE")),
        );
    }
    kept_conversations(app);
    for path in ["/v1/embeddings", "/embeddings"] {
        app.service(json(path, embeddings::embeddings));
    }
    app.service(json("/v1/rerank", rerank::first));
    app.service(json("/v2/rerank", rerank::second));
    app.service(json("/rerank", rerank::at_root));
    for path in ["/v1/images/generations", "/images/generations"] {
        app.service(json(path, images::generations));
    }
    for path in ["/v1/images/edits", "/images/edits"] {
        app.service(json_or_form(path, images::edits));
    }
    for path in ["/v1/audio/transcriptions", "/audio/transcriptions"] {
        app.service(form(path, audio::transcriptions));
    }
    for path in ["/v1/audio/translations", "/audio/translations"] {
        app.service(form(path, audio::translations));
    }
    kept_files(app);
    kept_message_batches(app);
    for path in ["/v1/vector_stores", "/vector_stores"] {
        app.service(json(&format!("{path}/{{id}}/search"), vector_stores::search));
    }
    for path in ["/v1/messages", "/messages"] {
        app.service(json(path, messages::messages));
    }
    for path in ["/v1/messages/count_tokens", "/messages/count_tokens"] {
        app.service(json(path, messages::count_tokens));
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
    app.service(web::scope(MOUNT).default_service(web::to(native::relay)));
    app.default_service(web::to(fallback::unknown_route));
}

/// The routes of models that the operator's page calls, where its listener has no others.
fn playground(app: &mut web::ServiceConfig) {
    app.service(json("/v1/chat/completions", chat::completions));
    app.service(json("/v1/responses", responses::create));
    app.service(json("/v1/messages", messages::messages));
    app.service(web::scope(MOUNT).default_service(web::to(native::relay)));
}

/// Files, and batches of the requests in them.
fn kept_files(app: &mut web::ServiceConfig) {
    for path in ["/v1/files", "/files"] {
        app.service(form(path, files::create).route(web::get().to(files::list)));
        app.service(
            web::resource(format!("{path}/{{id}}"))
                .route(web::get().to(files::read))
                .route(web::delete().to(files::delete))
                .default_service(refuse_method("GET, DELETE")),
        );
        let content = web::resource(format!("{path}/{{id}}/content"));
        app.service(
            content.route(web::get().to(files::content)).default_service(refuse_method("GET")),
        );
    }
    for path in ["/v1/batches", "/batches"] {
        app.service(json(path, batches::create).route(web::get().to(batches::list)));
        let cancel = web::resource(format!("{path}/{{id}}/cancel"));
        app.service(
            cancel.route(web::post().to(batches::cancel)).default_service(refuse_method("POST")),
        );
        app.service(
            web::resource(format!("{path}/{{id}}"))
                .route(web::get().to(batches::read))
                .default_service(refuse_method("GET")),
        );
    }
}

/// Batches in Anthropic's shape.
fn kept_message_batches(app: &mut web::ServiceConfig) {
    for path in ["/v1/messages/batches", "/messages/batches"] {
        app.service(
            json(path, message_batches::create).route(web::get().to(message_batches::list)),
        );
        let cancel = web::resource(format!("{path}/{{id}}/cancel"));
        app.service(
            cancel
                .route(web::post().to(message_batches::cancel))
                .default_service(refuse_method("POST")),
        );
        let results = web::resource(format!("{path}/{{id}}/results"));
        app.service(
            results
                .route(web::get().to(message_batches::results))
                .default_service(refuse_method("GET")),
        );
        app.service(
            web::resource(format!("{path}/{{id}}"))
                .route(web::get().to(message_batches::read))
                .route(web::delete().to(message_batches::delete))
                .default_service(refuse_method("GET, DELETE")),
        );
    }
}

/// Conversations and their items.
fn kept_conversations(app: &mut web::ServiceConfig) {
    for path in ["/v1/conversations", "/conversations"] {
        app.service(json(path, conversations::create));
        let declared = || guard::fn_guard(|context| fallback::is_json(context.head().headers()));
        app.service(
            web::resource(format!("{path}/{{id}}"))
                .route(web::get().to(conversations::read))
                .route(web::delete().to(conversations::delete))
                .route(web::post().guard(declared()).to(conversations::update))
                .route(web::post().to(fallback::wrong_type))
                .default_service(refuse_method("GET, POST, DELETE")),
        );
        app.service(
            web::resource(format!("{path}/{{id}}/items"))
                .route(web::get().to(conversations::items))
                .route(web::post().guard(declared()).to(conversations::add_items))
                .route(web::post().to(fallback::wrong_type))
                .default_service(refuse_method("GET, POST")),
        );
        app.service(
            web::resource(format!("{path}/{{id}}/items/{{item}}"))
                .route(web::get().to(conversations::item))
                .route(web::delete().to(conversations::delete_item))
                .default_service(refuse_method("GET, DELETE")),
        );
    }
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

/// A route that takes a form.
fn form<F, A>(path: &str, handler: F) -> actix_web::Resource
where
    F: Handler<A>,
    A: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    let declared = guard::fn_guard(|context| is_form(context.head().headers()));
    web::resource(path)
        .route(web::post().guard(declared).to(handler))
        .route(web::post().to(fallback::not_a_form))
        .default_service(refuse_method("POST"))
}

/// A route that takes a body of JSON, or a form.
fn json_or_form<F, A>(path: &str, handler: F) -> actix_web::Resource
where
    F: Handler<A>,
    A: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    let declared = guard::fn_guard(|context| {
        let headers = context.head().headers();
        fallback::is_json(headers) || is_form(headers)
    });
    web::resource(path)
        .route(web::post().guard(declared).to(handler))
        .route(web::post().to(fallback::not_a_form))
        .default_service(refuse_method("POST"))
}

/// 405 with the methods that are `allowed`.
fn refuse_method(allowed: &'static str) -> actix_web::Route {
    web::to(move |http, payload| fallback::wrong_method(http, payload, allowed))
}
