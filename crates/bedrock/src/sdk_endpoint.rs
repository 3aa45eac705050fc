//! SDK endpoint lookup: determines where the SDK would send a Converse call and how it would authorise it.
//! The call runs up to the SDK's own connector, which records the request and makes no connection; stand-in
//! credentials avoid a fetch. Thus the SDK's rules apply, also after they change.

use std::sync::{Arc, Mutex, PoisonError};

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_credential_types::provider::token::SharedTokenProvider;
use aws_sdk_bedrockruntime::Client;
use aws_sdk_bedrockruntime::config::{Builder, IdentityCache, Token};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;

use super::connect::chain;

const STAND_IN: &str = "stand-in";
const PROBE_PATH: &str = "/model/probe/converse";

/// The SDK's decision for bedrock-runtime.
#[derive(Debug)]
pub(super) struct Decision {
    /// Base URL, with the path of an override.
    pub(super) base_url: String,
    pub(super) scheme: AuthScheme,
}

/// The SDK's kind of authorisation.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum AuthScheme {
    SigV4,
    /// A bearer key from the configuration's token provider (or stand-in).
    BearerFromProvider,
    /// The bearer key of `AWS_BEARER_TOKEN_BEDROCK`.
    BearerFromEnvironment(String),
}

/// Runs one lookup, without network traffic.
pub(super) async fn ask(sdk: &SdkConfig, endpoint: Option<String>) -> Result<Decision, String> {
    let capture = Capture::default();
    let connector = SharedHttpConnector::new(capture.clone());
    let keys = Credentials::new(STAND_IN, STAND_IN, None, None, STAND_IN);
    // Set on the shared configuration: a token set on the builder would hide that of the environment.
    let sdk = sdk
        .to_builder()
        .credentials_provider(SharedCredentialsProvider::new(keys))
        .token_provider(SharedTokenProvider::new(Token::new(STAND_IN, None)))
        .build();
    let mut builder = Builder::from(&sdk);
    builder.set_endpoint_url(endpoint);
    let config = builder
        .identity_cache(IdentityCache::no_cache())
        .http_client(http_client_fn(move |_, _| connector.clone()))
        .retry_config(RetryConfig::disabled())
        .build();
    let result = Client::from_conf(config).converse().model_id("probe").send().await;
    let seen = capture.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some((uri, authorization)) = seen else {
        return Err(match result {
            Err(error) => chain(&error),
            Ok(_) => "the SDK sent no request".to_owned(),
        });
    };
    let base_url = uri
        .strip_suffix(PROBE_PATH)
        .ok_or_else(|| format!("the SDK calls an unexpected path: {uri}"))?
        .to_owned();
    let scheme = match authorization.strip_prefix("Bearer ") {
        None => AuthScheme::SigV4,
        Some(STAND_IN) => AuthScheme::BearerFromProvider,
        Some(key) => AuthScheme::BearerFromEnvironment(key.to_owned()),
    };
    Ok(Decision { base_url, scheme })
}

/// Records URI and authorization of the request, and fails it.
#[derive(Debug, Clone, Default)]
struct Capture(Arc<Mutex<Option<(String, String)>>>);

impl HttpConnector for Capture {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let authorization = request.headers().get("authorization").unwrap_or_default().to_owned();
        let seen = (request.uri().to_owned(), authorization);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
        HttpConnectorFuture::ready(Err(ConnectorError::user("only a question".into())))
    }
}
