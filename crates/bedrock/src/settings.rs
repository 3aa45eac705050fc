//! The operator's AWS settings, and their place in the AWS SDKs' own search for region, profile and
//! credentials.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_config::profile::{self, ProfileFileCredentialsProvider};
use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError as SearchError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use aws_lc_rs::digest;
use aws_sdk_bedrockruntime::config::Token;
use aws_smithy_runtime_api::client::auth::AuthSchemeId;
use aws_types::os_shim_internal::{Env, Fs};

use super::connect::{NetworkSettings, Trust, chain};
use super::credentials::CredentialsError;
use super::http_client;
use super::proxy::{BadProxy, Proxies};
use super::role::{self, Role};

/// The operator's settings. Unset ones are found as the AWS SDKs find them.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Region; precedes `AWS_REGION`, `AWS_DEFAULT_REGION`, `AWS_REGION_NAME`, the profile and the instance
    /// metadata.
    pub region: Option<String>,
    /// Region where none of these names one.
    pub last_region: Option<String>,
    /// Profile of the shared configuration files; precedes `AWS_PROFILE`.
    pub profile: Option<String>,
    /// Credentials given directly, without a search.
    pub keys: Option<AccountKeys>,
    /// A role to assume with those credentials, or with the ones found.
    pub role: Option<Role>,
    /// One endpoint for all services. Turns FIPS and dual stack off.
    pub endpoint: Option<String>,
    /// PEM file of trust roots; precedes `AWS_CA_BUNDLE`.
    pub ca_bundle: Option<PathBuf>,
    /// Time limits.
    pub timeouts: Timeouts,
}

impl Settings {
    /// Hash of the account that makes the calls, as far as the settings show it: the account of the role,
    /// or else the credentials. It is the same in every process with the same settings, and cannot be
    /// reversed.
    pub fn owner(&self) -> u64 {
        let role = self.role.as_ref().map(|role| {
            let account = role.arn.split(':').nth(4).filter(|account| !account.is_empty());
            ("role", account.unwrap_or(&role.arn))
        });
        let (kind, name) = role.unwrap_or_else(|| match &self.keys {
            Some(AccountKeys::Static { access_key_id, .. }) => ("keys", access_key_id),
            Some(AccountKeys::Bearer(key)) => ("bearer", key.reveal()),
            Some(AccountKeys::Profile(name)) => ("profile", name),
            Some(AccountKeys::Provider(_)) | None => {
                ("found", self.profile.as_deref().unwrap_or_default())
            }
        });
        let digest = digest::digest(&digest::SHA256, format!("{kind} {name}").as_bytes());
        let first = digest.as_ref().first_chunk().copied().unwrap_or_default();
        u64::from_be_bytes(first)
    }
}

/// Credentials given directly.
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
    /// A profile of the shared files alone, without the environment's keys.
    Profile(String),
    /// Any provider of the AWS SDK.
    Provider(SharedCredentialsProvider),
}

/// A string that is never printed.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct AccountSecret(String);

impl AccountSecret {
    /// Wraps a secret.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// The secret itself, for the code that must use it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for AccountSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// Every time limit of the transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Timeouts {
    /// TCP and TLS set-up.
    pub connect: Duration,
    /// Response headers of a streaming call.
    pub first_byte_stream: Duration,
    /// Response headers of a unary call, which Bedrock sends when the response is complete.
    pub first_byte_unary: Duration,
    /// Between two pieces of a body. Bedrock sends no bytes while a model reasons.
    pub idle: Duration,
    /// The whole call, streams included.
    pub total: Duration,
    /// Longest idle time of a pooled connection.
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

/// Reasons why an account cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// No region is set anywhere.
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
        /// The objection of the SDK's rules, or the error in the URL.
        reason: String,
    },
    /// A proxy variable cannot be used; going without the proxy would ignore the operator's setting.
    #[error(transparent)]
    Proxy(#[from] BadProxy),
    /// The bearer key cannot be sent.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
}

/// Source of credentials, for display. Decided from the settings and the environment alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialSource {
    /// Given in the settings.
    Given,
    /// A Bedrock API key.
    BearerKey,
    /// `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`.
    Environment,
    /// A named profile.
    Profile(String),
    /// An assumed role.
    Role(String),
    /// `AWS_WEB_IDENTITY_TOKEN_FILE`: IRSA on EKS.
    WebIdentity,
    /// ECS task role or EKS Pod Identity.
    Container,
    /// The rest: the default profile, or else the instance's role.
    DefaultChain,
}

impl fmt::Display for CredentialSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given => f.write_str("given at start"),
            Self::BearerKey => f.write_str("bearer key"),
            Self::Environment => f.write_str("environment"),
            Self::Profile(name) => write!(f, "profile {name}"),
            Self::Role(arn) => write!(f, "role {arn}"),
            Self::WebIdentity => f.write_str("web identity (IRSA)"),
            Self::Container => f.write_str("container (task role or Pod Identity)"),
            Self::DefaultChain => f.write_str("default profile or instance role"),
        }
    }
}

