//! The AWS key pair that every key is as well, so that unmodified AWS SDKs can sign native calls.
//!
//! The access key id is `OC` and the key's public id. The secret is base64url of
//! HMAC-SHA-256(pepper, "aws|" + access key id + "|" + digest). So the store holds no signing secret: it is
//! computed from a stored digest and the pepper when a signature is verified. It changes with the key's secret,
//! dies with it, and tells neither the key nor the digest.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};

use super::{KeyDigest, Pepper};

const PREFIX: &str = "OC";

/// Access key id and secret access key.
#[derive(Clone)]
pub struct AwsKeyPair {
    id: String,
    secret: SecretString,
}

/// The public id that an access key id names; absent if it is no id of ours.
pub fn public_id_of(access_key_id: &str) -> Option<&str> {
    let id = access_key_id.strip_prefix(PREFIX)?;
    (id.len() == super::PUBLIC_ID && id.bytes().all(|b| b.is_ascii_alphanumeric())).then_some(id)
}

/// The access key id of a public id.
pub fn access_key_id(public_id: &str) -> String {
    format!("{PREFIX}{public_id}")
}

impl AwsKeyPair {
    /// Computes the pair of a key.
    pub fn derive(public_id: &str, digest: &KeyDigest, pepper: &Pepper) -> Self {
        let id = access_key_id(public_id);
        let mac = pepper.mac(&[b"aws|", id.as_bytes(), b"|", digest.as_str().as_bytes()]);
        Self { id, secret: SecretString::from(URL_SAFE_NO_PAD.encode(mac)) }
    }

    /// The access key id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The secret access key, for the one answer that shows it and for verification.
    pub fn secret(&self) -> &str {
        self.secret.expose_secret()
    }
}

impl fmt::Debug for AwsKeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AwsKeyPair({}, ..)", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::super::SecretKey;
    use super::*;

    #[test]
    fn the_secret_needs_the_pepper_and_changes_with_the_key() {
        let pepper = Pepper::given("a pepper of the tests").unwrap();
        let (first, second) = (SecretKey::generate().unwrap(), SecretKey::generate().unwrap());
        let id = first.public_id().unwrap();
        let pair = AwsKeyPair::derive(id, &first.digest(&pepper), &pepper);
        let again = AwsKeyPair::derive(id, &first.digest(&pepper), &pepper);
        assert_eq!((pair.id(), pair.secret()), (again.id(), again.secret()));
        assert_eq!(pair.secret().len(), 43);
        assert_eq!(public_id_of(pair.id()), Some(id));
        let other = AwsKeyPair::derive(id, &second.digest(&pepper), &pepper);
        assert_ne!(pair.secret(), other.secret());
        let peppered = Pepper::given("another pepper 123").unwrap();
        let other = AwsKeyPair::derive(id, &first.digest(&pepper), &peppered);
        assert_ne!(pair.secret(), other.secret());
    }

    #[test]
    fn foreign_access_key_ids_are_not_ours() {
        for id in ["AKIAIOSFODNN7EXAMPLE", "OC", "OCabc", "OCabcdefghij-l", "OCabcdefghijklm"] {
            assert_eq!(public_id_of(id), None, "{id}");
        }
    }
}
