//! The operator's key: LiteLLM's `master_key`. If it is configured, every route except the probes and the page at the
//! root wants a key.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};

use bedrock::AccountSecret;

/// Shortest master key that is accepted where strangers can reach the gateway, in bytes.
const SHORTEST: usize = 32;

/// The configured key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MasterKey {
    Key(AccountSecret),
    /// A key is required, but the variable it should come from is not set, as the note says: all
    /// callers are refused.
    Missing(String),
}

impl MasterKey {
    /// Whether a credential is the key. Hashes are compared, in a time that reveals neither how far two keys agree
    /// nor how long they are.
    pub(crate) fn is(&self, sent: &[u8]) -> bool {
        matches!(self, Self::Key(secret) if is_same(secret, sent))
    }

    /// Whether it is too short to withstand guesses, as the keys of public examples are.
    pub(crate) fn is_weak(&self) -> bool {
        matches!(self, Self::Key(secret) if is_short(secret))
    }
}

/// Whether a secret is too short to withstand guesses.
pub(crate) fn is_short(secret: &AccountSecret) -> bool {
    secret.reveal().len() < SHORTEST
}

/// Whether a credential is a secret, by their hashes.
pub(crate) fn is_same(secret: &AccountSecret, sent: &[u8]) -> bool {
    let (wanted, sent) = (digest(&SHA256, secret.reveal().as_bytes()), digest(&SHA256, sent));
    verify_slices_are_equal(wanted.as_ref(), sent.as_ref()).is_ok()
}
