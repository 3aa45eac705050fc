//! Reasoning of a model, as a value that outlives the answer: it is shown to the client, saved by
//! the server under the ids of the tool calls that followed it, and put back at its place in the
//! next request.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::capsule::Capsules;

/// Placeholder for restored reasoning and for text added by the gateway, in a dry run.
const VEIL: &str = "(remembered by the gateway, not shown in a dry run)";

/// One reasoning block. Some model families require it back unchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReasoningItem {
    /// Readable; the text may be empty where there is a signature.
    Text {
        /// The reasoning text.
        text: String,
        /// The provider's proof that the model made it.
        signature: Option<String>,
    },
    /// Base64 that only the provider can read.
    Redacted(String),
}

/// The model and the account of an answer, as hashes: models that check signatures accept reasoning
/// from the same model and account only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The model, independent of the name or inference profile used in the call.
    pub model: u64,
    /// The account that made the call.
    pub account: u64,
}

/// The extent of a text block in the client's `content`, in bytes. Clients may trim the text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Passage {
    /// Total length.
    pub bytes: usize,
    /// Leading white space.
    pub lead: usize,
    /// Trailing white space; 0 where the whole text is white space.
    pub trail: usize,
}

/// A block of an answered turn. The client sends texts and calls back, so only their positions are
/// kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Reasoning.
    Reasoning(ReasoningItem),
    /// Text.
    Text(Passage),
    /// A tool call, by the id that the client sees.
    Call(String),
}

/// An answered turn: its blocks in their original order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Turn {
    /// The blocks; only the reasoning where positions are unknown.
    pub steps: Vec<Step>,
    /// Whether the positions of the reasoning are known.
    pub placed: bool,
    /// The model and account that made the turn, if known.
    pub origin: Option<Origin>,
    /// Text added by the gateway at the end of the user's turn before it.
    pub preface: Option<String>,
}

/// A turn that ended in tool calls, and the ids of the calls as the client sees them. A turn
/// without reasoning is saved too, because it differs from a turn that is not in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedTurn {
    /// The calls to save it under.
    pub calls: Vec<String>,
    /// Every block of the answer so far.
    pub turn: Arc<Turn>,
}

/// Restored past turns, by tool call id, and the rules for their use in this request.
#[derive(Debug, Clone, Default)]
pub struct RestoredReasoning {
    by_call: HashMap<String, Arc<Turn>>,
    /// Reasoning that must not be put back, from the store or from the client.
    withheld: HashSet<String>,
    /// The target of the request.
    target: Option<Origin>,
    /// No reasoning is sent.
    is_forgotten: bool,
    /// What the caller has not sent in the clear is replaced by a placeholder.
    is_veiled: bool,
    /// Seals reasoning for the client to keep, and opens what it sends back.
    capsules: Option<Arc<dyn Capsules>>,
}

impl ReasoningItem {
    /// Returns whether it carries its proof of origin.
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

    /// Returns whether it is all white space.
    pub fn is_blank(self) -> bool {
        self.lead == self.bytes
    }

    /// The extent of this text and the one directly after it, as one.
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
    /// A turn of which only the reasoning is known.
    pub fn of_thoughts(thoughts: impl IntoIterator<Item = ReasoningItem>) -> Self {
        let steps = thoughts.into_iter().map(Step::Reasoning).collect();
        Self { steps, ..Self::default() }
    }

    /// Its reasoning blocks, in order.
    pub fn thoughts(&self) -> impl Iterator<Item = &ReasoningItem> {
        self.steps.iter().filter_map(|step| match step {
            Step::Reasoning(thought) => Some(thought),
            Step::Text(_) | Step::Call(_) => None,
        })
    }

    /// Size of its saved form, in bytes.
    pub fn size(&self) -> usize {
        let step = |step: &Step| match step {
            Step::Reasoning(thought) => thought.size(),
            Step::Text(_) => size_of::<Passage>(),
            Step::Call(id) => id.len(),
        };
        self.steps.iter().map(step).sum::<usize>() + self.preface.as_ref().map_or(0, String::len)
    }

