//! Roles taken on with the token of a web identity, which comes from a file or is told outright. AWS's own
//! provider reads files alone.

use std::path::PathBuf;
use std::time::SystemTime;

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use aws_sdk_sts::Client;
use aws_sdk_sts::error::DisplayErrorContext;

use super::settings::AccountSecret;
use crate::files;

/// Where the token of a web identity is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum WebToken {
    /// In a file, which is read whenever credentials are fetched.
    File(PathBuf),
    /// Here.
    Told(AccountSecret),
}

/// Fetches the credentials of a role for a token.
#[derive(Debug)]
pub(super) struct WebIdentity {
    client: Client,
    arn: String,
    session_name: String,
    token: WebToken,
}

impl WebIdentity {
    /// Asks STS as `sdk` reaches it. The call is not signed.
    pub(super) fn new(sdk: &SdkConfig, arn: &str, session_name: String, token: WebToken) -> Self {
        Self { client: Client::new(sdk), arn: arn.to_owned(), session_name, token }
    }

    async fn fetch(&self) -> Result<Credentials, CredentialsError> {
        let call = self.client.assume_role_with_web_identity();
        let call = call.role_arn(&self.arn).role_session_name(&self.session_name);
        let answer = call.web_identity_token(self.token.read().await?).send().await;
        let answer = answer.map_err(|error| {
            CredentialsError::provider_error(DisplayErrorContext(&error).to_string())
        })?;
        let keys = answer
            .credentials()
            .ok_or_else(|| CredentialsError::provider_error("STS answered without credentials"))?;
        let ends = SystemTime::try_from(*keys.expiration())
            .map_err(|error| CredentialsError::provider_error(error.to_string()))?;
        Ok(Credentials::new(
            keys.access_key_id(),
            keys.secret_access_key(),
            Some(keys.session_token().to_owned()),
            Some(ends),
            "web identity",
        ))
    }
}

impl WebToken {
    async fn read(&self) -> Result<String, CredentialsError> {
        let path = match self {
            Self::Told(token) => return Ok(token.reveal().to_owned()),
            Self::File(path) => path.clone(),
        };
        let shown = path.display().to_string();
        let read = tokio::task::spawn_blocking(move || files::read_text(&path)).await;
        let failed = |why: String| {
            CredentialsError::provider_error(format!("the web identity's token {shown}: {why}"))
        };
        let text = read.map_err(|error| failed(error.to_string()))?;
        let text = text.map_err(|error| failed(error.to_string()))?;
        Ok(text.trim().to_owned())
    }
}

impl ProvideCredentials for WebIdentity {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.fetch())
    }
}
