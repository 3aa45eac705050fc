//! Sealing with the configured secret: the names of callers and calls in the Redis store, and the
//! encryption of its values. Reasoning is as confidential as prompts: a reader of the store must learn
//! nothing from it.

use std::borrow::Cow;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use translate::reasoning::{Origin, Passage, ReasoningItem, Step, Turn};

use super::Caller;
use super::capsules::CapsuleKey;

/// Prefix of every name, which shows an operator the owner of the entries. Its version covers names and
/// sealing; a sealed value states its own format, so that replicas of two versions read what they can.
const PREFIX: &str = "outcrop:thoughts:1:";
/// The same of kept answers.
const ANSWERS: &str = "outcrop:answers:1:";

/// Names and encryption from one secret. Replicas with the same secret agree.
pub(super) struct Sealing {
    callers: hmac::Key,
    names: hmac::Key,
    values: RandomizedNonceKey,
}

/// A turn in its stored format. Older versions stored only its reasoning.
#[derive(Deserialize)]
#[serde(untagged)]
enum Read<'t> {
    #[serde(borrow)]
    Turn(Written<'t>),
    Thoughts(Vec<WrittenStep<'t>>),
}

#[derive(Serialize, Deserialize)]
struct Written<'t> {
    #[serde(borrow, rename = "b")]
    steps: Vec<WrittenStep<'t>>,
    #[serde(rename = "k")]
    placed: bool,
    /// Model and account.
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    origin: Option<(u64, u64)>,
    #[serde(borrow, rename = "p", default, skip_serializing_if = "Option::is_none")]
    preface: Option<Cow<'t, str>>,
}

#[derive(Serialize, Deserialize)]
enum WrittenStep<'t> {
    #[serde(rename = "t")]
    Text(Cow<'t, str>, Option<Cow<'t, str>>),
    #[serde(rename = "r")]
    Redacted(Cow<'t, str>),
    /// Bytes of a text, and of the white space at its edges.
    #[serde(rename = "x")]
    Passage(usize, usize, usize),
    #[serde(rename = "c")]
    Call(Cow<'t, str>),
}

/// The key of capsules that replicas with the same secret agree on.
///
/// # Errors
/// The cryptography library refuses its own key.
pub(super) fn capsule_key(secret: &str) -> Result<CapsuleKey, Unspecified> {
    let secret = hmac::Key::new(HMAC_SHA256, secret.as_bytes());
    CapsuleKey::of(hmac::sign(&secret, b"capsules").as_ref())
}

impl Sealing {
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

    /// The caller's identity, the same in every replica.
    pub(super) fn caller<'h>(&self, told: impl Iterator<Item = Option<&'h [u8]>>) -> Caller {
        let mut context = hmac::Context::with_key(&self.callers);
        for value in told {
            // Each value is preceded by its length, so that no two lists have the same bytes.
            let length = value.map_or(u64::MAX, |value| value.len() as u64);
            context.update(&length.to_be_bytes());
            context.update(value.unwrap_or_default());
        }
        let tag = context.sign();
        Caller(tag.as_ref().iter().take(16).fold(0, |all, byte| (all << 8) | u128::from(*byte)))
    }

    /// The name for the entry of a caller's call.
    pub(super) fn name(&self, caller: Caller, call: &str) -> String {
        let mut context = hmac::Context::with_key(&self.names);
        context.update(&caller.0.to_be_bytes());
        context.update(call.as_bytes());
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(context.sign()))
    }

    /// A turn, encrypted. It can be read only under this name.
    pub(super) fn close(&self, name: &str, turn: &Turn) -> Option<Vec<u8>> {
        self.sealed(name, serde_json::to_vec(&Written::of(turn)).ok()?)
    }

    /// The name of a kept answer.
    pub(super) fn name_of_answer(&self, digest: &[u8]) -> String {
        let tag = hmac::sign(&self.names, digest);
        format!("{ANSWERS}{}", URL_SAFE_NO_PAD.encode(tag))
    }

    pub(super) fn sealed(&self, name: &str, mut text: Vec<u8>) -> Option<Vec<u8>> {
        let nonce =
            self.values.seal_in_place_append_tag(Aad::from(name.as_bytes()), &mut text).ok()?;
        let mut sealed = nonce.as_ref().to_vec();
        sealed.append(&mut text);
        Some(sealed)
    }

    /// The decrypted bytes; `None` for data not encrypted with this secret under this name.
    pub(super) fn open_bytes(&self, name: &str, mut sealed: Vec<u8>) -> Option<Vec<u8>> {
        let (nonce, text) = sealed.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let text = self.values.open_in_place(nonce, Aad::from(name.as_bytes()), text).ok()?;
        Some(text.to_vec())
    }

    /// The decrypted turn; `None` for data not encrypted with this secret under this name.
    pub(super) fn open(&self, name: &str, sealed: Vec<u8>) -> Option<Arc<Turn>> {
        let text = self.open_bytes(name, sealed)?;
        Some(Arc::new(match serde_json::from_slice(&text).ok()? {
            Read::Turn(written) => written.turn(),
            Read::Thoughts(thoughts) => {
                let steps = thoughts.into_iter().map(WrittenStep::step).collect();
                Turn { steps, ..Turn::default() }
            }
        }))
    }
}

