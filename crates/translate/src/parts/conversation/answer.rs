//! Past answers: reasoning, texts and calls in the order of the original answer.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use schema::converse::message::{ContentBlock, Role};
use schema::converse::tool::ToolUseBlock;

use super::order::{Put, ahead, arranged};
use super::results::CallKey;
use super::{ConversationBuilder, Said};
use crate::Invalid;
use crate::parts::cache::CacheMark;
use crate::parts::digest::Digest;
use crate::parts::thinking::Past;
use crate::parts::thinking::replay::{Preface, Replayed};
use crate::parts::tools::{CalledWith, input, sent_name};

/// A past answer of the assistant.
pub(crate) struct PastTurn<'a> {
    /// Its content besides calls and placed reasoning.
    pub(crate) said: Vec<Said<'a>>,
    pub(crate) calls: Vec<PastCall<'a>>,
    /// Its reasoning in the form that the model accepts.
    pub(crate) replayed: Replayed<'a>,
    /// The path of its calls, for errors.
    pub(crate) param: String,
}

/// A past answer whose blocks are in their places.
pub(crate) struct PlacedTurn<'a> {
    /// The blocks, each with its cache mark.
    pub(crate) blocks: Vec<(PastBlock<'a>, Option<CacheMark>)>,
    /// Presence of its original reasoning.
    pub(crate) past: Past,
    /// Text added by the gateway at the end of the user's turn before it.
    pub(crate) preface: Option<Preface<'a>>,
}

/// A block of such an answer.
pub(crate) enum PastBlock<'a> {
    /// Content other than calls.
    Said(ContentBlock<'a>),
    Call(PastCall<'a>),
}

/// A past call.
pub(crate) struct PastCall<'a> {
    /// The key that links the call to its result.
    pub(crate) key: CallKey<'a>,
    pub(crate) id: Cow<'a, str>,
    /// The id as the client sent it; empty without one.
    pub(crate) sent_id: &'a str,
    pub(crate) name: &'a str,
    pub(crate) made_with: CalledWith<'a>,
}

