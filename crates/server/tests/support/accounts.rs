//! Accounts and calls for the transport tests: everything explicit, without the environment.

use std::time::Duration;

use bedrock::{
    Account, AccountKeys, AccountSecret, Call, Kind, Service, Settings, Timeouts, Transport,
    model_path,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};

pub(crate) const REGION: &str = "eu-central-1";
pub(crate) const KEY_ID: &str = "AKIDEXAMPLE";
pub(crate) const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

pub(crate) fn static_keys(session_token: Option<&str>) -> AccountKeys {
    AccountKeys::Static {
        access_key_id: KEY_ID.to_owned(),
        secret_access_key: AccountSecret::new(SECRET),
        session_token: session_token.map(AccountSecret::new),
    }
}

pub(crate) async fn transport(endpoint: &str, keys: AccountKeys, timeouts: Timeouts) -> Transport {
    let setup = Settings {
        region: Some(REGION.to_owned()),
        keys: Some(keys),
        endpoint: Some(endpoint.to_owned()),
        timeouts,
        ..Settings::default()
    };
    Transport::new(&Account::load(setup).await.unwrap())
}

/// A transport with static keys and default limits.
pub(crate) async fn plain(endpoint: &str) -> Transport {
    transport(endpoint, static_keys(None), Timeouts::default()).await
}

/// Limits short enough to wait for; each test further shortens the one under test.
pub(crate) fn short(change: impl FnOnce(&mut Timeouts)) -> Timeouts {
    let mut timeouts = Timeouts::default();
    change(&mut timeouts);
    timeouts
}

pub(crate) const BRIEF: Duration = Duration::from_millis(150);

pub(crate) fn call(model_id: &str, kind: Kind, body: impl Into<Bytes>) -> Call {
    let operation = match kind {
        Kind::Unary => "converse",
        Kind::Stream => "converse-stream",
    };
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    Call {
        service: Service::Runtime,
        method: Method::POST,
        path: model_path(model_id, operation).unwrap(),
        query: None,
        headers,
        body: body.into(),
        kind,
    }
}

pub(crate) fn unary() -> Call {
    call("a.model-v1:0", Kind::Unary, "{}")
}

pub(crate) fn streaming() -> Call {
    call("a.model-v1:0", Kind::Stream, "{}")
}
