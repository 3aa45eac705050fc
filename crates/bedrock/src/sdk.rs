//! SDK client for infrequent operations with many shapes: it writes their requests and reads their
//! responses, without access to credentials or the network. Its calls use the same transport as all others,
//! so that signing, the clock, time limits, connections and errors are the same everywhere.

use std::str::FromStr;

use aws_sdk_bedrockruntime::Client;
use aws_sdk_bedrockruntime::config::retry::RetryConfig;
use aws_sdk_bedrockruntime::config::{
    BehaviorVersion, Builder, Region, StalledStreamProtectionConfig, Token,
};
use aws_sdk_bedrockruntime::error::SdkError;
use aws_smithy_runtime_api::client::auth::AuthSchemeId;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::connect::chain;
use super::endpoint::Service;
use super::error::{AWS_REQUEST_ID, Failure, ProtocolError};
use super::send::{Call, Kind, Transport};

/// Longest response accepted, in bytes.
const ANSWER_LIMIT: usize = 4 * 1024 * 1024;
/// Host and key given to the SDK; neither leaves the process.
const STAND_IN: &str = "stand-in";
const STAND_IN_URL: &str = "https://stand-in";

/// SDK operations over one transport. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Sdk(Client);

impl Sdk {
    /// A client whose calls go through `transport`.
    pub fn new(transport: Transport) -> Self {
        let region = Region::new(transport.account().region().to_owned());
        let connector = SharedHttpConnector::new(SdkHttpClient(transport));
        // The key requires no signature: the transport replaces it with the real authorisation.
        let config = Builder::new()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(region)
            .endpoint_url(STAND_IN_URL)
            .bearer_token(Token::new(STAND_IN, None))
            .auth_scheme_preference([AuthSchemeId::from("httpBearerAuth")])
            .http_client(http_client_fn(move |_, _| connector.clone()))
            .retry_config(RetryConfig::disabled())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .build();
        Self(Client::from_conf(config))
    }

    /// The SDK's client. Errors of its calls become [`Failure`] by [`sdk_failure`].
    pub fn client(&self) -> &Client {
        &self.0
    }
}

/// The failure of an SDK call: that of the transport, or else the SDK's own objection.
pub fn sdk_failure<E>(error: SdkError<E, HttpResponse>) -> Failure
where
    E: std::error::Error + Send + Sync + 'static,
{
    match error {
        SdkError::DispatchFailure(_) => match error.into_source() {
            Ok(source) => match source.downcast::<ConnectorError>() {
                Ok(connector) => match connector.into_source().downcast::<Failure>() {
                    Ok(ours) => *ours,
                    Err(source) => Failure::Request(chain(&*source)),
                },
                Err(source) => Failure::Request(chain(&*source)),
            },
            Err(error) => Failure::Request(chain(&error)),
        },
        // Only successful responses get this far: their content is wrong, and content stays out of the log.
        SdkError::ResponseError(_) | SdkError::ServiceError(_) => {
            ProtocolError::Malformed("an answer the SDK cannot read".to_owned()).into()
        }
        other => Failure::Request(chain(&other)),
    }
}

/// Carries the SDK's requests over the gateway's transport.
#[derive(Debug, Clone)]
struct SdkHttpClient(Transport);

impl HttpConnector for SdkHttpClient {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let transport = self.0.clone();
        HttpConnectorFuture::new(async move {
            let sent = match call(&request) {
                Ok(call) => carry(&transport, call).await,
                Err(failure) => Err(failure),
            };
            sent.map_err(|failure| ConnectorError::other(failure.into(), None))
        })
    }
}

async fn carry(transport: &Transport, call: Call) -> Result<HttpResponse, Failure> {
    let answer = transport.send(call).await?;
    let status = StatusCode::try_from(answer.status.as_u16())
        .map_err(|error| ProtocolError::Malformed(error.to_string()))?;
    let request_id = answer.request_id.clone();
    let body = answer.bytes(ANSWER_LIMIT).await?;
    let mut response = HttpResponse::new(status, SdkBody::from(body));
    if let Some(id) = request_id {
        let _ = response.headers_mut().try_insert(AWS_REQUEST_ID, id);
    }
    Ok(response)
}

fn call(request: &HttpRequest) -> Result<Call, Failure> {
    let wrong = |what: &str| Failure::Request(format!("the SDK's request has {what}"));
    let target =
        request.uri().strip_prefix(STAND_IN_URL).ok_or_else(|| wrong("an unexpected host"))?;
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (target, None),
    };
    let body = request.body().bytes().ok_or_else(|| wrong("a body that is a stream"))?;
    let mut headers = HeaderMap::new();
    for name in [CONTENT_TYPE, ACCEPT] {
        copy(&name, request, &mut headers)?;
    }
    Ok(Call {
        service: Service::Runtime,
        method: Method::from_str(request.method()).map_err(|_| wrong("no method"))?,
        path: path.to_owned(),
        query,
        headers,
        body: Bytes::copy_from_slice(body),
        kind: Kind::Unary,
    })
}

fn copy(name: &HeaderName, from: &HttpRequest, to: &mut HeaderMap) -> Result<(), Failure> {
    if let Some(value) = from.headers().get(name.as_str()) {
        let value =
            HeaderValue::from_str(value).map_err(|error| Failure::Request(error.to_string()))?;
        to.insert(name.clone(), value);
    }
    Ok(())
}
