//! Everything about the AWS side that is decided once per process and shared by all workers:
//! region, endpoints, authentication, the credentials cache, the clock offset, the time limits.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_credential_types::provider::token::SharedTokenProvider;
use aws_sdk_bedrockruntime::config::Token;
use aws_smithy_runtime_api::client::auth::AuthSchemeId;
use aws_types::service_config::ServiceConfigKey;

use super::clock::{Clock, Correction};
use super::connect::Trust;
use super::credentials::{CredentialCache, CredentialsError, Grant, Source};
use super::endpoint::{Endpoint, Service, regional};
use super::probe::{self, AuthScheme};

/// What the operator decided. Everything left open is found the way the AWS SDKs find it.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// Region; before `AWS_REGION`, `AWS_DEFAULT_REGION`, `AWS_REGION_NAME`, the profile and the
    /// instance metadata.
    pub region: Option<String>,
    /// Profile of the shared configuration files; before `AWS_PROFILE`.
    pub profile: Option<String>,
    /// Credentials given outright instead of found: for tests and the demo.
    pub keys: Option<AccountKeys>,
    /// One endpoint for all services: for tests and the demo. Turns FIPS and dual stack off.
    pub endpoint: Option<String>,
    /// PEM file of trust roots; before `AWS_CA_BUNDLE`.
    pub ca_bundle: Option<PathBuf>,
    /// Time limits.
    pub timeouts: Timeouts,
}

/// Credentials given outright.
#[derive(Debug, Clone)]
pub enum AccountKeys {
    /// SigV4 with an access key.
    Static {
        /// Access key id.
        access_key_id: String,
        /// Secret access key.
        secret_access_key: AccountSecret,
        /// Session token, of temporary credentials.
        session_token: Option<AccountSecret>,
    },
    /// A Bedrock API key.
    Bearer(AccountSecret),
    /// Any provider of the AWS SDK.
    Provider(SharedCredentialsProvider),
}

/// A string that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct AccountSecret(String);

impl AccountSecret {
    /// Wraps a secret.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }
}

impl fmt::Debug for AccountSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// Every time limit of the transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// TCP and TLS set-up.
    pub connect: Duration,
    /// Head of the answer to a streaming call.
    pub first_byte_stream: Duration,
    /// Head of the answer to a unary call, which Bedrock sends when all of it is ready.
    pub first_byte_unary: Duration,
    /// Between two pieces of a body. Bedrock sends nothing while a model thinks.
    pub idle: Duration,
    /// The whole call, streams included.
    pub total: Duration,
    /// How long an unused connection is kept.
    pub pool_idle: Duration,
    /// TCP keepalive.
    pub tcp_keepalive: Duration,
    /// One fetch of credentials.
    pub credentials: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            connect: seconds(3),
            first_byte_stream: seconds(60),
            first_byte_unary: seconds(300),
            idle: seconds(120),
            total: seconds(900),
            pool_idle: seconds(50),
            tcp_keepalive: seconds(30),
            credentials: seconds(30),
        }
    }
}

/// Why the AWS side cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// No region anywhere.
    #[error(
        "no AWS region: set AWS_REGION (or AWS_DEFAULT_REGION, AWS_REGION_NAME), or a region in the \
         AWS profile or the gateway's own configuration"
    )]
    NoRegion,
    /// The endpoint of a service cannot be determined.
    #[error("endpoint of {service}: {reason}")]
    Endpoint {
        /// Host label of the service.
        service: &'static str,
        /// What the SDK's rules, or the URL, object to.
        reason: String,
    },
    /// The bearer key cannot be sent.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
}

/// Where credentials come from, for people. Decided from the settings and the environment alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialSource {
    /// Given in the set-up.
    Given,
    /// A Bedrock API key.
    BearerKey,
    /// `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`.
    Environment,
    /// A named profile.
    Profile(String),
    /// `AWS_WEB_IDENTITY_TOKEN_FILE`: IRSA on EKS.
    WebIdentity,
    /// ECS task role or EKS Pod Identity.
    Container,
    /// What is left: the default profile, else the instance's role.
    DefaultChain,
}

impl fmt::Display for CredentialSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given => f.write_str("given at start"),
            Self::BearerKey => f.write_str("bearer key"),
            Self::Environment => f.write_str("environment"),
            Self::Profile(name) => write!(f, "profile {name}"),
            Self::WebIdentity => f.write_str("web identity (IRSA)"),
            Self::Container => f.write_str("container (task role or Pod Identity)"),
            Self::DefaultChain => f.write_str("default profile or instance role"),
        }
    }
}

