//! Capsules: reasoning that a client keeps for the gateway, sealed and bound to the caller. Opening one
//! that was sealed elsewhere is no error, because clients bring those of other services too.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use translate::capsule::{CAPSULE_PREFIX, CapsulePurpose, Capsules};

use super::Caller;

/// Length of the key, in bytes.
const KEY: usize = 32;

/// The key of all capsules.
pub(super) struct CapsuleKey(RandomizedNonceKey);

/// The seal of one caller.
#[derive(Debug)]
pub(super) struct CallerCapsules {
    key: Arc<CapsuleKey>,
    caller: Caller,
}

impl fmt::Debug for CapsuleKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CapsuleKey").finish_non_exhaustive()
    }
}

impl CapsuleKey {
    /// A key of 32 bytes.
    ///
    /// # Errors
    /// The cryptography library refuses it.
    pub(super) fn of(key: &[u8]) -> Result<Self, Unspecified> {
        Ok(Self(RandomizedNonceKey::new(&AES_256_GCM, key)?))
    }

    /// A key of this process alone: its capsules do not open in another one.
    pub(super) fn random() -> Option<Self> {
        let mut key = [0; KEY];
        rand::fill(&mut key).ok()?;
        Self::of(&key).ok()
    }
}

impl CallerCapsules {
    pub(super) fn new(key: &Arc<CapsuleKey>, caller: Caller) -> Self {
        Self { key: Arc::clone(key), caller }
    }

    fn aad(&self, purpose: CapsulePurpose) -> Vec<u8> {
        [&self.caller.0.to_be_bytes(), purpose.name().as_bytes()].concat()
    }
}

impl Capsules for CallerCapsules {
    fn seal(&self, purpose: CapsulePurpose, text: &[u8]) -> Option<String> {
        let mut sealed = text.to_vec();
        let aad = Aad::from(self.aad(purpose));
        let nonce = self.key.0.seal_in_place_append_tag(aad, &mut sealed).ok()?;
        let whole = [&nonce.as_ref()[..], &sealed].concat();
        Some(format!("{CAPSULE_PREFIX}{}", URL_SAFE_NO_PAD.encode(whole)))
    }

    fn open(&self, purpose: CapsulePurpose, capsule: &str) -> Option<Vec<u8>> {
        let mut whole = URL_SAFE_NO_PAD.decode(capsule.strip_prefix(CAPSULE_PREFIX)?).ok()?;
        let (nonce, sealed) = whole.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let text = self.key.0.open_in_place(nonce, Aad::from(self.aad(purpose)), sealed).ok()?;
        Some(text.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capsule_opens_for_its_caller_key_and_purpose_only() {
        let key = Arc::new(CapsuleKey::random().unwrap());
        let (ann, bob) =
            (CallerCapsules::new(&key, Caller(1)), CallerCapsules::new(&key, Caller(2)));
        let other = CallerCapsules::new(&Arc::new(CapsuleKey::random().unwrap()), Caller(1));
        let sealed = ann.seal(CapsulePurpose::Reasoning, b"quartz").unwrap();
        assert!(sealed.starts_with("oc1.") && !sealed.contains("quartz"));
        assert_ne!(ann.seal(CapsulePurpose::Reasoning, b"quartz"), Some(sealed.clone()));
        assert_eq!(ann.open(CapsulePurpose::Reasoning, &sealed).as_deref(), Some(&b"quartz"[..]));
        assert_eq!(ann.open(CapsulePurpose::Compaction, &sealed), None);
        assert_eq!(bob.open(CapsulePurpose::Reasoning, &sealed), None);
        assert_eq!(other.open(CapsulePurpose::Reasoning, &sealed), None);
        for foreign in ["", "oc1.", "oc1.AAAA", "gAAAAABfoo", "oc1.\u{fc}", &sealed[..40]] {
            assert_eq!(ann.open(CapsulePurpose::Reasoning, foreign), None, "{foreign}");
        }
    }
}
