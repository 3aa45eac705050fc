//! Capsules: texts of the gateway that a client keeps and cannot read. Sealing needs a key and
//! randomness, which the caller of this crate has.

use std::fmt::Debug;

/// Beginning of every capsule: its maker and the version of its form.
pub const CAPSULE_PREFIX: &str = "oc1.";

/// Seals texts for one caller. What another caller, another key or another purpose has sealed does not
/// open.
pub trait Capsules: Debug + Send + Sync {
    /// The sealed text; `None` if it cannot be sealed.
    fn seal(&self, purpose: CapsulePurpose, text: &[u8]) -> Option<String>;

    /// The text of a capsule; `None` if it does not open.
    fn open(&self, purpose: CapsulePurpose, capsule: &str) -> Option<Vec<u8>>;
}

/// The use of a capsule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CapsulePurpose {
    /// Reasoning of a model.
    Reasoning,
    /// The summary of a conversation.
    Compaction,
    /// A response or conversation in a database.
    Kept,
}

impl CapsulePurpose {
    /// Its name, which is part of what a capsule is bound to.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reasoning => "reasoning",
            Self::Compaction => "compaction",
            Self::Kept => "kept",
        }
    }
}
