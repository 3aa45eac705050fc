//! The thoughts of one answer on their way out: shown to the client as `reasoning_details`, a whole thought
//! at a time, and handed over to be kept before the client learns of the calls they led to.

use std::borrow::Cow;
use std::sync::Arc;

use schema::converse::event::ReasoningDelta;
use schema::converse::response::ReasoningContent;
use schema::openai::reasoning::{Detail, DetailKind};

use crate::parts::media::base64;
use crate::thoughts::{Kept, Thought};

/// The thoughts of an answer, as far as it has come.
#[derive(Debug, Default)]
pub(super) struct Mind {
    /// The thought under way, and its block.
    open: Option<(u32, Open)>,
    done: Vec<Thought>,
    /// Calls whose thoughts nobody has fetched yet.
    calls: Vec<String>,
    /// The thoughts done, as they were last handed over.
    shared: Option<Arc<[Thought]>>,
}

#[derive(Debug, Default)]
struct Open {
    text: String,
    signature: Option<String>,
    redacted: Option<String>,
}

impl Mind {
    /// Takes in a piece of a thought.
    pub(super) fn hear(&mut self, block: u32, piece: &ReasoningDelta<'_>) {
        let (_, open) = self.open.get_or_insert_with(|| (block, Open::default()));
        open.text.push_str(piece.text.as_deref().unwrap_or_default());
        if let Some(more) = piece.signature.as_deref() {
            open.signature.get_or_insert_default().push_str(more);
        }
        if let Some(more) = piece.redacted_content.as_deref() {
            base64::join(open.redacted.get_or_insert_default(), more);
        }
    }

    /// Takes in a whole thought.
    pub(super) fn add(&mut self, content: &ReasoningContent<'_>) {
        let (text, signature) = match &content.reasoning_text {
            Some(text) => (text.text.to_string(), text.signature.as_deref().map(ToOwned::to_owned)),
            None => (String::new(), None),
        };
        let redacted = content.redacted_content.as_deref().map(ToOwned::to_owned);
        self.done.extend(Open { text, signature, redacted }.close());
    }

    /// Whether a thought is under way in another block than this.
    pub(super) fn is_elsewhere(&self, block: u32) -> bool {
        self.open.as_ref().is_some_and(|(open, _)| *open != block)
    }

    /// Whether a thought is under way.
    pub(super) fn is_thinking(&self) -> bool {
        self.open.is_some()
    }

    /// Ends the thought under way; it is the last of [`Self::done`] then, if there was anything to it.
    pub(super) fn close(&mut self) -> Option<usize> {
        let thought = self.open.take()?.1.close()?;
        self.done.push(thought);
        self.shared = None;
        Some(self.done.len() - 1)
    }

    /// A thought that is done, as clients see it.
    pub(super) fn detail<'m>(&'m self, index: usize, format: &'m str) -> Option<Detail<'m>> {
        self.done.get(index).map(|thought| detail(index, thought, Cow::Borrowed(format)))
    }

    /// All thoughts, as clients see them.
    pub(super) fn details(&self, format: &str) -> Vec<Detail<'static>> {
        let all = self.done.iter().enumerate();
        all.map(|(index, thought)| owned(detail(index, thought, Cow::Borrowed(format)))).collect()
    }

    /// Notes a call whose id is about to go out.
    pub(super) fn call(&mut self, id: &str) {
        self.calls.push(id.to_owned());
    }

    /// What is to be kept, if anything new is.
    pub(super) fn take_kept(&mut self) -> Option<Kept> {
        if self.calls.is_empty() {
            return None;
        }
        let thoughts = self.shared.get_or_insert_with(|| self.done.as_slice().into());
        Some(Kept { calls: std::mem::take(&mut self.calls), thoughts: Arc::clone(thoughts) })
    }
}

impl Open {
    fn close(self) -> Option<Thought> {
        let Self { text, signature, redacted } = self;
        if let Some(data) = redacted {
            return Some(Thought::Redacted(data));
        }
        (!text.is_empty() || signature.is_some()).then_some(Thought::Text { text, signature })
    }
}

fn detail<'t>(index: usize, thought: &'t Thought, format: Cow<'t, str>) -> Detail<'t> {
    let thought = match thought {
        Thought::Text { text, signature } => DetailKind::Text {
            text: Cow::Borrowed(text),
            signature: signature.as_deref().map(Cow::Borrowed),
        },
        Thought::Redacted(data) => DetailKind::Encrypted { data: Cow::Borrowed(data) },
    };
    Detail { thought, id: None, format, index: u32::try_from(index).unwrap_or(u32::MAX) }
}

fn owned(detail: Detail<'_>) -> Detail<'static> {
    let own = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
    let Detail { thought, id, format, index } = detail;
    let thought = match thought {
        DetailKind::Text { text, signature } => {
            DetailKind::Text { text: own(text), signature: signature.map(own) }
        }
        DetailKind::Encrypted { data } => DetailKind::Encrypted { data: own(data) },
    };
    Detail { thought, id, format: own(format), index }
}
