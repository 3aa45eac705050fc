//! Counts of batches and of their lines, by what became of them.

use super::values::Counter;

/// Statuses in which batches end.
pub(super) const ENDS: [&str; 4] = ["completed", "failed", "cancelled", "expired"];
/// Ends of lines.
pub(super) const LINES: [&str; 3] = ["completed", "failed", "unanswered"];

/// The counts.
#[derive(Debug, Default)]
pub(crate) struct BatchCounts {
    pub(super) ended: [Counter; ENDS.len()],
    pub(super) lines: [Counter; LINES.len()],
}

impl BatchCounts {
    /// Counts a batch that ended in this status with so many lines completed, failed and unanswered.
    pub(crate) fn ended(&self, status: &str, lines: [usize; LINES.len()]) {
        let at = ENDS.iter().position(|end| *end == status);
        if let Some(count) = at.and_then(|at| self.ended.get(at)) {
            count.add(1);
        }
        for (count, lines) in self.lines.iter().zip(lines) {
            count.add(u64::try_from(lines).unwrap_or(u64::MAX));
        }
    }
}