/// The AWS side of the process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Account(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    region: String,
    source: CredentialSource,
    endpoints: [Endpoint; 4],
    /// Access keys, for SigV4.
    keys: Option<Arc<CredentialCache>>,
    /// Bearer keys, for the services that take them, if the SDK would use one.
    bearer: Option<Arc<CredentialCache>>,
    clock: Arc<Clock>,
    trust: Arc<Trust>,
    timeouts: Timeouts,
    sdk: SdkConfig,
}

impl Drop for Inner {
    fn drop(&mut self) {
        for cache in self.keys.iter().chain(&self.bearer) {
            cache.stop();
        }
    }
}

impl Account {
    /// Finds region, endpoints and the kind of authentication. Fetches no credentials; touches the
    /// network only if nothing but the instance metadata can name the region.
    ///
    /// # Errors
    /// [`SetupError`] says what to set.
    pub async fn load(setup: Setup) -> Result<Self, SetupError> {
        let sdk = loader(&setup).load().await;
        let region = sdk.region().ok_or(SetupError::NoRegion)?.to_string();
        let decision = probe::ask(&sdk).await.map_err(failed(Service::Runtime))?;
        let runtime = Endpoint::parse(&decision.base_url).map_err(failed(Service::Runtime))?;
        let endpoints = [
            runtime,
            sister(Service::Control, &sdk, &region).await?,
            sister(Service::AgentRuntime, &sdk, &region).await?,
            sister(Service::Agent, &sdk, &region).await?,
        ];
        let correction = match sdk.disable_clock_skew_correction() {
            Some(true) => Correction::Off,
            Some(false) | None => Correction::On,
        };
        let clock = Arc::new(Clock::new(correction));
        let cache =
            |from| CredentialCache::new(from, Arc::clone(&clock), setup.timeouts.credentials);
        let token = match decision.scheme {
            AuthScheme::SigV4 => None,
            AuthScheme::BearerFromProvider => sdk.token_provider(),
            AuthScheme::BearerFromEnvironment(key) => {
                Some(SharedTokenProvider::new(Token::new(key, None)))
            }
        };
        let source = match token {
            Some(_) => CredentialSource::BearerKey,
            None => credential_source(&setup, |name| std::env::var(name).ok()),
        };
        let trust = Trust::new(setup.ca_bundle.or_else(bundle_from_environment));
        Ok(Self(Arc::new(Inner {
            region,
            source,
            endpoints,
            keys: sdk.credentials_provider().map(|provider| cache(Source::Keys(provider))),
            bearer: token.map(|provider| cache(Source::Token(provider))),
            clock,
            trust: Arc::new(trust),
            timeouts: setup.timeouts,
            sdk,
        })))
    }

    /// The region calls are signed for.
    pub fn region(&self) -> &str {
        &self.0.region
    }

    /// Where credentials come from.
    pub fn credential_source(&self) -> &CredentialSource {
        &self.0.source
    }

    /// Base URL of a service.
    pub fn endpoint(&self, service: Service) -> &Endpoint {
        &self.0.endpoints[service.index()]
    }

    /// The time limits in force.
    pub fn timeouts(&self) -> &Timeouts {
        &self.0.timeouts
    }

    /// Correction applied to the system clock when signing, in seconds; 0 until the service objects.
    pub fn clock_offset_seconds(&self) -> i64 {
        self.0.clock.offset_seconds()
    }

    /// The SDK configuration behind this account, to build typed clients from for calls that are
    /// not hot. Such clients keep credentials of their own.
    pub fn sdk_config(&self) -> &SdkConfig {
        &self.0.sdk
    }

    /// Fetches credentials now rather than with the first call.
    ///
    /// # Errors
    /// The reason there are none.
    pub async fn fetch_credentials(&self) -> Result<(), CredentialsError> {
        self.grant(Service::Runtime).await.map(|_| ())
    }

    pub(super) async fn grant(&self, service: Service) -> Result<Arc<Grant>, CredentialsError> {
        self.cache(service)?.current().await
    }

    pub(super) async fn replace_grant(
        &self,
        service: Service,
        refused: &Arc<Grant>,
    ) -> Result<Option<Arc<Grant>>, CredentialsError> {
        self.cache(service)?.replace(refused).await
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.0.clock
    }

    pub(super) fn trust(&self) -> &Arc<Trust> {
        &self.0.trust
    }

