//! A streamed answer is judged when it has ended. It has been seen by then: what is wrong with it is said in
//! the chunk that ends it, or the stream ends in an error.

use schema::openai::chat::FinishReason;
use schema::openai::chunk::Chunk;

use super::validators::ANSWER_LIMIT;
use super::{Criterion, Finding, OnMismatch};

/// What listens to a stream.
#[derive(Debug)]
pub(crate) struct Watch {
    criterion: Criterion,
    on_mismatch: OnMismatch,
    /// What has been said, by choice.
    said: Vec<String>,
    refused: bool,
}

/// How a chunk goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// As it is.
    AsItIs,
    /// With this word on the answer.
    With(&'static str),
    /// Not at all.
    Withheld,
}

impl Watch {
    pub(crate) fn new(criterion: Criterion, on_mismatch: OnMismatch) -> Self {
        Self { criterion, on_mismatch, said: Vec::new(), refused: false }
    }

    /// Listens to a chunk before it goes out.
    pub(crate) fn see(&mut self, chunk: &Chunk<'_>) -> Shown {
        let [choice] = chunk.choices else { return self.rest() };
        let index = usize::try_from(choice.index).unwrap_or_default();
        if self.said.len() <= index {
            self.said.resize(index + 1, String::new());
        }
        let said = &mut self.said[index];
        // Longer ones are not judged; one byte too many shows that it was too long.
        if said.len() <= ANSWER_LIMIT {
            said.push_str(choice.delta.content.unwrap_or_default());
        }
        if choice.finish_reason != Some(FinishReason::Stop) {
            return self.rest();
        }
        let said = std::mem::take(said);
        let finding = self.criterion.judge(&said);
        match (&finding, self.on_mismatch) {
            (Finding::Valid, _) => {}
            (Finding::Mismatch(_), OnMismatch::Refuse) => self.refused = true,
            (Finding::Mismatch(_) | Finding::Unchecked, _) => {
                return Shown::With(finding.word());
            }
        }
        self.rest()
    }

    /// Whether the stream must end in an error.
    pub(crate) fn is_refused(&self) -> bool {
        self.refused
    }

    fn rest(&self) -> Shown {
        if self.refused { Shown::Withheld } else { Shown::AsItIs }
    }
}
