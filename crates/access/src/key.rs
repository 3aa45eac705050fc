//! Keys of the gateway: how they are made, recognised and stored.
//!
//! A key of ours is `sk-oc-<public id>-<256 random bits>`. The store holds no key, only values derived from it:
//! - the *digest*, HMAC-SHA-256(pepper, SHA-256(key)), which authenticates. It is made over the hash so that a
//!   table of another gateway, which has hashes only, can be imported;
//! - the *token*, the handle in admin calls: SHA-256 of keys of ours, whose entropy allows it, and
//!   HMAC-SHA-256(pepper, "token|" + SHA-256(key)) of keys that callers chose, which a dictionary would find;
//! - the AWS key pair of [`signing_pair`](mod@signing_pair), computed from the pepper and the digest when it is needed.

mod pepper;
mod signing_pair;

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

pub use pepper::Pepper;
pub use signing_pair::{AwsKeyPair, access_key_id, public_id_of};

use crate::InvalidField;

const OURS: &str = "sk-oc-";
/// Characters of a public id: 71 bits, so that none meets another.
const PUBLIC_ID: usize = 12;
/// Characters of 256 bits in base64url.
const SECRET: usize = 43;
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Shortest key that a caller may choose, in characters.
const SHORTEST: usize = 16;
/// Longest credential looked at, in bytes.
const LONGEST: usize = 512;

/// A key as its holder sends it. It cannot be printed, and its memory is wiped when it is dropped.
#[derive(Clone)]
pub struct SecretKey(SecretString);

/// The value that authenticates a key, in a form the store may hold.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyDigest(String);

/// The handle of a key in admin calls and reports: 64 hex digits. It is never a credential.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyToken(String);

/// The system gives no random numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system's source of random numbers failed")]
pub struct NoRandomness;

