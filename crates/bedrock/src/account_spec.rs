//! Account spec: the region, endpoint and credentials of a target's calls, as far as the operator sets
//! them. Equal specs share an account: one cache of credentials, one clock, one connection pool per worker.

use std::time::Duration;

use super::role::Role;
use super::settings::{AccountKeys, AccountSecret, Settings};

/// A region, an endpoint and credentials; unset parts are the gateway's own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct AccountSpec {
    /// The region to call and sign for.
    pub region: Option<String>,
    /// One endpoint for all services.
    pub endpoint_url: Option<String>,
    /// Credentials; `None` for the gateway's own.
    pub login: Option<Login>,
    /// A role to assume with them.
    pub role: Option<Role>,
    /// Limits on the wait for response headers.
    pub first_byte: FirstByte,
}

/// Limits on the wait for response headers; unset ones are those for all calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct FirstByte {
    /// Limit of a unary call.
    pub unary: Option<Duration>,
    /// Limit of a stream.
    pub stream: Option<Duration>,
}

/// Credentials in an operator's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Login {
    /// A profile of the shared files.
    Profile(String),
    /// An access key.
    Keys {
        /// Access key id.
        access_key_id: String,
        /// Secret access key.
        secret_access_key: AccountSecret,
        /// Session token, of temporary credentials.
        session_token: Option<AccountSecret>,
    },
    /// A Bedrock API key.
    Bearer(AccountSecret),
}

impl AccountSpec {
    /// The gateway's own account spec, in another region.
    pub fn in_region(region: &str) -> Self {
        Self { region: Some(region.to_owned()), ..Self::default() }
    }

    /// Whether only the region is set.
    pub fn is_region(&self) -> bool {
        self.region.is_some() && *self == Self { region: self.region.clone(), ..Self::default() }
    }

    /// Fills unset parts from `other`. Credentials and role belong together: both are taken from `other`,
    /// or neither.
    #[must_use]
    pub fn or(self, other: &Self) -> Self {
        let own = self.login.is_some() || self.role.is_some();
        let other = other.clone();
        Self {
            region: self.region.or(other.region),
            endpoint_url: self.endpoint_url.or(other.endpoint_url),
            login: if own { self.login } else { other.login },
            role: if own { self.role } else { other.role },
            first_byte: FirstByte {
                unary: self.first_byte.unary.or(other.first_byte.unary),
                stream: self.first_byte.stream.or(other.first_byte.stream),
            },
        }
    }

    /// The settings of an account with this spec, where `base` holds the gateway's own.
    pub fn setup(&self, base: &Settings) -> Settings {
        let mut setup = base.clone();
        if let Some(region) = &self.region {
            setup.region = Some(region.clone());
        }
        if let Some(endpoint) = &self.endpoint_url {
            setup.endpoint = Some(endpoint.clone());
        }
        if let Some(login) = &self.login {
            setup.keys = Some(login.keys());
            setup.role = None;
        }
        if let Some(role) = &self.role {
            setup.role = Some(role.clone());
        }
        let FirstByte { unary, stream } = self.first_byte;
        let timeouts = &mut setup.timeouts;
        timeouts.first_byte_unary = unary.unwrap_or(timeouts.first_byte_unary);
        timeouts.first_byte_stream = stream.unwrap_or(timeouts.first_byte_stream);
        setup
    }
}

impl Login {
    fn keys(&self) -> AccountKeys {
        match self.clone() {
            Self::Profile(name) => AccountKeys::Profile(name),
            Self::Bearer(key) => AccountKeys::Bearer(key),
            Self::Keys { access_key_id, secret_access_key, session_token } => {
                AccountKeys::Static { access_key_id, secret_access_key, session_token }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(id: &str) -> Login {
        Login::Keys {
            access_key_id: id.to_owned(),
            secret_access_key: AccountSecret::new("s"),
            session_token: None,
        }
    }

    fn role(arn: &str) -> Role {
        Role {
            arn: arn.to_owned(),
            external_id: None,
            session_name: None,
            tags: Vec::new(),
            token: None,
            sts_endpoint: None,
        }
    }

    #[test]
    fn credentials_and_role_are_inherited_together() {
        let defaults = AccountSpec {
            region: Some("eu-west-1".to_owned()),
            endpoint_url: None,
            login: Some(keys("D")),
            role: Some(role("d")),
            first_byte: FirstByte::default(),
        };
        let own = AccountSpec { login: Some(keys("O")), ..AccountSpec::default() }.or(&defaults);
        assert_eq!((own.login, own.role), (Some(keys("O")), None));
        assert_eq!(own.region.as_deref(), Some("eu-west-1"));
        let none = AccountSpec::in_region("us-west-2").or(&defaults);
        assert_eq!((none.login, none.role), (Some(keys("D")), Some(role("d"))));
        assert_eq!(none.region.as_deref(), Some("us-west-2"));
    }
}