    fn veiled(&self) -> Self {
        let step = |step: &Step| match step {
            Step::Reasoning(thought) => Step::Reasoning(thought.veiled()),
            Step::Text(_) | Step::Call(_) => step.clone(),
        };
        Self {
            steps: self.steps.iter().map(step).collect(),
            preface: self.preface.as_ref().map(|_| VEIL.to_owned()),
            ..*self
        }
    }
}

impl RestoredReasoning {
    /// Returns whether no turn is restored.
    pub fn is_empty(&self) -> bool {
        self.by_call.is_empty()
    }

    /// Returns whether the turn of a call is restored.
    pub fn knows(&self, call: &str) -> bool {
        self.by_call.contains_key(call)
    }

    /// Adds all turns of another set.
    pub fn join(&mut self, other: Self) {
        self.by_call.extend(other.by_call);
    }

    /// The restored turns, by call.
    pub fn calls(&self) -> impl Iterator<Item = (&str, &Arc<Turn>)> {
        self.by_call.iter().map(|(call, turn)| (call.as_str(), turn))
    }

    /// The model and account that made the turn of a call, if it has reasoning and they are known.
    pub fn origin(&self, call: &str) -> Option<Origin> {
        let turn = self.by_call.get(call)?;
        turn.thoughts().next().and(turn.origin)
    }

    /// Adds the turn that made a call.
    pub fn add(&mut self, call: &str, turn: Arc<Turn>) {
        self.by_call.insert(call.to_owned(), turn);
    }

    /// Excludes reasoning from the request, by its text. A turn that loses one block loses all of
    /// its reasoning.
    pub fn withhold(&mut self, thoughts: &[String]) {
        self.withheld.extend(thoughts.iter().cloned());
    }

    /// Sets the target of the request. Reasoning from another model or account is not sent to a
    /// model that checks it.
    pub fn is_for(&mut self, target: Origin) {
        self.target = Some(target);
    }

    /// Reasoning out of a capsule, as this request may show it.
    pub(crate) fn shown(&self, thought: ReasoningItem) -> ReasoningItem {
        if self.is_veiled { thought.veiled() } else { thought }
    }

    /// Sets the seal of reasoning that the client keeps.
    pub fn seals_with(&mut self, capsules: Arc<dyn Capsules>) {
        self.capsules = Some(capsules);
    }

    pub(crate) fn capsules(&self) -> Option<&Arc<dyn Capsules>> {
        self.capsules.as_ref()
    }

    /// Excludes all reasoning from the request, the client's own included.
    pub fn forget(&mut self) {
        self.is_forgotten = true;
    }

    /// Replaces everything restored that the caller has not sent by a placeholder.
    pub fn veil(&mut self) {
        self.is_veiled = true;
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

    /// The turn that made these calls of one message; of several, the one with the most blocks,
    /// since a turn saved at a later call holds more.
    pub(crate) fn turn<'c>(&self, calls: impl Iterator<Item = &'c str>) -> Option<&Turn> {
        let known = calls.filter_map(|call| self.by_call.get(call));
        known.max_by_key(|turn| turn.steps.len()).map(|turn| &**turn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passages_add_up_to_the_passage_of_the_joined_text() {
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
    fn a_placeholder_hides_all_text_and_keeps_the_structure() {
        let thought = |text: &str| ReasoningItem::Text {
            text: text.to_owned(),
            signature: Some("proof".to_owned()),
        };
        let turn = Turn {
            steps: vec![
                Step::Reasoning(thought("secret")),
                Step::Call("c1".to_owned()),
                Step::Reasoning(ReasoningItem::Redacted("sealed".to_owned())),
            ],
            placed: true,
            origin: None,
            preface: Some("secret schema".to_owned()),
        };
        let mut recalled = RestoredReasoning::default();
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
