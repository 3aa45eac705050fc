//! Roles assumed for a target: by AssumeRole with the found or given credentials, or by a web identity's
//! token. The cache around the providers keeps the results.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_config::SdkConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_credential_types::provider::SharedCredentialsProvider;

use super::connect::NetworkSettings;
use super::settings::{Settings, loader};
use super::web_identity::{WebIdentity, WebToken};

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
    /// A web identity's token, in place of other credentials.
    pub token: Option<WebToken>,
    /// Endpoint of STS, if not its regional host.
    pub sts_endpoint: Option<String>,
}

/// The configuration with the role's credentials in place of those that it was loaded with. Makes no call
/// to STS yet.
pub(super) async fn taken_on(
    sdk: SdkConfig,
    setup: &Settings,
    way: &Arc<NetworkSettings>,
) -> SdkConfig {
    let Some(role) = &setup.role else { return sdk };
    if is_own(role, setup, |name| std::env::var(name).ok()) {
        return sdk;
    }
    // Loaded again: Bedrock's endpoint is not STS's, and STS needs the keys below the role.
    let endpoint = role.sts_endpoint.clone();
    let sts = loader(&Settings { endpoint, role: None, ..setup.clone() }, way).load().await;
    let provider = match &role.token {
        Some(token) => {
            let token = token.clone();
            let provider = WebIdentity::new(&sts, &role.arn, session_name(role), token);
            SharedCredentialsProvider::new(provider)
        }
        None => by_keys(role, &sts).await,
    };
    sdk.into_builder().credentials_provider(provider).build()
}

/// Whether the role is the one that the pod's own web identity already has (IRSA). Few roles may assume
/// themselves, and doing so would have no use.
fn is_own(role: &Role, setup: &Settings, environment: impl Fn(&str) -> Option<String>) -> bool {
    let set = |name| environment(name).filter(|value| !value.trim().is_empty());
    let is_found = setup.keys.is_none() && role.token.is_none() && role.tags.is_empty();
    is_found
        && set("AWS_ROLE_ARN").is_some_and(|own| own == role.arn)
        && set("AWS_WEB_IDENTITY_TOKEN_FILE").is_some()
        && set("AWS_ACCESS_KEY_ID").is_none()
}

async fn by_keys(role: &Role, sts: &SdkConfig) -> SharedCredentialsProvider {
    let mut builder = AssumeRoleProvider::builder(&role.arn).configure(sts);
    if let Some(id) = &role.external_id {
        builder = builder.external_id(id);
    }
    builder = builder.session_name(session_name(role));
    if !role.tags.is_empty() {
        builder = builder.tags(role.tags.iter().map(|(key, value)| (key, value)));
    }
    SharedCredentialsProvider::new(builder.build().await)
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
            token: None,
            sts_endpoint: None,
        };
        let irsa = |name: &str| match name {
            "AWS_ROLE_ARN" => Some("arn:aws:iam::1:role/pod".to_owned()),
            "AWS_WEB_IDENTITY_TOKEN_FILE" => Some("/var/token".to_owned()),
            _ => None,
        };
        let setup = Settings::default();
        assert!(is_own(&role("arn:aws:iam::1:role/pod"), &setup, irsa));
        assert!(!is_own(&role("arn:aws:iam::1:role/other"), &setup, irsa));
        let blank = |name: &str| irsa(name).map(|_| String::new());
        assert!(!is_own(&role("arn:aws:iam::1:role/pod"), &setup, blank));
        let by_keys =
            Role { token: Some(WebToken::File("/t".into())), ..role("arn:aws:iam::1:role/pod") };
        assert!(!is_own(&by_keys, &setup, irsa));
    }
}
