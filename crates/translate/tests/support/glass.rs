//! Capsules that can be read, so that tests see what they hold.

use std::sync::Arc;

use translate::capsule::{CAPSULE_PREFIX, CapsulePurpose, Capsules};
use translate::reasoning::{Origin, RestoredReasoning};

/// Capsules without a seal.
#[derive(Debug)]
struct Glass;

impl Capsules for Glass {
    fn seal(&self, purpose: CapsulePurpose, text: &[u8]) -> Option<String> {
        let text = String::from_utf8_lossy(text);
        Some(format!("{CAPSULE_PREFIX}glass:{}:{text}", purpose.name()))
    }

    fn open(&self, purpose: CapsulePurpose, capsule: &str) -> Option<Vec<u8>> {
        let text = capsule.strip_prefix(CAPSULE_PREFIX)?.strip_prefix("glass:")?;
        let text = text.strip_prefix(purpose.name())?;
        Some(text.strip_prefix(':')?.as_bytes().to_vec())
    }
}

/// The reasoning store's view of a caller's first request.
pub(crate) fn recalled() -> RestoredReasoning {
    let mut recalled = RestoredReasoning::default();
    recalled.seals_with(Arc::new(Glass));
    recalled.is_for(Origin { model: 1, account: 2 });
    recalled
}
