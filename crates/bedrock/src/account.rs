//! The AWS settings that are decided once per process and shared by all workers: region, endpoints,
//! authentication, the credentials cache, the clock offset, the time limits.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use aws_config::SdkConfig;
use aws_credential_types::provider::token::SharedTokenProvider;
use aws_sdk_bedrockruntime::config::Token;
use aws_types::service_config::ServiceConfigKey;
use http::HeaderValue;

use super::clock::{Clock, Correction};
use super::connect::NetworkSettings;
use super::credentials::{CredentialCache, CredentialsError, Grant, Source};
use super::endpoint::{Endpoint, Service, regional};
use super::sdk_endpoint::{self, AuthScheme};
use super::settings::{
    CredentialSource, Settings, SetupError, Timeouts, credential_source, loader, profile_flaw,
    searching_afresh, way,
};

/// An AWS account as the gateway calls it. Cheap to clone.
#[derive(Clone)]
pub struct Account(Arc<Inner>);

/// Written by hand: the SDK's configuration would print the profile files it read, secrets included.
impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("region", &self.0.region)
            .field("source", &self.0.source)
            .field("endpoints", &self.0.endpoints)
            .finish_non_exhaustive()
    }
}

struct Inner {
    region: String,
    source: CredentialSource,
    endpoints: [Endpoint; 10],
    /// Access keys, for SigV4.
    keys: Option<Arc<CredentialCache>>,
    /// Bearer keys, for the services that accept them, if the SDK would use one.
    bearer: Option<Arc<CredentialCache>>,
    clock: Arc<Clock>,
    way: Arc<NetworkSettings>,
    /// `user-agent` of its calls.
    agent: HeaderValue,
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
    /// Finds region, endpoints and the kind of authentication. Fetches no credentials; uses the network
    /// only if the region is available from the instance metadata alone.
    ///
    /// # Errors
    /// [`SetupError`] names the missing or wrong setting.
    pub async fn load(mut setup: Settings) -> Result<Self, SetupError> {
        let way = way(&setup)?;
        let mut sdk = loader(&setup, &way).load().await;
        if let (None, Some(region)) = (sdk.region(), &setup.last_region) {
            log::warn!("no region is configured: {region} is used");
            setup.region = Some(region.clone());
            sdk = loader(&setup, &way).load().await;
        }
        let region = sdk.region().ok_or(SetupError::NoRegion)?.to_string();
        let decision = sdk_endpoint::ask(&sdk, configured_endpoint(Service::Runtime, &sdk))
            .await
            .map_err(failed(Service::Runtime))?;
        let runtime = Endpoint::parse(&decision.base_url).map_err(failed(Service::Runtime))?;
        let endpoints = [
            runtime,
            sister(Service::Control, &sdk, &region).await?,
            sister(Service::AgentRuntime, &sdk, &region).await?,
            sister(Service::Agent, &sdk, &region).await?,
            sister(Service::S3, &sdk, &region).await?,
            sister(Service::Mantle, &sdk, &region).await?,
            sister(Service::AgentCore, &sdk, &region).await?,
            sister(Service::AgentCoreControl, &sdk, &region).await?,
            sister(Service::DataAutomation, &sdk, &region).await?,
            sister(Service::DataAutomationRuntime, &sdk, &region).await?,
        ];
        let correction = match sdk.disable_clock_skew_correction() {
            Some(true) => Correction::Off,
            Some(false) | None => Correction::On,
        };
        let clock = Arc::new(Clock::new(correction));
        let limit = setup.timeouts.credentials;
        let cache = |from, named: &CredentialSource| {
            CredentialCache::new(from, named.to_string(), Arc::clone(&clock), limit)
        };
        let token = match decision.scheme {
            AuthScheme::SigV4 => None,
            AuthScheme::BearerFromProvider => sdk.token_provider(),
            AuthScheme::BearerFromEnvironment(key) => {
                Some(SharedTokenProvider::new(Token::new(key, None)))
            }
        };
        let sdk = searching_afresh(&sdk, &setup, &way);
        let of_keys = credential_source(&setup, |name| std::env::var(name).ok());
        let keys = sdk.credentials_provider().map(|from| cache(Source::Keys(from), &of_keys));
        let bearer = token.map(|from| cache(Source::Token(from), &CredentialSource::BearerKey));
        let source = if bearer.is_some() { CredentialSource::BearerKey } else { of_keys };
        Ok(Self(Arc::new(Inner {
            region,
            source,
            endpoints,
            keys,
            bearer,
            clock,
            way,
            agent: agent(&sdk),
            timeouts: setup.timeouts,
            sdk,
        })))
    }

