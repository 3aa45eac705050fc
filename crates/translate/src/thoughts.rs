//! Reasoning of a model, as a value that outlives the answer: it is shown to the client, kept by the server
//! under the ids of the tool calls it led to, and put back into the next question where it stood.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Stands for a remembered thought or for words of our own where only the caller may see them.
const VEIL: &str = "(remembered by the gateway, not shown in a dry run)";

/// One thought. Some families want theirs back exactly as they gave them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Thought {
    /// Readable; the text may be empty where there is a signature.
    Text {
        /// What was thought.
        text: String,
        /// What proves that the model thought it.
        signature: Option<String>,
    },
    /// Base64 that only the provider can read.
    Redacted(String),
}

/// The model and the account of an answer, as hashes: models that check signatures take their thoughts back
/// there alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The model, whatever name or inference profile it was called by.
    pub model: u64,
    /// The account that made the call.
    pub account: u64,
}

/// The extent of a text block in the `content` that the client got, in bytes. Clients may trim it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Passage {
    /// All of it.
    pub bytes: usize,
    /// White space at its beginning.
    pub lead: usize,
    /// White space at its end; none where all of it is white space.
    pub trail: usize,
}

/// A block of an answered turn. Texts and calls are the client's to send back: only their places are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Reasoning.
    Thought(Thought),
    /// Text.
    Text(Passage),
    /// A tool call, by the id that the client got.
    Call(String),
}

/// An answered turn: its blocks in the order in which they came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Turn {
    /// The blocks. Where the places are unknown, the thoughts alone.
    pub steps: Vec<Step>,
    /// Whether the places of the thoughts are known.
    pub placed: bool,
    /// Where the turn was made, if that is known.
    pub origin: Option<Origin>,
    /// Words of our own that ended the user's turn before it.
    pub preface: Option<String>,
}

/// The turn that led to tool calls, and the calls' ids as the client sees them. A turn without a thought
/// is kept too: later that is not the same as a turn that is not remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The calls to keep it under.
    pub calls: Vec<String>,
    /// Every block of the answer so far.
    pub turn: Arc<Turn>,
}

/// What is remembered of past turns, by tool call id, and what is to become of it in this question.
#[derive(Debug, Clone, Default)]
pub struct Recalled {
    by_call: HashMap<String, Arc<Turn>>,
    /// Thoughts that must not be put back, whoever remembers them.
    withheld: HashSet<String>,
    /// Where the question goes.
    target: Option<Origin>,
    /// No thought goes along.
    is_forgotten: bool,
}

impl Thought {
    /// Whether it carries its proof.
    pub(crate) fn is_signed(&self) -> bool {
        match self {
            Self::Text { signature, .. } => {
                signature.as_ref().is_some_and(|signature| !signature.is_empty())
            }
            Self::Redacted(_) => true,
        }
    }

    /// Its size in bytes.
    pub fn size(&self) -> usize {
        match self {
            Self::Text { text, signature } => {
                text.len() + signature.as_ref().map_or(0, String::len)
            }
            Self::Redacted(data) => data.len(),
        }
    }

    fn veiled(&self) -> Self {
        match self {
            Self::Text { text: _, signature } => Self::Text {
                text: VEIL.to_owned(),
                signature: signature.as_ref().map(|_| VEIL.to_owned()),
            },
            Self::Redacted(_) => Self::Redacted(VEIL.to_owned()),
        }
    }
}

impl Passage {
    /// The extent of a text.
    pub fn of(text: &str) -> Self {
        let core = text.trim_start();
        let trail = core.len() - core.trim_end().len();
        Self { bytes: text.len(), lead: text.len() - core.len(), trail }
    }

    /// Whether all of it is white space.
    pub fn is_blank(self) -> bool {
        self.lead == self.bytes
    }

    /// The extent of this text and the one right behind it, as one.
    #[must_use]
    pub fn and(self, next: Self) -> Self {
        let lead = if self.is_blank() { self.bytes + next.lead } else { self.lead };
        let trail = match (next.is_blank(), self.is_blank()) {
            (true, true) => 0,
            (true, false) => self.trail + next.bytes,
            (false, _) => next.trail,
        };
        Self { bytes: self.bytes + next.bytes, lead, trail }
    }
}

impl Turn {
    /// A turn of which nothing is known but its thoughts.
    pub fn of_thoughts(thoughts: impl IntoIterator<Item = Thought>) -> Self {
        let steps = thoughts.into_iter().map(Step::Thought).collect();
        Self { steps, ..Self::default() }
    }

