//! The search for credentials after a start, which decides readiness.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::sleep;

use crate::panic_guard::noted;
use crate::readiness::Credentials;
use crate::state::Shared;
use bedrock::{Account, CredentialSource, CredentialsError};

/// Before the first further search, and the longest time between two.
const FIRST: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(15);

/// Searches for credentials until an account has some. The task ends with `shared`.
pub(crate) fn watch(shared: &Arc<Shared>) {
    let task = tokio::spawn(noted("searching for credentials", search(Arc::downgrade(shared))));
    shared.readiness.keep(task.abort_handle());
}

async fn search(shared: Weak<Shared>) {
    let mut wait = FIRST;
    loop {
        let Some(accounts) = shared.upgrade().map(|shared| accounts(&shared)) else { return };
        let found = first_usable(&accounts).await;
        let Some(shared) = shared.upgrade() else { return };
        let before = shared.readiness.credentials();
        match found {
            Ok(()) => {
                shared.readiness.set(Credentials::Found);
                if before == Credentials::Missing {
                    log::info!("AWS credentials found: ready");
                }
                return;
            }
            Err(error) => {
                shared.readiness.set(Credentials::Missing);
                if before != Credentials::Missing {
                    log::warn!(
                        "{error}; calls fail and /readyz says 503 until there are some: a role, AWS_PROFILE (with `aws sso login` for SSO), access keys, or a Bedrock API key in AWS_BEARER_TOKEN_BEDROCK"
                    );
                }
            }
        }
        drop(shared);
        sleep(wait).await;
        wait = (2 * wait).min(LONGEST);
    }
}

/// The accounts in force. Those whose credentials need no network come first.
fn accounts(shared: &Shared) -> Vec<Account> {
    let mut accounts = shared.now().names.accounts();
    accounts.sort_by_key(|account| match account.credential_source() {
        CredentialSource::Given | CredentialSource::BearerKey | CredentialSource::Environment => 0,
        CredentialSource::Profile(_) => 1,
        CredentialSource::Role(_) | CredentialSource::WebIdentity | CredentialSource::Container => {
            2
        }
        CredentialSource::DefaultChain => 3,
    });
    accounts
}

/// Whether any of the accounts has credentials; the error is the last one's.
async fn first_usable(accounts: &[Account]) -> Result<(), CredentialsError> {
    let mut found = Ok(());
    for account in accounts {
        found = account.fetch_credentials().await;
        if found.is_ok() {
            break;
        }
    }
    found
}
