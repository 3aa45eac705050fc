//! The HTTP client for AWS's own providers (STS, SSO, containers, metadata): the same connector as for
//! Bedrock calls, with the same trust roots and proxies, and one connection per call.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::time::timeout;

use super::connect::{Connector, NetworkSettings, chain};

/// Longest response read, in bytes: these are credentials.
const ANSWER: usize = 1024 * 1024;

/// Defaults for limits that the calling provider leaves unset.
const CONNECT: Duration = Duration::from_secs(3);
const READ: Duration = Duration::from_secs(30);

/// A client over the connections of `way`.
pub(super) fn client(way: &Arc<NetworkSettings>) -> SharedHttpClient {
    SharedHttpClient::new(AwsClient(Arc::clone(way)))
}

struct AwsClient(Arc<NetworkSettings>);

impl fmt::Debug for AwsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AwsClient")
    }
}

impl HttpClient for AwsClient {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(AwsConnector {
            way: Arc::clone(&self.0),
            connect: settings.connect_timeout().unwrap_or(CONNECT),
            read: settings.read_timeout().unwrap_or(READ),
        })
    }
}

#[derive(Debug, Clone)]
struct AwsConnector {
    way: Arc<NetworkSettings>,
    connect: Duration,
    read: Duration,
}

impl HttpConnector for AwsConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let connector = self.clone();
        HttpConnectorFuture::new(async move { connector.send(request).await })
    }
}

impl AwsConnector {
    async fn send(self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let request =
            request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
        let mut request = request.map(|body| body.bytes().map(Bytes::copy_from_slice));
        let Some(body) = request.body_mut().take() else {
            return Err(ConnectorError::user("a request for credentials that streams".into()));
        };
        let mut request = request.map(|_| Full::new(body));
        self.way.authorise_forward(&mut request);
        let connector = Connector::new(Arc::clone(&self.way), self.connect, READ);
        let client =
            Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        let answer = async {
            let response = client.request(request).await.map_err(|error| failed(&error))?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, ANSWER).collect().await;
            let body = body.map_err(ConnectorError::io)?.to_bytes();
            Ok::<_, ConnectorError>(http::Response::from_parts(parts, SdkBody::from(body)))
        };
        let answer = timeout(self.connect + self.read, answer).await;
        let answer = answer.map_err(|elapsed| ConnectorError::timeout(elapsed.into()))??;
        HttpResponse::try_from(answer).map_err(|error| ConnectorError::user(error.into()))
    }
}

fn failed(error: &hyper_util::client::legacy::Error) -> ConnectorError {
    ConnectorError::io(chain(error).into())
}