    /// Its thoughts, in order.
    pub fn thoughts(&self) -> impl Iterator<Item = &Thought> {
        self.steps.iter().filter_map(|step| match step {
            Step::Thought(thought) => Some(thought),
            Step::Text(_) | Step::Call(_) => None,
        })
    }

    /// What it takes to remember it, in bytes.
    pub fn size(&self) -> usize {
        let step = |step: &Step| match step {
            Step::Thought(thought) => thought.size(),
            Step::Text(_) => size_of::<Passage>(),
            Step::Call(id) => id.len(),
        };
        self.steps.iter().map(step).sum::<usize>() + self.preface.as_ref().map_or(0, String::len)
    }

    fn veiled(&self) -> Self {
        let step = |step: &Step| match step {
            Step::Thought(thought) => Step::Thought(thought.veiled()),
            Step::Text(_) | Step::Call(_) => step.clone(),
        };
        Self {
            steps: self.steps.iter().map(step).collect(),
            preface: self.preface.as_ref().map(|_| VEIL.to_owned()),
            ..*self
        }
    }
}

impl Recalled {
    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.by_call.is_empty()
    }

    /// Whether something is remembered of a call.
    pub fn knows(&self, call: &str) -> bool {
        self.by_call.contains_key(call)
    }

    /// Adds all that another memory remembers.
    pub fn join(&mut self, other: Self) {
        self.by_call.extend(other.by_call);
    }

    /// What is remembered, by call.
    pub fn calls(&self) -> impl Iterator<Item = (&str, &Arc<Turn>)> {
        self.by_call.iter().map(|(call, turn)| (call.as_str(), turn))
    }

    /// Where the turn of a call was made, if it thought and that is known.
    pub fn origin(&self, call: &str) -> Option<Origin> {
        let turn = self.by_call.get(call)?;
        turn.thoughts().next().and(turn.origin)
    }

    /// Adds the turn that made a call.
    pub fn add(&mut self, call: &str, turn: Arc<Turn>) {
        self.by_call.insert(call.to_owned(), turn);
    }

    /// Keeps thoughts out of the question, by their text. A turn that loses one loses all of its thoughts.
    pub fn withhold(&mut self, thoughts: &[String]) {
        self.withheld.extend(thoughts.iter().cloned());
    }

    /// Names the target of the question. Thoughts made elsewhere do not go to a model that checks them.
    pub fn is_for(&mut self, target: Origin) {
        self.target = Some(target);
    }

    /// Keeps every thought out of the question: those that clients send, too.
    pub fn forget(&mut self) {
        self.is_forgotten = true;
    }

    /// Puts a placeholder in the place of everything remembered that the caller has not sent.
    pub fn veil(&mut self) {
        for turn in self.by_call.values_mut() {
            *turn = Arc::new(turn.veiled());
        }
    }

    pub(crate) fn is_withheld(&self, thought: &str) -> bool {
        self.withheld.contains(thought)
    }

    pub(crate) fn target(&self) -> Option<Origin> {
        self.target
    }

    pub(crate) fn is_forgotten(&self) -> bool {
        self.is_forgotten
    }

    /// The turn that made these calls, which one message holds: later calls know more of it.
    pub(crate) fn turn<'c>(&self, calls: impl Iterator<Item = &'c str>) -> Option<&Turn> {
        let known = calls.filter_map(|call| self.by_call.get(call));
        known.max_by_key(|turn| turn.steps.len()).map(|turn| &**turn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passages_add_up_to_the_passage_of_the_whole() {
        let texts = ["", " ", "\n\n", "a", " a", "a ", " a b \n", "\u{fc}\u{2003}"];
        for one in texts {
            for other in texts {
                let whole = format!("{one}{other}");
                assert_eq!(
                    Passage::of(one).and(Passage::of(other)),
                    Passage::of(&whole),
                    "{whole:?}"
                );
            }
        }
    }

    #[test]
    fn a_veil_hides_every_word_and_keeps_the_shape() {
        let thought = |text: &str| Thought::Text {
            text: text.to_owned(),
            signature: Some("proof".to_owned()),
        };
        let turn = Turn {
            steps: vec![
                Step::Thought(thought("secret")),
                Step::Call("c1".to_owned()),
                Step::Thought(Thought::Redacted("sealed".to_owned())),
            ],
            placed: true,
            origin: None,
            preface: Some("secret schema".to_owned()),
        };
        let mut recalled = Recalled::default();
        recalled.add("c1", Arc::new(turn));
        recalled.veil();
        let (_, veiled) = recalled.calls().next().unwrap();
        assert_eq!((veiled.steps.len(), veiled.placed), (3, true));
        let shown = format!("{veiled:?}");
        for word in ["secret", "proof", "sealed"] {
            assert!(!shown.contains(word), "{shown}");
        }
    }
}
