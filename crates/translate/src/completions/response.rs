//! Translates a complete Converse response to a completion.

use std::convert::Infallible;

use schema::converse::response::{ConverseResponse, StopReason};
use schema::openai::annotation::Outcrop;
use schema::openai::chat::FinishReason;
use schema::openai::completions::{Completion, CompletionChoice, TEXT_COMPLETION_OBJECT};

use super::CompletionReply;
use super::text::AnswerShaper;
use crate::Stamp;
use crate::chat::{finish, response, usage};
use crate::dialect::Answered;
use crate::parts::stop::{self, untold};
use crate::parts::tags::{Tagged, Voice};
use crate::parts::usage::thought;
use crate::reply::CallShape;
use crate::spent::Spent;

/// Translates the response to the request that made `reply`. Every text block counts: citations
/// divide one answer into many blocks.
pub(super) fn answered(
    response: &ConverseResponse<'_>,
    reply: &CompletionReply,
    stamp: Stamp,
) -> Answered<Completion> {
    let mut text = reply.echo.clone().unwrap_or_default();
    let mut reader = TextReader::new(reply);
    for block in response.output.message.iter().flat_map(|message| &message.content) {
        if let Some(piece) = &block.text {
            reader.push(piece, &mut text);
        }
        for cited in block.citations_content.iter().flat_map(|cited| &cited.content) {
            reader.push(cited.text.as_deref().unwrap_or_default(), &mut text);
        }
    }
    reader.finish(&mut text);
    let mut outcrop =
        Outcrop { stop_reason: untold(&response.stop_reason, 0), ..Outcrop::default() };
    response::trace(response.trace, &mut outcrop);
    let invoked_model = outcrop.invoked_model_id.clone();
    let finish_reason = finish_reason(&response.stop_reason);
    let choice = CompletionChoice { text, index: 0, logprobs: None, finish_reason, outcrop };
    let answer = Completion {
        id: stamp.id,
        object: TEXT_COMPLETION_OBJECT,
        created: stamp.created,
        model: stamp.model,
        choices: vec![choice],
        usage: usage::openai(response.usage, thought(response.additional_model_response_fields)),
    };
    Answered { answer, saved: None, invoked_model }
}

/// Combines the answers to one request, in order.
pub(super) fn gather(answers: Vec<Completion>, total: Spent) -> Option<Completion> {
    let mut answers = answers.into_iter();
    let mut gathered = answers.next()?;
    gathered.choices.extend(answers.flat_map(|answer| answer.choices));
    for (index, choice) in (0..).zip(&mut gathered.choices) {
        choice.index = index;
    }
    if let Some(usage) = total.told() {
        gathered.usage = usage;
    }
    Some(gathered)
}

/// A call of a tool cannot occur, because none are declared.
pub(super) fn finish_reason(reason: &StopReason) -> FinishReason {
    finish::finish_reason(stop::finish(reason, 0), CallShape::Tools)
}

/// Reads the text of one answer: without reasoning between tags, and under the rules of its request.
#[derive(Debug)]
pub(super) struct TextReader {
    tagged: Option<Tagged>,
    shaper: AnswerShaper,
}

impl TextReader {
    pub(super) fn new(reply: &CompletionReply) -> Self {
        let tagged = reply.splits_tags.then(Tagged::default);
        Self { tagged, shaper: AnswerShaper::new(&reply.rules) }
    }

    /// Adds a piece, and appends the text that is certain to `out`.
    pub(super) fn push(&mut self, piece: &str, out: &mut String) {
        let Self { tagged, shaper } = self;
        match tagged {
            None => shaper.push(piece, out),
            Some(tagged) => {
                let Ok(()) = tagged.push(piece, &mut |voice, text| said(voice, text, shaper, out));
            }
        }
    }

    /// Ends the answer.
    pub(super) fn finish(&mut self, out: &mut String) {
        let Self { tagged, shaper } = self;
        if let Some(tagged) = tagged {
            let Ok(()) = tagged.finish(&mut |voice, text| said(voice, text, shaper, out));
        }
        shaper.finish(out);
    }
}

fn said(
    voice: Voice,
    text: &str,
    shaper: &mut AnswerShaper,
    out: &mut String,
) -> Result<(), Infallible> {
    match voice {
        Voice::Said => shaper.push(text, out),
        Voice::Reasoning => {}
    }
    Ok(())
}
