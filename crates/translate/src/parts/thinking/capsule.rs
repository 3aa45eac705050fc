//! Reasoning in the form that a capsule holds: the block itself, and whose it is.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::place::{Between, ReasoningPlace};
use super::received::{ReceivedReasoning, SentThought};
use crate::Reply;
use crate::capsule::{CapsulePurpose, Capsules};
use crate::parts::digest::Digest;
use crate::reasoning::{Origin, ReasoningItem, RestoredReasoning};

/// Largest capsule, in bytes; longer reasoning is kept by the ids of the calls that follow it.
const LARGEST: usize = 1024 * 1024;

/// The content of a capsule, in its stored form.
#[derive(Serialize, Deserialize)]
struct Sealed<'s> {
    /// Text and signature.
    #[serde(borrow, rename = "t", default, skip_serializing_if = "Option::is_none")]
    text: Option<(Cow<'s, str>, Option<Cow<'s, str>>)>,
    #[serde(borrow, rename = "r", default, skip_serializing_if = "Option::is_none")]
    redacted: Option<Cow<'s, str>>,
    /// Name of the family's format.
    #[serde(borrow, rename = "f")]
    format: Cow<'s, str>,
    /// Model and account.
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    origin: Option<(u64, u64)>,
    /// Hash of the text added by the gateway before the turn.
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    preface: Option<u64>,
}

/// The capsule of a reasoning block.
pub(crate) fn sealed(
    thought: &ReasoningItem,
    reply: &Reply,
    capsules: &dyn Capsules,
) -> Option<String> {
    let (text, redacted) = match thought {
        ReasoningItem::Text { text, signature } => {
            (Some((text.into(), signature.as_deref().map(Cow::Borrowed))), None)
        }
        ReasoningItem::Redacted(data) => (None, Some(data.into())),
    };
    let sealed = Sealed {
        text,
        redacted,
        format: Cow::Borrowed(&reply.thoughts.format),
        origin: reply.origin.map(|origin| (origin.model, origin.account)),
        preface: reply.preface.as_deref().map(|words| Digest::of(words.as_bytes())),
    };
    let text = serde_json::to_vec(&sealed).ok().filter(|text| text.len() <= LARGEST)?;
    capsules.seal(CapsulePurpose::Reasoning, &text)
}

/// The reasoning of a capsule; `between` are the blocks since the last reasoning, where they are known.
/// `None` for a capsule that does not open.
pub(crate) fn opened<'a>(
    capsule: &str,
    between: Option<Vec<Between>>,
    recalled: &RestoredReasoning,
) -> Option<ReceivedReasoning<'a>> {
    let text = recalled.capsules()?.open(CapsulePurpose::Reasoning, capsule)?;
    let Sealed { text, redacted, format, origin, preface } = serde_json::from_slice(&text).ok()?;
    let thought = match (text, redacted) {
        (Some((text, signature)), _) => ReasoningItem::Text {
            text: text.into_owned(),
            signature: signature.map(Cow::into_owned),
        },
        (None, Some(data)) => ReasoningItem::Redacted(data.into_owned()),
        (None, None) => return None,
    };
    let thought = match recalled.shown(thought) {
        ReasoningItem::Text { text, signature } => {
            SentThought::Text { text: text.into(), signature: signature.map(Cow::Owned) }
        }
        ReasoningItem::Redacted(data) => SentThought::Redacted(data.into()),
    };
    let origin = origin.map(|(model, account)| Origin { model, account });
    let place = ReasoningPlace { between, origin, preface };
    let format = Some(Cow::Owned(format.into_owned()));
    Some(ReceivedReasoning { thought: Some(thought), place: Some(place), format })
}