/// Trust roots and proxies for connections with these settings.
///
/// # Errors
/// A proxy variable without a usable proxy.
pub(super) fn way(setup: &Settings) -> Result<Arc<NetworkSettings>, SetupError> {
    let proxies = Proxies::of(|name| std::env::var(name).ok())?;
    let bundle = setup.ca_bundle.clone().or_else(bundle_from_environment);
    let profile = match &setup.keys {
        Some(AccountKeys::Profile(name)) => Some(name.clone()),
        Some(AccountKeys::Static { .. } | AccountKeys::Bearer(_) | AccountKeys::Provider(_))
        | None => setup.profile.clone(),
    };
    Ok(Arc::new(NetworkSettings::new(Trust::new(bundle, profile), proxies)))
}

/// The AWS SDKs' own search, with the operator's settings first.
///
/// Retries are set, so that aws-config does not read `AWS_RETRY_MODE` and `AWS_MAX_ATTEMPTS`: it panics at
/// unknown values, boto3's `legacy` among them, and retries of calls are the router's.
pub(super) fn loader(setup: &Settings, way: &Arc<NetworkSettings>) -> ConfigLoader {
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(http_client::client(way))
        .retry_config(RetryConfig::standard());
    if let Some(profile) = &setup.profile {
        loader = loader.profile_name(profile);
    }
    if let Some(region) = setup.region.clone().or_else(region_from_environment) {
        loader = loader.region(Region::new(region));
    }
    if let Some(endpoint) = &setup.endpoint {
        loader = loader.endpoint_url(endpoint).use_fips(false).use_dual_stack(false);
    }
    let prefer =
        |loader: ConfigLoader, scheme| loader.auth_scheme_preference([AuthSchemeId::from(scheme)]);
    match &setup.keys {
        None if setup.role.is_some() => prefer(loader, "sigv4"),
        None => loader,
        Some(AccountKeys::Profile(name)) => {
            let provider = ProfileFileCredentialsProvider::builder().profile_name(name).build();
            prefer(loader, "sigv4").profile_name(name).credentials_provider(provider)
        }
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

/// `sdk` with credentials that are searched for again at each fetch, and with the role assumed on top.
///
/// The SDK's own search reads the profiles only once: keys that a sign-in tool writes into the file later
/// would need a restart. It also treats a missing profile as a failure from the second fetch on, so that an
/// hour after the start the sources after the profile are no longer tried.
pub(super) fn searching_afresh(
    sdk: &SdkConfig,
    setup: &Settings,
    way: &Arc<NetworkSettings>,
) -> SdkConfig {
    match &setup.keys {
        None | Some(AccountKeys::Profile(_)) => {}
        Some(_) if setup.role.is_some() => {}
        Some(AccountKeys::Static { .. } | AccountKeys::Bearer(_) | AccountKeys::Provider(_)) => {
            return sdk.clone();
        }
    }
    let region = sdk.region().map(ToString::to_string);
    let search = Search { setup: Settings { region, ..setup.clone() }, way: Arc::clone(way) };
    sdk.to_builder().credentials_provider(SharedCredentialsProvider::new(search)).build()
}

#[derive(Debug)]
struct Search {
    setup: Settings,
    way: Arc<NetworkSettings>,
}

impl ProvideCredentials for Search {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            let Self { setup, way } = self;
            let sdk = role::taken_on(loader(setup, way).load().await, setup, way).await;
            let found = sdk
                .credentials_provider()
                .ok_or_else(|| SearchError::not_loaded("the AWS SDK has no sources"))?;
            found.provide_credentials().await
        })
    }
}

/// The SDK reads the first two; users of other gateways have set the third.
fn region_from_environment() -> Option<String> {
    ["AWS_REGION", "AWS_DEFAULT_REGION", "AWS_REGION_NAME"]
        .into_iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|region| !region.is_empty())
}

pub(super) fn bundle_from_environment() -> Option<PathBuf> {
    std::env::var_os("AWS_CA_BUNDLE").filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// What is wrong with a profile in the shared files.
pub(super) async fn profile_flaw(name: &str) -> Option<String> {
    let chosen = Some(name.to_owned().into());
    match profile::load(&Fs::real(), &Env::real(), &Default::default(), chosen).await {
        Ok(profiles) if profiles.get_profile(name).is_some() => None,
        Ok(_) => Some(format!("profile {name} is in none of AWS's profile files")),
        Err(error) => Some(format!("AWS's profile files cannot be read: {}", chain(&error))),
    }
}

pub(super) fn credential_source(
    setup: &Settings,
    environment: impl Fn(&str) -> Option<String>,
) -> CredentialSource {
    let set = |name| environment(name).is_some_and(|value| !value.is_empty());
    let profile = setup.profile.clone().or_else(|| environment("AWS_PROFILE"));
    if let Some(role) = &setup.role {
        return CredentialSource::Role(role.arn.clone());
    }
    match (profile, &setup.keys) {
        (_, Some(AccountKeys::Profile(name))) => CredentialSource::Profile(name.clone()),
        (_, Some(_)) => CredentialSource::Given,
        (_, None) if set("AWS_ACCESS_KEY_ID") && set("AWS_SECRET_ACCESS_KEY") => {
            CredentialSource::Environment
        }
        (Some(name), None) if !name.is_empty() => CredentialSource::Profile(name),
        (_, None) if set("AWS_WEB_IDENTITY_TOKEN_FILE") => CredentialSource::WebIdentity,
        (_, None)
            if set("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
                || set("AWS_CONTAINER_CREDENTIALS_FULL_URI") =>
        {
            CredentialSource::Container
        }
        (_, None) => CredentialSource::DefaultChain,
    }
}
