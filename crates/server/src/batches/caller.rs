//! The caller of a batch, as it is kept with the batch, and requests made in its name.

use std::sync::Arc;

use access::accounts::AdminError;
use access::{KeyRecord, Principal};
use actix_web::test::TestRequest;
use actix_web::web::Data;
use actix_web::{HttpMessage as _, HttpRequest};
use serde::{Deserialize, Serialize};

use crate::credential::{AuthRefusal, Identity};
use crate::error::GatewayError;
use crate::file_store::owner;
use crate::state::Worker;

/// The caller of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BatchCaller {
    Anonymous,
    Master,
    /// The id of a key.
    Key(String),
}

/// The part of a caller's request that has been answered already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LinePurpose {
    /// It is only translated: no metric counts it and no line of the log names it.
    Translate,
    /// It is run as a request like any other.
    Call,
}

impl BatchCaller {
    /// The caller that a principal is; the one that only reads makes no batches.
    pub(crate) fn of(principal: &Principal) -> Option<Self> {
        match principal {
            Principal::Anonymous => Some(Self::Anonymous),
            Principal::Master => Some(Self::Master),
            Principal::Viewer => None,
            Principal::Key(holder) => Some(Self::Key(holder.key.id.clone())),
        }
    }

    /// The folder of its files and batches.
    pub(crate) fn owner(&self) -> String {
        match self {
            Self::Anonymous => owner(&Principal::Anonymous),
            Self::Master => owner(&Principal::Master),
            Self::Key(id) => {
                let mut folder = "key-".to_owned();
                bedrock::encode_segment(id, &mut folder);
                folder
            }
        }
    }

    /// The principal as it is now: a key that was blocked or deleted meanwhile makes no more calls.
    pub(super) async fn principal(&self, worker: &Worker) -> Result<Principal, GatewayError> {
        let id = match self {
            Self::Anonymous => return Ok(Principal::Anonymous),
            Self::Master => return Ok(Principal::Master),
            Self::Key(id) => id,
        };
        let unknown = || GatewayError::from(AuthRefusal::Unknown("authorization"));
        let accounts = worker.shared.accounts.as_deref().ok_or_else(unknown)?;
        let away = |error: String| GatewayError::from(AuthRefusal::Unavailable(error));
        let record = match accounts.record::<KeyRecord>(id).await {
            Ok(record) => record,
            Err(AdminError::NotFound { .. }) => return Err(unknown()),
            Err(error) => return Err(away(error.to_string())),
        };
        let now = accounts.now();
        if let Some(at) = record.expires.filter(|at| *at <= now) {
            return Err(AuthRefusal::Expired { at, now }.into());
        }
        let holder = accounts.holder(record).await.map_err(|error| away(error.to_string()))?;
        Ok(Principal::Key(Arc::new(holder)))
    }
}

/// A request of a principal to a path, as the routes would receive it.
pub(super) fn request(
    (worker, principal): (&Data<Worker>, &Principal),
    path: &str,
    purpose: LinePurpose,
) -> HttpRequest {
    // The library makes requests without a connection for tests only.
    let mut made = TestRequest::post().uri(path);
    if purpose == LinePurpose::Call {
        made = made.app_data(worker.clone());
    }
    let http = made.insert_header(("content-type", "application/json")).to_http_request();
    http.extensions_mut().insert(Identity::Proven(principal.clone()));
    http
}
