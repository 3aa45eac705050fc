//! What the configured secret is for: the names under which a shared store knows callers and calls, and the
//! sealing of what lies there. Thoughts are the kin of prompts: whoever reads the store must learn nothing.

use std::borrow::Cow;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use translate::thoughts::Thought;

use super::Caller;

/// Before every name, so that an operator knows whose entries these are; also the version of their shape.
const PREFIX: &str = "outcrop:thoughts:1:";

/// Names and seals by one secret. Replicas with the same agree.
pub(super) struct Seal {
    callers: hmac::Key,
    names: hmac::Key,
    values: RandomizedNonceKey,
}

/// A thought as it is written down.
#[derive(Serialize, Deserialize)]
enum Written<'t> {
    #[serde(rename = "t")]
    Text(Cow<'t, str>, Option<Cow<'t, str>>),
    #[serde(rename = "r")]
    Redacted(Cow<'t, str>),
}

impl Seal {
    /// # Errors
    /// The cryptography library refuses its own key.
    pub(super) fn new(secret: &str) -> Result<Self, Unspecified> {
        let secret = hmac::Key::new(HMAC_SHA256, secret.as_bytes());
        let of = |purpose: &str| hmac::sign(&secret, purpose.as_bytes());
        Ok(Self {
            callers: hmac::Key::new(HMAC_SHA256, of("callers").as_ref()),
            names: hmac::Key::new(HMAC_SHA256, of("names").as_ref()),
            values: RandomizedNonceKey::new(&AES_256_GCM, of("values").as_ref())?,
        })
    }

    /// Who asks, the same in every replica.
    pub(super) fn caller<'h>(&self, told: impl Iterator<Item = Option<&'h [u8]>>) -> Caller {
        let mut context = hmac::Context::with_key(&self.callers);
        for value in told {
            // The length before it, so that no two lists look alike.
            let length = value.map_or(u64::MAX, |value| value.len() as u64);
            context.update(&length.to_be_bytes());
            context.update(value.unwrap_or_default());
        }
        let tag = context.sign();
        Caller(tag.as_ref().iter().take(16).fold(0, |all, byte| (all << 8) | u128::from(*byte)))
    }

    /// The name of what a caller's call left.
    pub(super) fn name(&self, caller: Caller, call: &str) -> String {
        let mut context = hmac::Context::with_key(&self.names);
        context.update(&caller.0.to_be_bytes());
        context.update(call.as_bytes());
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(context.sign()))
    }

    /// Thoughts as they may lie anywhere. They can only be read under this name.
    pub(super) fn close(&self, name: &str, thoughts: &[Thought]) -> Option<Vec<u8>> {
        let written: Vec<Written<'_>> = thoughts.iter().map(Written::of).collect();
        let mut text = serde_json::to_vec(&written).ok()?;
        let nonce =
            self.values.seal_in_place_append_tag(Aad::from(name.as_bytes()), &mut text).ok()?;
        let mut sealed = nonce.as_ref().to_vec();
        sealed.append(&mut text);
        Some(sealed)
    }

    /// What was closed; `None` if it was not, or not by this secret under this name.
    pub(super) fn open(&self, name: &str, mut sealed: Vec<u8>) -> Option<Arc<[Thought]>> {
        let (nonce, text) = sealed.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let text = self.values.open_in_place(nonce, Aad::from(name.as_bytes()), text).ok()?;
        let written: Vec<Written<'_>> = serde_json::from_slice(text).ok()?;
        Some(written.into_iter().map(Written::thought).collect())
    }
}

impl<'t> Written<'t> {
    fn of(thought: &'t Thought) -> Self {
        match thought {
            Thought::Text { text, signature } => {
                Self::Text(text.into(), signature.as_ref().map(Into::into))
            }
            Thought::Redacted(data) => Self::Redacted(data.into()),
        }
    }

    fn thought(self) -> Thought {
        match self {
            Self::Text(text, signature) => {
                Thought::Text { text: text.into_owned(), signature: signature.map(Cow::into_owned) }
            }
            Self::Redacted(data) => Thought::Redacted(data.into_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "a secret of the replicas";

    #[test]
    fn what_is_closed_opens_under_its_name_and_secret_alone() {
        let (seal, twin, other) =
            (Seal::new(SECRET).unwrap(), Seal::new(SECRET).unwrap(), Seal::new("other").unwrap());
        let thoughts = [
            Thought::Text {
                text: "granite, \u{1f5ff}".to_owned(),
                signature: Some("s=".to_owned()),
            },
            Thought::Text { text: String::new(), signature: None },
            Thought::Redacted("AAEC".to_owned()),
        ];
        let closed = seal.close("a", &thoughts).unwrap();
        assert!(!closed.windows(7).any(|part| part == b"granite"));
        assert_ne!(closed, seal.close("a", &thoughts).unwrap(), "no two look alike");
        assert_eq!(twin.open("a", closed.clone()).unwrap()[..], thoughts);
        assert!(seal.open("b", closed.clone()).is_none());
        assert!(other.open("a", closed.clone()).is_none());
        assert!(seal.open("a", closed[..closed.len() - 1].to_vec()).is_none());
        assert!(seal.open("a", Vec::new()).is_none());
        let none = seal.close("a", &[]).unwrap();
        assert!(seal.open("a", none).unwrap().is_empty(), "nothing thought is not nothing known");
    }

    #[test]
    fn names_tell_nothing_and_are_the_same_everywhere() {
        let (seal, twin) = (Seal::new(SECRET).unwrap(), Seal::new(SECRET).unwrap());
        let who = |seal: &Seal, told: [Option<&[u8]>; 2]| seal.caller(told.into_iter());
        let ann = who(&seal, [Some(b"ann"), None]);
        assert_eq!(ann, who(&twin, [Some(b"ann"), None]));
        assert_ne!(ann, who(&seal, [None, Some(b"ann")]));
        assert_ne!(ann, who(&seal, [Some(b"ann"), Some(b"")]));
        let name = seal.name(ann, "call_1");
        assert_eq!(name, twin.name(ann, "call_1"));
        assert_ne!(name, seal.name(who(&seal, [Some(b"bob"), None]), "call_1"));
        assert!(name.starts_with(PREFIX) && !name.contains("call_1"));
    }
}
