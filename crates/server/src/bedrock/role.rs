//! Roles assumed for a target: by AssumeRole with the found or given credentials, or by a web identity's
//! token. AWS's own providers do the work; the cache around them keeps the results.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_config::provider_config::ProviderConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::web_identity_token::{StaticConfiguration, WebIdentityTokenCredentialsProvider};
use aws_config::{Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;

use super::connect::Way;
use super::http_client;
use super::setup::{Setup, loader};

/// A role to assume.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Role {
    /// `arn:aws:iam::ACCOUNT:role/NAME`.
    pub arn: String,
    /// The external id that the role's owner requires.
    pub external_id: Option<String>,
    /// Name of the session in the owner's logs; generated if unset.
    pub session_name: Option<String>,
    /// Session tags, key and value.
    pub tags: Vec<(String, String)>,
    /// File of a web identity's token, in place of other credentials.
    pub token_file: Option<PathBuf>,
    /// Endpoint of STS, if not its regional host.
    pub sts_endpoint: Option<String>,
}

/// The configuration with the role's credentials in place of those that it was loaded with. Makes no call
/// to STS yet.
pub(super) async fn taken_on(sdk: SdkConfig, setup: &Setup, way: &Arc<Way>) -> SdkConfig {
    let Some(role) = &setup.role else { return sdk };
    if is_own(role, setup, |name| std::env::var(name).ok()) {
        return sdk;
    }
    let provider = match &role.token_file {
        Some(file) => by_token(role, file.clone(), &sdk, way),
        None => by_keys(role, setup, way).await,
    };
    sdk.into_builder().credentials_provider(provider).build()
}

/// Whether the role is the one that the pod's own web identity already has (IRSA). Few roles may assume
/// themselves, and doing so would have no use.
fn is_own(role: &Role, setup: &Setup, environment: impl Fn(&str) -> Option<String>) -> bool {
    let set = |name| environment(name).filter(|value| !value.trim().is_empty());
    let is_found = setup.keys.is_none() && role.token_file.is_none() && role.tags.is_empty();
    is_found
        && set("AWS_ROLE_ARN").is_some_and(|own| own == role.arn)
        && set("AWS_WEB_IDENTITY_TOKEN_FILE").is_some()
        && set("AWS_ACCESS_KEY_ID").is_none()
}

async fn by_keys(role: &Role, setup: &Setup, way: &Arc<Way>) -> SharedCredentialsProvider {
    // Loaded again: Bedrock's endpoint is not that of STS, and STS needs the credentials below the role.
    let endpoint = role.sts_endpoint.clone();
    let sts = loader(&Setup { endpoint, role: None, ..setup.clone() }, way).load().await;
    let mut builder = AssumeRoleProvider::builder(&role.arn).configure(&sts);
    if let Some(id) = &role.external_id {
        builder = builder.external_id(id);
    }
    builder = builder.session_name(session_name(role));
    if !role.tags.is_empty() {
        builder = builder.tags(role.tags.iter().map(|(key, value)| (key, value)));
    }
    SharedCredentialsProvider::new(builder.build().await)
}

/// Calls STS without a signature, at its regional host or the environment's endpoint.
fn by_token(
    role: &Role,
    file: PathBuf,
    sdk: &SdkConfig,
    way: &Arc<Way>,
) -> SharedCredentialsProvider {
    let region = sdk.region().map(|region| Region::new(region.to_string()));
    let config = ProviderConfig::without_region()
        .with_region(region)
        .with_http_client(http_client::client(way));
    let provider = WebIdentityTokenCredentialsProvider::builder()
        .configure(&config)
        .static_configuration(StaticConfiguration {
            web_identity_token_file: file,
            role_arn: role.arn.clone(),
            session_name: session_name(role),
        })
        .build();
    SharedCredentialsProvider::new(provider)
}

fn session_name(role: &Role) -> String {
    role.session_name.clone().unwrap_or_else(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        format!("outcrop-{}", since.as_secs())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pods_own_role_is_not_assumed_again() {
        let role = |arn: &str| Role {
            arn: arn.to_owned(),
            external_id: None,
            session_name: Some("s".to_owned()),
            tags: Vec::new(),
            token_file: None,
            sts_endpoint: None,
        };
        let irsa = |name: &str| match name {
            "AWS_ROLE_ARN" => Some("arn:aws:iam::1:role/pod".to_owned()),
            "AWS_WEB_IDENTITY_TOKEN_FILE" => Some("/var/token".to_owned()),
            _ => None,
        };
        let setup = Setup::default();
        assert!(is_own(&role("arn:aws:iam::1:role/pod"), &setup, irsa));
        assert!(!is_own(&role("arn:aws:iam::1:role/other"), &setup, irsa));
        let blank = |name: &str| irsa(name).map(|_| String::new());
        assert!(!is_own(&role("arn:aws:iam::1:role/pod"), &setup, blank));
        let by_keys =
            Role { token_file: Some(PathBuf::from("/t")), ..role("arn:aws:iam::1:role/pod") };
        assert!(!is_own(&by_keys, &setup, irsa));
    }
}
