//! What a model thought, as a value that outlives the answer: to be shown to the client, to be kept
//! by whoever asks, and to be put back into the next question.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

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
}

/// The thoughts that led to tool calls, and the calls' ids as the client sees them. A turn that
/// thought nothing is kept too: later that is not the same as a turn nobody remembers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The calls made since the last time.
    pub calls: Vec<String>,
    /// Every thought of the answer so far, in order.
    pub thoughts: Arc<[Thought]>,
}

/// What is remembered of past turns, by tool call id.
#[derive(Debug, Clone, Default)]
pub struct Recalled {
    by_call: HashMap<String, Arc<[Thought]>>,
    /// Thoughts that must not be put back, whoever remembers them.
    withheld: HashSet<String>,
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
    pub fn calls(&self) -> impl Iterator<Item = (&str, &Arc<[Thought]>)> {
        self.by_call.iter().map(|(call, thoughts)| (call.as_str(), thoughts))
    }

    /// Adds what was thought before a call was made.
    pub fn add(&mut self, call: &str, thoughts: Arc<[Thought]>) {
        self.by_call.insert(call.to_owned(), thoughts);
    }

    /// Keeps thoughts out of the question, by their text. A turn that loses one loses all of its thoughts.
    pub fn withhold(&mut self, thoughts: &[String]) {
        self.withheld.extend(thoughts.iter().cloned());
    }

    pub(crate) fn is_withheld(&self, thought: &str) -> bool {
        self.withheld.contains(thought)
    }

    /// What was thought before any of these calls, which one message made: later calls know more.
    pub(crate) fn before<'c>(&self, calls: impl Iterator<Item = &'c str>) -> Option<&[Thought]> {
        let known = calls.filter_map(|call| self.by_call.get(call));
        known.max_by_key(|thoughts| thoughts.len()).map(|thoughts| &**thoughts)
    }
}