    /// Identifies the account during its lifetime.
    pub(super) fn id(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    /// Whether both are the same account, not merely equal ones.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The region that calls are signed for.
    pub fn region(&self) -> &str {
        &self.0.region
    }

    /// Source of the credentials.
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

    /// What is wrong with the account's trust roots and profile, as far as files tell.
    pub async fn flaws(&self) -> Vec<String> {
        let mut flaws = Vec::new();
        if self.endpoint(Service::Runtime).is_https()
            && let Err(error) = self.0.way.judge_trust().await
        {
            flaws.push(format!("trust roots: {error}"));
        }
        if let CredentialSource::Profile(name) = &self.0.source {
            flaws.extend(profile_flaw(name).await);
        }
        flaws
    }

    /// Correction applied to the system clock when signing, in seconds; 0 until the service rejects a time.
    pub fn clock_offset_seconds(&self) -> i64 {
        self.0.clock.offset_seconds()
    }

    /// Configuration for an SDK client of bedrock-runtime with the same endpoint and credentials, for
    /// infrequent calls. Such clients cache credentials of their own.
    pub fn sdk(&self) -> aws_sdk_bedrockruntime::config::Builder {
        let mut builder = aws_sdk_bedrockruntime::config::Builder::from(&self.0.sdk);
        builder.set_endpoint_url(configured_endpoint(Service::Runtime, &self.0.sdk));
        builder
    }

    /// Fetches credentials now, before the first call needs them.
    ///
    /// # Errors
    /// No credentials are available.
    pub async fn fetch_credentials(&self) -> Result<(), CredentialsError> {
        self.grant(Service::Runtime).await.map(|_| ())
    }

    /// The time at which the present credentials for models expire; none where there are none yet, or where they do not
    /// expire.
    pub fn credentials_expire_at(&self) -> Option<SystemTime> {
        self.cache(Service::Runtime).ok()?.expires_at()
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

    pub(super) fn agent(&self) -> &HeaderValue {
        &self.0.agent
    }

    pub(super) fn way(&self) -> &Arc<NetworkSettings> {
        &self.0.way
    }

    /// Bearer keys are valid for the runtime, mantle and the control plane; the other services sign.
    fn cache(&self, service: Service) -> Result<&Arc<CredentialCache>, CredentialsError> {
        let bearer = match service {
            Service::Runtime | Service::Control | Service::Mantle => self.0.bearer.as_ref(),
            Service::AgentRuntime
            | Service::Agent
            | Service::S3
            | Service::AgentCore
            | Service::AgentCoreControl
            | Service::DataAutomation
            | Service::DataAutomationRuntime => None,
        };
        bearer
            .or(self.0.keys.as_ref())
            .ok_or_else(|| CredentialsError("no access keys, only a bearer key".to_owned()))
    }
}

/// Endpoint of a service other than the runtime: the configured one, or else its regional host.
async fn sister(service: Service, sdk: &SdkConfig, region: &str) -> Result<Endpoint, SetupError> {
    match configured_endpoint(service, sdk) {
        None => regional(service, region, sdk.use_fips(), sdk.use_dual_stack()).await,
        Some(_) if sdk.use_fips() == Some(true) || sdk.use_dual_stack() == Some(true) => {
            Err("FIPS and dual stack exclude a custom endpoint".to_owned())
        }
        Some(url) => Endpoint::parse(&url),
    }
    .map_err(failed(service))
}

/// The gateway's name and version, and the application's name if `AWS_SDK_UA_APP_ID` or the profile sets
/// it: companies use it to distinguish programs.
fn agent(sdk: &SdkConfig) -> HeaderValue {
    const OUTCROP: &str = concat!("outcrop/", env!("CARGO_PKG_VERSION"));
    let named = sdk.app_name().map(|name| format!("{OUTCROP} app/{name}"));
    let named = named.and_then(|named| HeaderValue::from_str(&named).ok());
    named.unwrap_or(HeaderValue::from_static(OUTCROP))
}

/// LiteLLM's variable for the endpoint of bedrock-runtime.
const LITELLM_ENDPOINT: &str = "AWS_BEDROCK_RUNTIME_ENDPOINT";

/// A service's own endpoint in environment or profile, or else the one for all services. A blank value
/// counts as unset.
///
/// In a profile's services section AWS documents the key `bedrock_runtime`, and the other SDKs read
/// it; the Rust SDK looks for `bedrock-runtime`. Both count here.
fn configured_endpoint(service: Service, sdk: &SdkConfig) -> Option<String> {
    let told = |url: &String| !url.trim().is_empty();
    let general = sdk.endpoint_url();
    if sdk.get_origin("endpoint_url").is_client_config() {
        return general.map(ToOwned::to_owned);
    }
    let own = |service_id: &str| {
        let key = ServiceConfigKey::builder()
            .service_id(service_id)
            .env("AWS_ENDPOINT_URL")
            .profile("endpoint_url")
            .build()
            .ok()?;
        sdk.service_config()?.load_config(key).filter(|url| Some(url.as_str()) != general)
    };
    let documented = service.service_id().replace(' ', "_");
    let litellms = || match service {
        Service::Runtime => std::env::var(LITELLM_ENDPOINT).ok().filter(told),
        Service::Control
        | Service::AgentRuntime
        | Service::Agent
        | Service::S3
        | Service::Mantle
        | Service::AgentCore
        | Service::AgentCoreControl
        | Service::DataAutomation
        | Service::DataAutomationRuntime => None,
    };
    own(&documented)
        .filter(told)
        .or_else(|| own(service.service_id()).filter(told))
        .or_else(litellms)
        .or_else(|| general.map(ToOwned::to_owned).filter(told))
}

fn failed(service: Service) -> impl Fn(String) -> SetupError {
    move |reason| SetupError::Endpoint { service: service.host_label(), reason }
}
