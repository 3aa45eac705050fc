//! A streamed answer is judged when it has ended. It has been seen by then: what is wrong with it is said in
//! the chunk that ends it, or the stream ends in an error. Judging may take time, so that chunk, and what
//! follows it, is held until it is done.

use bytes::{Bytes, BytesMut};
use schema::openai::chat::FinishReason;
use schema::openai::chunk::Chunk;

use super::judge::ANSWER_LIMIT;
use super::{Criterion, Finding, OnMismatch, Reasons};

/// What listens to a stream.
#[derive(Debug)]
pub(crate) struct Watch {
    criterion: Criterion,
    on_mismatch: OnMismatch,
    /// What has been said, by choice.
    said: Vec<String>,
    held: Vec<Held>,
    refused: bool,
}

/// An answer to be judged, and what is not written before that.
#[derive(Debug)]
struct Held {
    said: String,
    end: End,
    /// What follows.
    after: BytesMut,
}

/// The chunk that ends an answer, as it is written after each finding.
#[derive(Debug, Default)]
pub(crate) struct End {
    pub(crate) valid: Bytes,
    pub(crate) mismatch: Bytes,
    pub(crate) unchecked: Bytes,
}

/// How a chunk goes out.
#[derive(Debug)]
pub(crate) enum Shown<'w> {
    /// As it is.
    AsItIs,
    /// After the answer it ends has been judged.
    Ending(&'w mut End),
    /// After the end of another, to be appended here.
    Behind(&'w mut BytesMut),
    /// Not at all.
    Withheld,
}

impl Watch {
    pub(crate) fn new(criterion: Criterion, on_mismatch: OnMismatch) -> Self {
        Self { criterion, on_mismatch, said: Vec::new(), held: Vec::new(), refused: false }
    }

    /// Listens to a chunk before it goes out.
    pub(crate) fn see(&mut self, chunk: &Chunk<'_>) -> Shown<'_> {
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

    /// Judges the answers that have ended, and writes what was held for that. To be awaited after every
    /// step of a stream, before anything else is written.
    pub(crate) async fn settle(&mut self, out: &mut BytesMut) {
        for Held { said, end, after } in std::mem::take(&mut self.held) {
            if self.refused {
                return;
            }
            let finding = self.criterion.judge(&said, Reasons::Unread).await;
            match (finding, self.on_mismatch) {
                (Finding::Valid, _) => out.extend_from_slice(&end.valid),
                (Finding::Mismatch(_), OnMismatch::Refuse) => {
                    self.refused = true;
                    return;
                }
                (Finding::Mismatch(_), OnMismatch::Pass) => out.extend_from_slice(&end.mismatch),
                (Finding::Unchecked, _) => out.extend_from_slice(&end.unchecked),
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
            Some(held) => Shown::Behind(&mut held.after),
            None => Shown::AsItIs,
        }
    }
}