impl SecretKey {
    /// Makes a key of ours. It is to be shown once: the store keeps only what is derived from it.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn generate() -> Result<Self, NoRandomness> {
        let mut bytes = Zeroizing::new([0_u8; 32]);
        fill(bytes.as_mut_slice())?;
        let id = new_public_id()?;
        let secret = Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice()));
        Ok(Self(SecretString::from(format!("{OURS}{id}-{}", secret.as_str()))))
    }

    /// A credential that a request carries. Absent where no key can look like that, so that floods of
    /// nonsense cost no lookup.
    pub fn presented(text: &str) -> Option<Self> {
        let plausible = text.len() <= LONGEST && text.bytes().all(|b| b.is_ascii_graphic());
        (plausible && !text.is_empty()).then(|| Self(SecretString::from(text)))
    }

    /// A key that a caller chose.
    ///
    /// # Errors
    /// It does not start with `sk-`, is shorter than 16 characters, longer than 512, or has characters other
    /// than printable ASCII; or it looks like a key of ours, whose token would say that it is random.
    pub fn chosen(text: &str) -> Result<Self, InvalidField> {
        let refuse = |message: &str| Err(InvalidField::new("key", message));
        if !text.starts_with("sk-") {
            return refuse("Invalid key format. A key must start with 'sk-'.");
        }
        if text.len() < SHORTEST || text.len() > LONGEST {
            return refuse("A key must have 16 to 512 characters.");
        }
        if !text.bytes().all(|b| b.is_ascii_graphic()) {
            return refuse("A key must consist of printable ASCII characters without spaces.");
        }
        if text.starts_with(OURS) {
            return refuse("Keys that start with 'sk-oc-' are made by the gateway.");
        }
        Ok(Self(SecretString::from(text)))
    }

    /// The key itself, for the one answer that shows it.
    pub fn reveal(&self) -> &str {
        self.0.expose_secret()
    }

    /// The part of a key of ours that logs may show.
    pub fn public_id(&self) -> Option<&str> {
        let (id, secret) = self.reveal().strip_prefix(OURS)?.split_at_checked(PUBLIC_ID)?;
        let secret = secret.strip_prefix('-')?;
        let base62 = id.bytes().all(|b| b.is_ascii_alphanumeric());
        let right = secret.len() == SECRET
            && secret.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        (base62 && right).then_some(id)
    }

    /// `sk-...` and the last four characters.
    pub fn name(&self) -> String {
        let key = self.reveal();
        let last = key.len().saturating_sub(4);
        format!("sk-...{}", key.get(last..).unwrap_or_default())
    }

    /// The value that authenticates the key.
    pub fn digest(&self, pepper: &Pepper) -> KeyDigest {
        KeyDigest::of_hash(&self.hash(), pepper)
    }

    /// The handle of the key.
    pub fn token(&self, pepper: &Pepper) -> KeyToken {
        let hash = self.hash();
        match self.public_id() {
            Some(_) => KeyToken(hex(&hash)),
            None => KeyToken(hex(&pepper.mac(&[b"token|", &hash]))),
        }
    }

    /// Whether two credentials are the same, in a time that does not tell how far they agree.
    pub fn is(&self, other: &Self) -> bool {
        self.hash().ct_eq(&other.hash()).into()
    }

    fn hash(&self) -> [u8; 32] {
        sha256(self.reveal().as_bytes())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

impl KeyDigest {
    /// The digest of a key of which only SHA-256 is known, for imports.
    pub fn of_hash(hash: &[u8; 32], pepper: &Pepper) -> Self {
        Self(hex(&pepper.mac(&[hash])))
    }

    /// Whether two digests are equal, in constant time.
    pub fn matches(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn stored(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyDigest(..)")
    }
}

impl KeyToken {
    /// The token of a key of which only SHA-256 is known.
    pub fn of_hash(hash: &[u8; 32]) -> Self {
        Self(hex(hash))
    }

    /// Reads 64 hex digits, in lower case.
    pub fn parse(text: &str) -> Option<Self> {
        let hex = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        (hex && text.len() == 64).then(|| Self(text.to_owned()))
    }

    /// The 64 hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Makes the public id of a key, for keys that callers chose too.
pub(crate) fn new_public_id() -> Result<String, NoRandomness> {
    let mut id = String::with_capacity(PUBLIC_ID);
    while id.len() < PUBLIC_ID {
        let mut bytes = [0_u8; 16];
        fill(&mut bytes)?;
        // 248 is the last multiple of 62 in a byte; what lies above would favour the first letters.
        let fair = bytes.iter().filter(|b| **b < 248);
        let letters = fair.filter_map(|b| BASE62.get(usize::from(b % 62)));
        id.extend(letters.take(PUBLIC_ID - id.len()).map(|b| char::from(*b)));
    }
    Ok(id)
}

fn fill(bytes: &mut [u8]) -> Result<(), NoRandomness> {
    SystemRandom::new().fill(bytes).map_err(|_| NoRandomness)
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from(DIGITS[usize::from(digit)]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pepper() -> Pepper {
        Pepper::given("a pepper of the tests").unwrap()
    }

    #[test]
    fn a_made_key_has_the_documented_form() {
        let key = SecretKey::generate().unwrap();
        let text = key.reveal().to_owned();
        assert_eq!(text.len(), 6 + 12 + 1 + 43, "{text}");
        assert_eq!(key.public_id(), Some(&text[6..18]));
        assert_eq!(key.name(), format!("sk-...{}", &text[text.len() - 4..]));
        assert_ne!(text, SecretKey::generate().unwrap().reveal());
    }

    #[test]
    fn the_token_of_our_key_is_its_hash_and_that_of_a_chosen_key_is_not() {
        let ours = SecretKey::generate().unwrap();
        assert_eq!(ours.token(&pepper()).as_str(), hex(&sha256(ours.reveal().as_bytes())));
        let chosen = SecretKey::chosen("sk-winter-2026-team").unwrap();
        let hash = sha256(chosen.reveal().as_bytes());
        assert_ne!(chosen.token(&pepper()).as_str(), hex(&hash));
        let other = Pepper::given("another pepper 123").unwrap();
        assert_ne!(chosen.token(&pepper()), chosen.token(&other));
        assert_eq!(
            KeyToken::parse(chosen.token(&pepper()).as_str()),
            Some(chosen.token(&pepper()))
        );
    }

    #[test]
    fn the_digest_is_of_the_hash_and_of_the_pepper() {
        let key = SecretKey::chosen("sk-0123456789abcdef").unwrap();
        let digest = key.digest(&pepper());
        assert!(digest.matches(&KeyDigest::of_hash(&sha256(b"sk-0123456789abcdef"), &pepper())));
        assert!(!digest.matches(&key.digest(&Pepper::given("another pepper 123").unwrap())));
        assert_ne!(digest.as_str(), key.token(&pepper()).as_str());
    }

    #[test]
    fn weak_keys_are_refused_by_name() {
        for (key, part) in [
            ("key-0123456789abcdef", "start with 'sk-'"),
            ("sk-short", "16 to 512"),
            ("sk-with a space in it", "without spaces"),
            ("sk-with-ümlaut-in-it", "printable ASCII"),
            ("sk-oc-0123456789abcdef", "made by the gateway"),
        ] {
            let refusal = SecretKey::chosen(key).unwrap_err();
            assert_eq!(refusal.param, "key");
            assert!(refusal.message.contains(part), "{refusal}");
            assert!(!refusal.message.contains(key), "{refusal}");
        }
    }

    #[test]
    fn secrets_do_not_print() {
        let key = SecretKey::chosen("sk-canary-canary-canary").unwrap();
        let pair = AwsKeyPair::derive("abcdefghijkl", &key.digest(&pepper()), &pepper());
        let shown = format!("{key:?} {:?} {:?} {pair:?}", key.digest(&pepper()), pepper());
        assert!(!shown.contains("canary") && !shown.contains(pair.secret()), "{shown}");
        assert!(!shown.contains(key.digest(&pepper()).as_str()), "{shown}");
    }

    #[test]
    fn nonsense_is_no_key() {
        assert!(SecretKey::presented("").is_none());
        assert!(SecretKey::presented("sk-a b").is_none());
        assert!(SecretKey::presented(&"x".repeat(513)).is_none());
        assert!(SecretKey::presented("anything-graphic").is_some());
        assert!(KeyToken::parse(&"A".repeat(64)).is_none());
        let same = SecretKey::presented("anything-graphic").unwrap();
        assert!(same.is(&SecretKey::presented("anything-graphic").unwrap()));
        assert!(!same.is(&SecretKey::presented("anything-graphics").unwrap()));
    }
}
