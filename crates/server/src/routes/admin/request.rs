//! Requests to the admin API: the accounts, the caller, the query and the body, read in one place for all routes.

use std::sync::Arc;

use access::Accounts;
use access::policy::CallRoute;
use actix_web::http::header::HeaderMap;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::answer::AdminAnswer;
use super::body::AdminBody;
use super::caller::AdminCaller;
use super::error::AdminRefusal;
use super::query::AdminQuery;
use crate::body::{self, BodyLimits};
use crate::byte_size::Mib;
use crate::config::AdminSettings;
use crate::credential;
use crate::request::context::RequestContext;
use crate::state::{Snapshot, Worker};

/// Largest body: a thousand keys to delete, or 64 KiB of metadata, are far below it.
const LARGEST: Mib = Mib::new(1);

/// An admin route: the name by which lists of routes grant it, and its group.
pub(super) type AdminRoute = CallRoute<'static>;

/// A request to an admin route.
#[derive(Debug)]
pub(in crate::routes) struct AdminRequest {
    /// The accounts.
    pub(super) accounts: Arc<Accounts>,
    /// The caller.
    pub(super) caller: AdminCaller,
    /// The query string.
    pub(super) query: AdminQuery,
    /// The members of the body that were not read yet.
    pub(super) body: AdminBody,
    worker: Data<Worker>,
    now: Arc<Snapshot>,
    http: HttpRequest,
}

impl AdminRequest {
    async fn read(
        http: &HttpRequest,
        mut payload: Payload,
        route: AdminRoute,
    ) -> Result<Self, AdminRefusal> {
        let refused = match Self::identified(http, route) {
            Ok(identified) => Ok(identified),
            Err(refusal) => {
                body::skim(&mut payload).await;
                Err(refusal)
            }
        };
        let (worker, accounts, caller) = refused?;
        accounts.catch_up().await;
        let now = worker.now();
        let limits = BodyLimits { max_mib: LARGEST, ..now.config.body };
        let bytes = body::read(http.headers(), payload, limits).await?;
        let (query, body) = (AdminQuery::parse(http.query_string()), AdminBody::parse(&bytes)?);
        Ok(Self { accounts, caller, query, body, worker, now, http: http.clone() })
    }

    fn identified(
        http: &HttpRequest,
        route: AdminRoute,
    ) -> Result<(Data<Worker>, Arc<Accounts>, AdminCaller), AdminRefusal> {
        let worker = http.app_data::<Data<Worker>>().ok_or_else(AdminRefusal::no_accounts)?;
        let accounts = worker.shared.accounts.clone().ok_or_else(AdminRefusal::no_accounts)?;
        let principal = credential::principal(http).ok_or_else(AdminRefusal::no_key)?;
        let caller = AdminCaller::new(principal, http.headers())?;
        caller.check_route(route)?;
        Ok((worker.clone(), accounts, caller))
    }

    /// The worker that serves the request.
    pub(super) fn worker(&self) -> &Worker {
        &self.worker
    }

    /// The settings of the admin API.
    pub(super) fn settings(&self) -> &AdminSettings {
        &self.now.config.admin
    }

    /// The headers.
    pub(super) fn headers(&self) -> &HeaderMap {
        self.http.headers()
    }

    /// A variable part of the path, decoded.
    pub(super) fn in_path(&self, name: &str) -> &str {
        self.http.match_info().query(name)
    }
}

/// Serves an admin route: reads the request, runs the handler, and writes the line of the access log.
pub(super) async fn serve<F>(
    http: HttpRequest,
    payload: Payload,
    route: AdminRoute,
    handler: F,
) -> HttpResponse
where
    F: AsyncFnOnce(AdminRequest) -> Result<AdminAnswer, AdminRefusal>,
{
    let mut context = RequestContext::begin(&http, "admin");
    let answer = match AdminRequest::read(&http, payload, route).await {
        Ok(request) => {
            let unread = request.body.unread();
            let answer = handler(request).await;
            answer.map(|answer| answer.ignoring(unread.take().iter().map(String::as_str)))
        }
        Err(refusal) => Err(refusal),
    };
    match answer {
        Ok(answer) => answer.respond(&mut context),
        Err(refusal) => refusal.respond(&mut context),
    }
}
