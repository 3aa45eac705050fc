//! Ids of calls in the form that is sent: kept where they match Bedrock's pattern, else shortened,
//! and kept distinct where shortening makes two equal. The sent id depends only on the ids before
//! it, so a longer conversation begins with the same bytes.

use std::borrow::Cow;
use std::collections::HashMap;

use super::names::{digest, fit};
use crate::profile::CallIds;

/// Length of an id for models that require short ones.
const NINE: usize = 9;

/// The ids of one conversation.
#[derive(Debug)]
pub(crate) struct SentIds<'a> {
    kind: CallIds,
    /// The original id of each sent id.
    original: HashMap<Cow<'a, str>, Cow<'a, str>>,
}

impl<'a> SentIds<'a> {
    pub(crate) fn new(kind: CallIds) -> Self {
        Self { kind, original: HashMap::new() }
    }

    /// The sent form of an id: always the same, and distinct from all others.
    pub(crate) fn sent(&mut self, id: Cow<'a, str>) -> Cow<'a, str> {
        let mut sent = match &id {
            Cow::Borrowed(id) => sent_id(id, self.kind),
            Cow::Owned(id) => Cow::Owned(sent_id(id, self.kind).into_owned()),
        };
        let mut number = 0_usize;
        while let Some(known) = self.original.get(&sent) {
            if *known == id {
                return sent;
            }
            number += 1;
            // A slash matches no pattern: the numbered id is shortened like the others.
            sent = Cow::Owned(sent_id(&format!("{id}/{number}"), self.kind).into_owned());
        }
        self.original.insert(sent.clone(), id);
        sent
    }
}

/// The sent form of a single id: within `[a-zA-Z0-9_.:-]{1,64}`, or shorter where the model
/// requires it.
pub(crate) fn sent_id(id: &str, kind: CallIds) -> Cow<'_, str> {
    match kind {
        CallIds::Nine if id.len() == NINE && id.bytes().all(|b| b.is_ascii_alphanumeric()) => {
            Cow::Borrowed(id)
        }
        CallIds::Nine => Cow::Owned(format!("c{:08x}", digest(id))),
        CallIds::Any => {
            fit(id, |c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':'))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(id: &str, kind: CallIds) -> String {
        SentIds::new(kind).sent(Cow::Borrowed(id)).into_owned()
    }

    /// Generates ids with this prefix until two have the same sent form.
    fn alike(beginning: &str, kind: CallIds) -> (String, String) {
        let mut known: HashMap<String, String> = HashMap::new();
        let mut ids = (0..).map(|at| format!("{beginning}{at}"));
        ids.find_map(|id| {
            let first = known.insert(sent_id(&id, kind).into_owned(), id.clone())?;
            Some((first, id))
        })
        .unwrap()
    }

    #[test]
    fn ids_that_fit_stay() {
        assert_eq!(one("functions.f:0", CallIds::Any), "functions.f:0");
        assert_ne!(one("", CallIds::Any), "");
        assert_eq!(one(&"x".repeat(65), CallIds::Any).len(), 64);
    }

    #[test]
    fn some_models_require_ids_of_nine_characters() {
        let nine = |id| one(id, CallIds::Nine);
        assert_eq!(nine("a1B2c3D4e"), "a1B2c3D4e");
        for other in ["", "call_1", "call_12345", "a1B2c3D4_", "toolu_01"] {
            let sent = nine(other);
            assert!(sent.len() == 9 && sent.bytes().all(|b| b.is_ascii_alphanumeric()), "{sent}");
            assert_eq!(nine(other), sent);
        }
        assert_ne!(nine("call_1"), nine("call_2"));
    }

    #[test]
    fn ids_with_the_same_digest_stay_distinct() {
        for (beginning, kind) in [("y".repeat(70), CallIds::Any), ("t_".to_owned(), CallIds::Nine)]
        {
            let (first, second) = alike(&beginning, kind);
            let shared = sent_id(&first, kind).into_owned();
            let mut ids = SentIds::new(kind);
            assert_eq!(ids.sent(Cow::Borrowed(&first)), shared);
            let other = ids.sent(Cow::Borrowed(&second)).into_owned();
            assert_ne!(other, shared);
            assert_eq!(sent_id(&other, kind), other);
            // An id that equals the sent form of another.
            let taken = ids.sent(Cow::Borrowed(&shared)).into_owned();
            assert!(taken != shared && taken != other, "{taken}");
            for _ in 0..2 {
                assert_eq!(ids.sent(Cow::Owned(first.clone())), shared);
                assert_eq!(ids.sent(Cow::Owned(second.clone())), other);
                assert_eq!(ids.sent(Cow::Owned(shared.clone())), taken);
            }
        }
    }
}
