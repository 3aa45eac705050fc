//! Signatures of reasoning blocks. A signature contains all bindings of its block, so that a later request
//! can be checked without storing the earlier one.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::{
    json::{canonical, items, text},
    models::{Family, Model},
    sigv4::hmac,
};

const KEY: &[u8] = b"the emulator signs what it thought itself";
const MARK: &[u8] = b"\x12\x30emulator";

/// The first bytes of a digest, enough to distinguish the values of one test.
pub(crate) type Short = [u8; 8];

/// Bytes of a seal in a signature.
const SIZE: usize = 8 * 7 + 2;

/// The bindings of an issued reasoning block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seal {
    /// Model that produced it, and the maker of the model.
    pub(crate) model: Short,
    pub(crate) maker: Short,
    pub(crate) account: Short,
    /// The answer that contains it.
    pub(crate) turn: Short,
    pub(crate) spot: Spot,
    /// Number of reasoning blocks in that answer.
    pub(crate) count: u8,
    pub(crate) kind: Kind,
}

/// A position between two blocks of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    /// The conversation before it, without reasoning blocks and cache points.
    pub(crate) prefix: Short,
    /// The reasoning block before it; zeros without one.
    pub(crate) before: Short,
    /// Order of reasoning blocks, texts and calls before it in its own turn.
    pub(crate) place: Short,
}

/// Other models that may read a model's reasoning blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Every model that checks only signatures.
    Free,
    /// The same model only.
    Bound,
    /// Every model of the maker, although the block is bound to its conversation.
    Readable,
}

/// Reads a conversation block by block and returns the present position.
#[derive(Clone)]
pub(crate) struct Position {
    conversation: Sha256,
    before: Short,
    turn: Sha256,
    last: &'static str,
    role: String,
}

impl Seal {
    /// The seal of a reasoning block of `model` at `spot`, in an answer with `count` of them.
    pub(crate) fn new(
        model: &Model,
        account: Short,
        turn: Short,
        (spot, count): (Spot, usize),
    ) -> Self {
        Self {
            model: short(model.id.as_bytes()),
            maker: short(model.provider.as_bytes()),
            account,
            turn,
            spot,
            count: u8::try_from(count).unwrap_or(u8::MAX),
            kind: match (model.has("bound"), model.has("readable")) {
                (_, true) => Kind::Readable,
                (true, false) => Kind::Bound,
                (false, false) => Kind::Free,
            },
        }
    }

    /// A signature of `said` that contains this seal.
    pub(crate) fn sign(&self, said: &str) -> String {
        let bytes = self.bytes();
        STANDARD.encode([MARK, &bytes, &proof(&bytes, said)].concat())
    }

    /// The seal in `signature`, if this emulator signed `said` with it.
    pub(crate) fn read(signature: &str, said: &str) -> Option<Self> {
        let signed = STANDARD.decode(signature).ok()?;
        let rest = signed.strip_prefix(MARK)?;
        let (bytes, mac) = rest.split_at_checked(SIZE)?;
        (proof(bytes, said) == mac).then(|| Self::parse(bytes))?
    }

    fn bytes(&self) -> Vec<u8> {
        let Spot { prefix, before, place } = self.spot;
        let parts = [self.model, self.maker, self.account, self.turn, prefix, before, place];
        let mut bytes = parts.concat();
        let kind = match self.kind {
            Kind::Free => 0,
            Kind::Bound => 1,
            Kind::Readable => 2,
        };
        bytes.extend([self.count, kind]);
        bytes
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (parts, _) = bytes.as_chunks::<8>();
        let &[model, maker, account, turn, prefix, before, place] = parts else { return None };
        let (&count, &kind) = (bytes.get(SIZE - 2)?, bytes.get(SIZE - 1)?);
        let kind = match kind {
            0 => Kind::Free,
            1 => Kind::Bound,
            _ => Kind::Readable,
        };
        let spot = Spot { prefix, before, place };
        Some(Self { model, maker, account, turn, spot, count, kind })
    }
}

impl Position {
    /// The position before the first message of `body`.
    pub(crate) fn start(body: &Value) -> Self {
        let mut conversation = Sha256::new();
        let tools = body.get("toolConfig").map(|config| items(config, "tools")).unwrap_or_default();
        for block in items(body, "system").iter().chain(tools).filter(|block| !is_point(block)) {
            conversation.update(canonical(block).to_string());
        }
        Self {
            conversation,
            before: Short::default(),
            turn: Sha256::new(),
            last: "",
            role: String::new(),
        }
    }

    /// The position after the last message of `body`, where its answer begins.
    pub(crate) fn end(body: &Value) -> Self {
        let mut position = Self::start(body);
        for message in items(body, "messages") {
            position.open(text(message, "role"));
            items(message, "content").iter().for_each(|block| position.pass(block));
        }
        position.open("assistant");
        position
    }

    /// Begins a message of `role`; one of the same role continues the turn before it.
    pub(crate) fn open(&mut self, role: &str) {
        if self.role != role {
            self.conversation.update(role);
            self.turn = Sha256::new();
            self.last = "";
            role.clone_into(&mut self.role);
        }
    }

