//! The key that signatures of one day, region and service are made with: four HMACs of the secret, which
//! AWS's signer repeats for every request.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use aws_credential_types::Credentials;
use aws_lc_rs::hmac::{self, HMAC_SHA256, Key, Tag};

/// The last part of a credential scope.
const TERMINATOR: &str = "aws4_request";
/// The service that takes most calls.
const USUAL: &str = "bedrock";

/// A derived key and the scope for which it holds.
pub(super) struct DerivedKey {
    /// `YYYYMMDD/region/service/aws4_request`.
    scope: String,
    key: Key,
}

/// The derived keys in use: of the service that takes most calls, and of the one that was called last besides
/// it. They are replaced when the day changes; credentials have a cache each.
#[derive(Clone, Default)]
pub(super) struct DerivedKeys(Arc<[ArcSwapOption<DerivedKey>; 2]>);

/// The day, region and service that a signature holds for.
#[derive(Debug, Clone, Copy)]
pub(super) struct CredentialScope<'s> {
    /// `YYYYMMDD`.
    pub(super) day: &'s str,
    pub(super) region: &'s str,
    pub(super) service: &'s str,
}

impl DerivedKeys {
    /// The key for a scope, derived at its first use.
    pub(super) fn of(&self, keys: &Credentials, scope: CredentialScope<'_>) -> Arc<DerivedKey> {
        let slot = &self.0[usize::from(scope.service != USUAL)];
        if let Some(derived) = slot.load_full().filter(|derived| scope.is(&derived.scope)) {
            return derived;
        }
        let derived = Arc::new(DerivedKey::new(keys, scope));
        slot.store(Some(Arc::clone(&derived)));
        derived
    }
}

impl fmt::Debug for DerivedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DerivedKeys").finish_non_exhaustive()
    }
}

impl DerivedKey {
    fn new(
        keys: &Credentials,
        CredentialScope { day, region, service }: CredentialScope<'_>,
    ) -> Self {
        let secret = format!("AWS4{}", keys.secret_access_key());
        let step =
            |key: &[u8], part: &str| hmac::sign(&Key::new(HMAC_SHA256, key), part.as_bytes());
        let of_day = step(secret.as_bytes(), day);
        let of_region = step(of_day.as_ref(), region);
        let of_service = step(of_region.as_ref(), service);
        let key = step(of_service.as_ref(), TERMINATOR);
        Self {
            scope: format!("{day}/{region}/{service}/{TERMINATOR}"),
            key: Key::new(HMAC_SHA256, key.as_ref()),
        }
    }

    pub(super) fn scope(&self) -> &str {
        &self.scope
    }

    pub(super) fn sign(&self, text: &[u8]) -> Tag {
        hmac::sign(&self.key, text)
    }
}

impl CredentialScope<'_> {
    /// Whether a scope's text says the same, without writing it.
    fn is(&self, text: &str) -> bool {
        let mut parts = text.split('/');
        [self.day, self.region, self.service, TERMINATOR]
            .iter()
            .all(|part| parts.next() == Some(part))
    }
}
