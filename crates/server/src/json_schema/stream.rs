//! Stream validator: validates a streamed answer at its end. The client has seen it by then: a mismatch is
//! reported in the last chunk, or the stream ends in an error. Validation may take time, so that chunk and
//! all later ones are held until it is done.

use bytes::{Bytes, BytesMut};
use schema::openai::chat::FinishReason;
use schema::openai::chunk::Chunk;

use super::judge::ANSWER_LIMIT;
use super::{Criterion, OnMismatch, Reasons, ValidationResult};

/// Validates the answers of a stream.
#[derive(Debug)]
pub(crate) struct StreamValidator {
    criterion: Criterion,
    on_mismatch: OnMismatch,
    /// Text so far, by choice.
    said: Vec<String>,
    held: Vec<Held>,
    refused: bool,
}

/// An answer to validate, and the output held until then.
#[derive(Debug)]
struct Held {
    said: String,
    end: End,
    /// The chunks that follow.
    after: BytesMut,
}

/// The last chunk of an answer, in a version for each result.
#[derive(Debug, Default)]
pub(crate) struct End {
    pub(crate) valid: Bytes,
    pub(crate) mismatch: Bytes,
    pub(crate) unchecked: Bytes,
}

/// Treatment of a chunk.
#[derive(Debug)]
pub(crate) enum Shown<'w> {
    /// Written unchanged.
    AsItIs,
    /// Held until the answer that it ends has been validated.
    Ending(&'w mut End),
    /// Held after the end of another answer; to be appended here.
    After(&'w mut BytesMut),
    /// Dropped.
    Withheld,
}

impl StreamValidator {
    pub(crate) fn new(criterion: Criterion, on_mismatch: OnMismatch) -> Self {
        Self { criterion, on_mismatch, said: Vec::new(), held: Vec::new(), refused: false }
    }

    /// Reads a chunk before it is written.
    pub(crate) fn see(&mut self, chunk: &Chunk<'_>) -> Shown<'_> {
        let [choice] = chunk.choices else { return self.rest() };
        let index = usize::try_from(choice.index).unwrap_or_default();
        if self.said.len() <= index {
            self.said.resize(index + 1, String::new());
        }
        let said = &mut self.said[index];
        // Longer answers are not validated; one byte too many marks them as too long.
        if said.len() <= ANSWER_LIMIT {
            said.push_str(choice.delta.content.unwrap_or_default());
        }
        if choice.finish_reason != Some(FinishReason::Stop) || self.refused {
            return self.rest();
        }
        let said = std::mem::take(said);
        self.held.push(Held { said, end: End::default(), after: BytesMut::new() });
        match self.held.last_mut() {
            Some(held) => Shown::Ending(&mut held.end),
            None => Shown::AsItIs,
        }
    }

    /// Validates finished answers and writes the held output. Must be awaited after every step of a stream,
    /// before any other write.
    pub(crate) async fn settle(&mut self, out: &mut BytesMut) {
        for Held { said, end, after } in std::mem::take(&mut self.held) {
            if self.refused {
                return;
            }
            let finding = self.criterion.judge(&said, Reasons::Unread).await;
            match (finding, self.on_mismatch) {
                (ValidationResult::Valid, _) => out.extend_from_slice(&end.valid),
                (ValidationResult::Mismatch(_), OnMismatch::Refuse) => {
                    self.refused = true;
                    return;
                }
                (ValidationResult::Mismatch(_), OnMismatch::Pass) => {
                    out.extend_from_slice(&end.mismatch);
                }
                (ValidationResult::Unchecked, _) => out.extend_from_slice(&end.unchecked),
            }
            out.extend_from_slice(&after);
        }
    }

    /// Whether the stream must end in an error.
    pub(crate) fn is_refused(&self) -> bool {
        self.refused
    }

    fn rest(&mut self) -> Shown<'_> {
        if self.refused {
            return Shown::Withheld;
        }
        match self.held.last_mut() {
            Some(held) => Shown::After(&mut held.after),
            None => Shown::AsItIs,
        }
    }
}