    /// Passes any block.
    pub(crate) fn pass(&mut self, block: &Value) {
        if is_point(block) {
            return;
        }
        let kind = if let Some(thought) = block.get("reasoningContent") {
            self.before = short(wire(thought).as_bytes());
            "thought"
        } else if let Some(call) = block.get("toolUse") {
            let input = canonical(call.get("input").unwrap_or(&Value::Null));
            self.conversation.update(format!("{} {} {input}", id_of(call), text(call, "name")));
            self.turn.update(id_of(call));
            "call"
        } else if let Some(result) = block.get("toolResult") {
            let failed = text(result, "status") == "error";
            let said = result.get("content").unwrap_or(&Value::Null);
            self.conversation.update(format!("{} {failed} {said}", id_of(result)));
            "result"
        } else {
            self.conversation.update(block.to_string());
            if block.get("text").is_some() { "text" } else { "medium" }
        };
        // Consecutive texts may be joined in transit.
        if kind != "text" || self.last != kind {
            self.turn.update(kind);
        }
        self.last = kind;
    }

    /// The present position.
    pub(crate) fn spot(&self) -> Spot {
        Spot {
            prefix: first(&self.conversation.clone().finalize()),
            before: self.before,
            place: first(&self.turn.clone().finalize()),
        }
    }
}

/// The digest of a name or an id.
pub(crate) fn short(bytes: &[u8]) -> Short {
    first(&Sha256::digest(bytes))
}

/// The identity of a reasoning block on the wire: its signature, or the data that only its maker can read.
pub(crate) fn wire(thought: &Value) -> &str {
    let signature = thought.pointer("/reasoningText/signature");
    signature.or(thought.get("redactedContent")).and_then(Value::as_str).unwrap_or_default()
}

/// Data that contains `seal` in place of a readable reasoning block.
pub(crate) fn redacted(model: &Model, seal: &Seal) -> String {
    let signed = seal.sign("");
    // The service encodes Claude's own base64 once more.
    if model.family == Family::Claude { STANDARD.encode(signed) } else { signed }
}

/// The seal in redacted data of either encoding.
pub(crate) fn unredacted(data: &str) -> Option<Seal> {
    let inner = || String::from_utf8(STANDARD.decode(data).ok()?).ok();
    Seal::read(data, "").or_else(|| Seal::read(&inner()?, ""))
}

fn proof(bytes: &[u8], said: &str) -> Vec<u8> {
    hmac(KEY, &[bytes, said.as_bytes()].concat())
}

fn first(digest: &[u8]) -> Short {
    digest.first_chunk().copied().unwrap_or_default()
}

/// A call's id without the prefix that depends on the operation.
fn id_of(call: &Value) -> &str {
    let id = text(call, "toolUseId");
    id.strip_prefix("tooluse_").or(id.strip_prefix("toolu_bdrk_")).unwrap_or(id)
}

fn is_point(block: &Value) -> bool {
    block.get("cachePoint").is_some()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::models::Models;

    fn body(system: &str, said: &Value) -> Value {
        json!({"system": [{"text": system}], "messages": [
            {"role": "user", "content": [{"text": "hi"}]}, {"role": "assistant", "content": said},
        ]})
    }

    #[test]
    fn a_signature_reveals_its_seal_only_with_its_text() {
        let models = Models::load();
        let spot = Position::end(&body("s", &json!([{"text": "a"}]))).spot();
        let seal = Seal::new(models.generic(), short(b"account"), short(b"turn"), (spot, 3));
        let signature = seal.sign("I think");
        assert_eq!(Seal::read(&signature, "I think"), Some(seal));
        assert_eq!(Seal::read(&signature, "I thought"), None);
        assert_eq!(Seal::read("RXNz", "I think"), None);
        assert_eq!(Seal::read(&STANDARD.encode(MARK), ""), None);
        assert_eq!(unredacted(&redacted(models.generic(), &seal)), Some(seal));
        assert_eq!(unredacted(&STANDARD.encode(seal.sign(""))), Some(seal));
    }

    #[test]
    fn positions_are_the_same_in_every_spelling() {
        let spot = |system: &str, said: Value| Position::end(&body(system, &said)).spot();
        let call = |id: &str| json!({"toolUse": {"toolUseId": id, "name": "n", "input": {"b": 1, "a": 2}}});
        let base = spot("s", json!([{"text": "a"}, call("tooluse_1")]));
        assert_eq!(
            base,
            spot(
                "s",
                json!([{"text": "a"}, {"cachePoint": {"type": "default"}}, call("toolu_bdrk_1")])
            )
        );
        assert_ne!(base.prefix, spot("t", json!([{"text": "a"}, call("tooluse_1")])).prefix);
        let other = spot("s", json!([{"text": "a"}, {"text": "b"}, call("tooluse_1")]));
        assert_ne!(base.prefix, other.prefix);
        assert_eq!(base.place, other.place, "texts in a row are one place");
        assert_ne!(base.place, spot("s", json!([call("tooluse_1"), {"text": "a"}])).place);
        assert_ne!(base.place, spot("s", json!([{"text": "a"}, call("tooluse_2")])).place);
    }
}