impl<'t> Written<'t> {
    fn of(turn: &'t Turn) -> Self {
        let Turn { steps, placed, origin, preface } = turn;
        Self {
            steps: steps.iter().map(WrittenStep::of).collect(),
            placed: *placed,
            origin: origin.map(|Origin { model, account }| (model, account)),
            preface: preface.as_ref().map(Into::into),
        }
    }

    fn turn(self) -> Turn {
        let Self { steps, placed, origin, preface } = self;
        Turn {
            steps: steps.into_iter().map(WrittenStep::step).collect(),
            placed,
            origin: origin.map(|(model, account)| Origin { model, account }),
            preface: preface.map(Cow::into_owned),
        }
    }
}

impl<'t> WrittenStep<'t> {
    fn of(step: &'t Step) -> Self {
        match step {
            Step::Reasoning(ReasoningItem::Text { text, signature }) => {
                Self::Text(text.into(), signature.as_ref().map(Into::into))
            }
            Step::Reasoning(ReasoningItem::Redacted(data)) => Self::Redacted(data.into()),
            Step::Text(Passage { bytes, lead, trail }) => Self::Passage(*bytes, *lead, *trail),
            Step::Call(id) => Self::Call(id.into()),
        }
    }

    fn step(self) -> Step {
        match self {
            Self::Text(text, signature) => {
                let (text, signature) = (text.into_owned(), signature.map(Cow::into_owned));
                Step::Reasoning(ReasoningItem::Text { text, signature })
            }
            Self::Redacted(data) => Step::Reasoning(ReasoningItem::Redacted(data.into_owned())),
            Self::Passage(bytes, lead, trail) => Step::Text(Passage { bytes, lead, trail }),
            Self::Call(id) => Step::Call(id.into_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "a secret of the replicas";

    #[test]
    fn sealed_data_opens_only_with_its_name_and_secret() {
        let (seal, twin, other) = (
            Sealing::new(SECRET).unwrap(),
            Sealing::new(SECRET).unwrap(),
            Sealing::new("other").unwrap(),
        );
        let turn = turn();
        let closed = seal.close("a", &turn).unwrap();
        assert!(!closed.windows(7).any(|part| part == b"granite"));
        assert_ne!(closed, seal.close("a", &turn).unwrap(), "no two look alike");
        assert_eq!(*twin.open("a", closed.clone()).unwrap(), turn);
        assert!(seal.open("b", closed.clone()).is_none());
        assert!(other.open("a", closed.clone()).is_none());
        assert!(seal.open("a", closed[..closed.len() - 1].to_vec()).is_none());
        assert!(seal.open("a", Vec::new()).is_none());
        let none = seal.close("a", &Turn::default()).unwrap();
        assert!(
            seal.open("a", none).unwrap().steps.is_empty(),
            "nothing thought is not nothing known"
        );
    }

    fn turn() -> Turn {
        let text = |text: &str, signature: Option<&str>| {
            let (text, signature) = (text.to_owned(), signature.map(ToOwned::to_owned));
            Step::Reasoning(ReasoningItem::Text { text, signature })
        };
        Turn {
            steps: vec![
                text("granite, \u{1f5ff}", Some("s=")),
                Step::Call("call_1".to_owned()),
                text("", None),
                Step::Text(Passage { bytes: 5, lead: 1, trail: 2 }),
                Step::Reasoning(ReasoningItem::Redacted("AAEC".to_owned())),
                Step::Call("call_2".to_owned()),
            ],
            placed: true,
            origin: Some(Origin { model: u64::MAX, account: 0 }),
            preface: Some("Answer in granite.".to_owned()),
        }
    }

    #[test]
    fn data_of_older_versions_is_read_and_of_later_ones_ignored() {
        let seal = Sealing::new(SECRET).unwrap();
        let open = |text: &str| seal.open("a", seal.sealed("a", text.as_bytes().to_vec()).unwrap());
        let old = open(r#"[{"t":["granite","s="]},{"t":["",null]},{"r":"AAEC"}]"#).unwrap();
        assert_eq!((old.thoughts().count(), old.placed, old.origin), (3, false, None));
        assert!(open("[]").unwrap().steps.is_empty());
        for text in [r#"{"b":[{"z":1}],"k":true}"#, r#"[{"z":1}]"#, "{}", "7", "{"] {
            assert!(open(text).is_none(), "{text}");
        }
    }

    #[test]
    fn names_are_opaque_and_the_same_in_every_replica() {
        let (seal, twin) = (Sealing::new(SECRET).unwrap(), Sealing::new(SECRET).unwrap());
        let who = |seal: &Sealing, told: [Option<&[u8]>; 2]| seal.caller(told.into_iter());
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
