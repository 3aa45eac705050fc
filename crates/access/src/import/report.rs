//! The result of an import, record by record.

use crate::RecordKind;

/// The outcome for a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImportOutcome {
    /// It was taken over; in a dry run it would be.
    New,
    /// It is here already, and was not changed.
    Present,
    /// It was not taken over, for this reason.
    Skipped(String),
}

/// The effect of a field that does not work here as it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoteEffect {
    /// It limited calls, and does not here.
    NotEnforced,
    /// It has another value or meaning here.
    Changed,
}

/// A field of a record that does not work here as it did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportNote {
    /// The column, or the member of `metadata`.
    pub field: String,
    /// The effect.
    pub effect: NoteEffect,
    /// The explanation.
    pub text: String,
}

/// A record of an import. Keys are named by their token, which is no credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedRecord {
    /// The kind.
    pub kind: RecordKind,
    /// The id; of keys the token.
    pub id: String,
    /// The alias, where it has one.
    pub alias: Option<String>,
    /// The outcome.
    pub outcome: ImportOutcome,
    /// Fields that do not work here as they did.
    pub notes: Vec<ImportNote>,
}

/// Counts of a kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ImportCounts {
    /// Records that were taken over.
    pub new: u64,
    /// Records that are here already.
    pub present: u64,
    /// Records that were not taken over.
    pub skipped: u64,
}

/// A key that an earlier import took over, and that LiteLLM no longer has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoneKey {
    /// The token.
    pub token: String,
    /// The alias, or the last characters.
    pub shown: String,
}

/// The result of an import.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// Counts by kind, in the order of the import.
    pub counts: Vec<(RecordKind, ImportCounts)>,
    /// All keys, and other records with notes or a reason.
    pub records: Vec<ImportedRecord>,
    /// Keys that work here and are gone from LiteLLM.
    pub gone: Vec<GoneKey>,
}

impl ImportReport {
    pub(super) fn add(&mut self, record: ImportedRecord) {
        let kind = record.kind;
        if self.counts.last().is_none_or(|(last, _)| *last != kind) {
            self.counts.push((kind, ImportCounts::default()));
        }
        if let Some((_, counts)) = self.counts.last_mut() {
            match record.outcome {
                ImportOutcome::New => counts.new += 1,
                ImportOutcome::Present => counts.present += 1,
                ImportOutcome::Skipped(_) => counts.skipped += 1,
            }
        }
        let is_told = kind == RecordKind::Key
            || !record.notes.is_empty()
            || matches!(record.outcome, ImportOutcome::Skipped(_));
        if is_told {
            self.records.push(record);
        }
    }
}