    /// Bearer keys are valid for the runtime and the control plane; the agent services sign.
    fn cache(&self, service: Service) -> Result<&Arc<CredentialCache>, CredentialsError> {
        let bearer = match service {
            Service::Runtime | Service::Control => self.0.bearer.as_ref(),
            Service::AgentRuntime | Service::Agent => None,
        };
        bearer
            .or(self.0.keys.as_ref())
            .ok_or_else(|| CredentialsError("no access keys, only a bearer key".to_owned()))
    }
}

fn loader(setup: &Setup) -> ConfigLoader {
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12());
    if let Some(profile) = &setup.profile {
        loader = loader.profile_name(profile);
    }
    if let Some(region) = setup.region.clone().or_else(region_from_environment) {
        loader = loader.region(Region::new(region));
    }
    if let Some(endpoint) = &setup.endpoint {
        loader = loader.endpoint_url(endpoint).use_fips(false).use_dual_stack(false);
    }
    let prefer = |loader: ConfigLoader, scheme| {
        loader.auth_scheme_preference([AuthSchemeId::from(scheme)])
    };
    match &setup.keys {
        None => loader,
        Some(AccountKeys::Bearer(AccountSecret(key))) => {
            prefer(loader, "httpBearerAuth").token_provider(Token::new(key, None)).no_credentials()
        }
        Some(AccountKeys::Provider(provider)) => {
            prefer(loader, "sigv4").credentials_provider(provider.clone())
        }
        Some(AccountKeys::Static { access_key_id, secret_access_key, session_token }) => {
            let keys = Credentials::new(
                access_key_id,
                &secret_access_key.0,
                session_token.as_ref().map(|AccountSecret(token)| token.clone()),
                None,
                "outcrop",
            );
            prefer(loader, "sigv4").credentials_provider(keys)
        }
    }
}

/// The SDK knows the first two; the third is what other gateways' users have set.
fn region_from_environment() -> Option<String> {
    ["AWS_REGION", "AWS_DEFAULT_REGION", "AWS_REGION_NAME"]
        .into_iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|region| !region.is_empty())
}

fn bundle_from_environment() -> Option<PathBuf> {
    std::env::var_os("AWS_CA_BUNDLE").filter(|path| !path.is_empty()).map(PathBuf::from)
}

fn credential_source(
    setup: &Setup,
    environment: impl Fn(&str) -> Option<String>,
) -> CredentialSource {
    let set = |name| environment(name).is_some_and(|value| !value.is_empty());
    let profile = setup.profile.clone().or_else(|| environment("AWS_PROFILE"));
    match profile {
        _ if setup.keys.is_some() => CredentialSource::Given,
        _ if set("AWS_ACCESS_KEY_ID") && set("AWS_SECRET_ACCESS_KEY") => {
            CredentialSource::Environment
        }
        Some(name) if !name.is_empty() => CredentialSource::Profile(name),
        _ if set("AWS_WEB_IDENTITY_TOKEN_FILE") => CredentialSource::WebIdentity,
        _ if set("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
            || set("AWS_CONTAINER_CREDENTIALS_FULL_URI") =>
        {
            CredentialSource::Container
        }
        _ => CredentialSource::DefaultChain,
    }
}

/// Endpoint of a service other than the runtime: its override as the SDK would look it up, else its host.
async fn sister(service: Service, sdk: &SdkConfig, region: &str) -> Result<Endpoint, SetupError> {
    let given = sdk.get_origin("endpoint_url").is_client_config();
    let own = || {
        let key = ServiceConfigKey::builder()
            .service_id(service.service_id())
            .env("AWS_ENDPOINT_URL")
            .profile("endpoint_url")
            .build()
            .ok()?;
        sdk.service_config()?.load_config(key)
    };
    let own = if given { None } else { own() };
    match own.or_else(|| sdk.endpoint_url().map(ToOwned::to_owned)) {
        None => regional(service, region, sdk.use_fips(), sdk.use_dual_stack()).await,
        Some(_) if sdk.use_fips() == Some(true) || sdk.use_dual_stack() == Some(true) => {
            Err("FIPS and dual stack exclude a custom endpoint".to_owned())
        }
        Some(url) => Endpoint::parse(&url),
    }
    .map_err(failed(service))
}

fn failed(service: Service) -> impl Fn(String) -> SetupError {
    move |reason| SetupError::Endpoint { service: service.host_label(), reason }
}