impl<'a> ConversationBuilder<'a, '_> {
    /// Adds a past answer. Returns the sent ids of its calls, whose results are to follow directly.
    ///
    /// # Errors
    /// A call cannot be written.
    pub(crate) fn answer(&mut self, turn: PastTurn<'a>) -> Result<Vec<Cow<'a, str>>, Invalid> {
        let PastTurn { said, calls, replayed, param } = turn;
        let has_calls = !calls.is_empty();
        let ids: Vec<&str> = calls.iter().map(|call| call.sent_id).collect();
        let blocks = self.call_blocks(calls, &|index| format!("{param}[{index}]"))?;
        let sent: Vec<_> = blocks.iter().map(|block| block.tool_use_id.clone()).collect();
        let Replayed { steps, order, mut past, field, preface } = replayed;
        let text = joined(&said);
        let length = text.len();
        let puts = arranged(steps, order, &text, &ids);
        let puts = puts.filter(|puts| !has_thoughts(puts) || self.is_prefaced(preface));
        let puts = puts.unwrap_or_else(|| {
            if let Some(field) = field {
                self.report.ignore(field);
            }
            past = Past::Lost;
            ahead(Vec::new(), &text, &ids)
        });
        drop(text);
        if said.iter().any(Said::is_thought) {
            past = Past::Whole;
        }
        self.put(puts, said, length, blocks);
        if past == Past::Lost && has_calls {
            self.lost.extend(sent.first().cloned());
        }
        Ok(sent)
    }

    /// As [`Self::answer`], for an answer whose blocks are in their places; `param` is the path of a
    /// call's input, for errors.
    ///
    /// # Errors
    /// A call cannot be written.
    pub(crate) fn placed_answer(
        &mut self,
        turn: PlacedTurn<'a>,
        param: &dyn Fn(usize) -> String,
    ) -> Result<Vec<Cow<'a, str>>, Invalid> {
        let PlacedTurn { blocks, mut past, preface } = turn;
        let (mut calls, mut places) = (Vec::new(), Vec::with_capacity(blocks.len()));
        for (block, mark) in blocks {
            places.push(match block {
                PastBlock::Said(block) => (Some(block), mark),
                PastBlock::Call(call) => {
                    calls.push(call);
                    (None, mark)
                }
            });
        }
        let calls = self.call_blocks(calls, param)?;
        let sent: Vec<_> = calls.iter().map(|call| call.tool_use_id.clone()).collect();
        let is_prefaced = self.is_prefaced(preface);
        let mut calls = calls.into_iter();
        for (block, mark) in places {
            let block = match block {
                Some(ContentBlock::ReasoningContent(_)) if !is_prefaced => {
                    past = Past::Lost;
                    continue;
                }
                Some(block) => Some(block),
                None => calls.next().map(ContentBlock::ToolUse),
            };
            let said = block.map(|block| Said { block, mark });
            self.say(said.into_iter().collect(), Role::Assistant);
        }
        if past == Past::Lost {
            self.lost.extend(sent.first().cloned());
        }
        Ok(sent)
    }

    /// Repeats the gateway's text that ended the user's turn before a turn that is put back
    /// unchanged. Returns whether that text is known, or there was none.
    fn is_prefaced(&mut self, preface: Option<Preface<'a>>) -> bool {
        let words = match preface {
            None => return true,
            Some(Preface::Words(words)) => Cow::Borrowed(words),
            Some(Preface::Hash(hash)) => match self.own_words {
                Some(words) if Digest::of(words.as_bytes()) == hash => Cow::Owned(words.to_owned()),
                Some(_) | None => return false,
            },
        };
        if self.turns.is_users() {
            self.turns.push(Role::User, ContentBlock::Text(words));
        }
        true
    }

    fn put(
        &mut self,
        puts: Vec<Put<'a>>,
        said: Vec<Said<'a>>,
        length: usize,
        calls: Vec<ToolUseBlock<'a>>,
    ) {
        let mut said = Some(said);
        let mut calls: Vec<_> = calls.into_iter().map(Some).collect();
        // Without text, the other content goes first.
        if !puts.iter().any(|put| matches!(put, Put::Text(_))) {
            self.say(said.take().unwrap_or_default(), Role::Assistant);
        }
        for put in puts {
            match put {
                Put::Reasoning(block) => {
                    self.turns.push(Role::Assistant, ContentBlock::ReasoningContent(block));
                }
                Put::Text(range) if range == (0..length) => {
                    self.say(said.take().unwrap_or_default(), Role::Assistant);
                }
                Put::Text(range) => self.say_part(said.as_deref().unwrap_or_default(), range),
                Put::Call(at) => {
                    if let Some(call) = calls.get_mut(at).and_then(Option::take) {
                        self.turns.push(Role::Assistant, ContentBlock::ToolUse(call));
                    }
                }
            }
        }
    }

    /// Adds a segment of a turn's text as one block. A mark goes after the segment that ends its
    /// text.
    fn say_part(&mut self, said: &[Said<'a>], range: Range<usize>) {
        let mut text = Cow::Borrowed("");
        let mut marks = Vec::new();
        let mut from = 0;
        for Said { block, mark } in said {
            let ContentBlock::Text(one) = block else { continue };
            let to = from + one.len();
            let part = range.start.max(from)..range.end.min(to);
            if part.start < part.end {
                let part = part.start - from..part.end - from;
                let part = match one {
                    Cow::Borrowed(one) => Cow::Borrowed(one.get(part).unwrap_or_default()),
                    Cow::Owned(one) => Cow::Owned(one.get(part).unwrap_or_default().to_owned()),
                };
                text = if text.is_empty() { part } else { Cow::Owned(text.into_owned() + &part) };
                marks.extend(mark.filter(|_| to <= range.end));
            }
            from = to;
        }
        self.turns.push(Role::Assistant, ContentBlock::Text(text));
        for mark in marks {
            self.mark_content(Some(mark));
        }
    }

    /// The blocks of calls, with ids that are distinct within the turn.
    fn call_blocks(
        &mut self,
        calls: Vec<PastCall<'a>>,
        param: &dyn Fn(usize) -> String,
    ) -> Result<Vec<ToolUseBlock<'a>>, Invalid> {
        let mut blocks = Vec::with_capacity(calls.len());
        let mut repeats: HashMap<CallKey<'_>, usize> = HashMap::with_capacity(calls.len());
        for (index, PastCall { key, id, sent_id: _, name, made_with }) in
            calls.into_iter().enumerate()
        {
            let repeats = repeats.entry(key).and_modify(|count| *count += 1).or_default();
            let tool_use_id = self.ids.sent(match repeats {
                0 => id,
                repeats => Cow::Owned(format!("{id}#{repeats}")),
            });
            let complain = |_| Invalid::value(param(index), "Unreadable call.");
            let sent = sent_name(name, self.profile.tool_names);
            blocks.push(ToolUseBlock {
                tool_use_id,
                input: input(made_with, self.names.form(&sent)).map_err(complain)?,
                name: sent,
            });
            if self.known.insert(name) {
                self.called.push(name);
            }
        }
        Ok(blocks)
    }
}

fn has_thoughts(puts: &[Put<'_>]) -> bool {
    puts.iter().any(|put| matches!(put, Put::Reasoning(_)))
}

/// All text of a turn, joined.
fn joined<'s>(said: &'s [Said<'_>]) -> Cow<'s, str> {
    let mut texts = said.iter().filter_map(|said| match &said.block {
        ContentBlock::Text(text) => Some(&**text),
        _ => None,
    });
    match (texts.next(), texts.next()) {
        (None, _) => Cow::Borrowed(""),
        (Some(only), None) => Cow::Borrowed(only),
        (Some(one), Some(two)) => {
            Cow::Owned([one, two].into_iter().chain(texts).collect::<String>())
        }
    }
}
