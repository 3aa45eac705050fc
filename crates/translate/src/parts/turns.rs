//! Turn repair. OpenAI takes any order of messages; Bedrock wants turns that alternate, begin with
//! the user and hold no blank text. Nothing is lost on the way: neighbours are merged, gaps filled.

use std::borrow::Cow;

use schema::converse::message::{CachePoint, ContentBlock, Message, Role};

use crate::Report;
use crate::profile::{BesideToolCall, BesideToolResult, Profile};

/// Stands where Bedrock wants words and the caller sent none.
pub(crate) const FILLER: &str = ".";

/// Asks for more of what the assistant said last, where a model does not go on by itself.
const CONTINUE: &str = "Continue.";

/// Turns under construction.
#[derive(Debug, Default)]
pub(crate) struct Turns<'a> {
    turns: Vec<Message<'a>>,
}

impl<'a> Turns<'a> {
    /// Adds a block to the speaker's turn, opening one if the other spoke last. Blank text is
    /// dropped: Bedrock refuses it, and it says nothing.
    pub(crate) fn push(&mut self, role: Role, block: ContentBlock<'a>) {
        if let ContentBlock::Text(text) = &block
            && text.trim().is_empty()
        {
            return;
        }
        match self.turns.last_mut() {
            Some(turn) if turn.role == role => turn.content.push(block),
            _ => self.turns.push(Message { role, content: vec![block] }),
        }
    }

    /// Whether the user spoke last.
    pub(crate) fn is_users(&self) -> bool {
        self.turns.last().is_some_and(|turn| turn.role == Role::User)
    }

    /// Adds a cache point behind what was said last. False if nothing was said yet.
    pub(crate) fn mark(&mut self, point: CachePoint) -> bool {
        match self.turns.last_mut() {
            Some(turn) => turn.content.push(ContentBlock::CachePoint(point)),
            None => return false,
        }
        true
    }

    /// The finished conversation, as `profile` wants it.
    pub(crate) fn finish(mut self, profile: &Profile, report: &mut Report) -> Vec<Message<'a>> {
        let beside = profile.beside_tool_result;
        if beside != BesideToolResult::Anything {
            let split = |turn| split_results(turn, beside);
            self.turns = self.turns.into_iter().flat_map(split).collect();
        }
        if profile.beside_tool_call == BesideToolCall::NoText {
            self.turns = self.turns.into_iter().flat_map(split_calls).collect();
        }
        let leading_assistant = self.turns.first().is_none_or(|turn| turn.role == Role::Assistant);
        if self.turns.is_empty() || (leading_assistant && !profile.leading_assistant) {
            self.turns.insert(0, said(Role::User, FILLER));
        }
        self.turns.iter_mut().for_each(speak_of_documents);
        self.trim_prefill();
        self.ask_for_more(profile, report);
        self.turns
    }

    /// Where a model refuses a conversation that ends with the assistant, the user asks it to go on: it
    /// may begin anew, which is said.
    fn ask_for_more(&mut self, profile: &Profile, report: &mut Report) {
        let is_prefill = self.turns.last().is_some_and(|turn| turn.role == Role::Assistant);
        if is_prefill && !profile.trailing_assistant {
            report.ignore("messages.prefill");
            self.turns.push(said(Role::User, CONTINUE));
        }
    }

    /// A trailing assistant turn is a prefill; models refuse one that ends in white space.
    fn trim_prefill(&mut self) {
        let is_point = |block: &ContentBlock<'_>| matches!(block, ContentBlock::CachePoint(_));
        if let Some(Message { role: Role::Assistant, content }) = self.turns.last_mut()
            && let Some(ContentBlock::Text(text)) =
                content.iter_mut().rfind(|block| !is_point(block))
        {
            let kept = text.trim_end().len();
            match text {
                Cow::Borrowed(text) => *text = &text[..kept],
                Cow::Owned(text) => text.truncate(kept),
            }
        }
    }
}

/// An instruction in the midst of a conversation, as the user's words that say where they come from.
/// Moved up into the system prompt it would change what was cached. Blank text stays blank.
pub(crate) fn note(text: &str) -> Cow<'_, str> {
    if text.trim().is_empty() {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("<system>\n{text}\n</system>"))
}

/// Bedrock refuses documents without a word about them.
fn speak_of_documents(turn: &mut Message<'_>) {
    let is_text = |block: &ContentBlock<'_>| matches!(block, ContentBlock::Text(_));
    let is_document = |block: &ContentBlock<'_>| matches!(block, ContentBlock::Document(_));
    if let Some(first) = turn.content.iter().position(is_document)
        && !turn.content.iter().any(is_text)
    {
        // Before it: what follows a document may be a point up to which the prompt is cached.
        turn.content.insert(first, ContentBlock::Text(Cow::Borrowed(FILLER)));
    }
}

fn said<'a>(role: Role, words: &'static str) -> Message<'a> {
    Message { role, content: vec![ContentBlock::Text(Cow::Borrowed(words))] }
}

/// Whether a block may stand beside a tool result.
fn may_stand(block: &ContentBlock<'_>, beside: BesideToolResult) -> bool {
    match block {
        ContentBlock::ToolResult(_) | ContentBlock::CachePoint(_) => true,
        ContentBlock::Text(_) | ContentBlock::Image(_) => beside != BesideToolResult::Nothing,
        _ => beside == BesideToolResult::Anything,
    }
}

/// Text in one turn, calls in the next with the thoughts that led to them, and the user's filler between:
/// the results must follow the calls at once, so what was said behind a call goes before it too.
fn split_calls(turn: Message<'_>) -> Vec<Message<'_>> {
    let calls = |block: &ContentBlock<'_>| matches!(block, ContentBlock::ToolUse(_));
    if turn.role == Role::User || !turn.content.iter().any(calls) {
        return vec![turn];
    }
    let mut with_calls = false;
    // A cache point goes where the block before it goes.
    let is_said = |block: &ContentBlock<'_>| {
        if !matches!(block, ContentBlock::CachePoint(_)) {
            with_calls =
                matches!(block, ContentBlock::ToolUse(_) | ContentBlock::ReasoningContent(_));
        }
        !with_calls
    };
    let (words, calls): (Vec<_>, Vec<_>) = turn.content.into_iter().partition(is_said);
    let of = |content| Message { role: turn.role, content };
    if words.is_empty() {
        return vec![of(calls)];
    }
    vec![of(words), said(Role::User, FILLER), of(calls)]
}

/// Results in one turn, everything else in the next, with the assistant's filler between.
fn split_results(turn: Message<'_>, beside: BesideToolResult) -> Vec<Message<'_>> {
    if turn.content.iter().all(|block| may_stand(block, beside)) {
        return vec![turn];
    }
    let mut with_results = true;
    // A cache point goes where the block before it goes.
    let belongs = |block: &ContentBlock<'_>| {
        if !matches!(block, ContentBlock::CachePoint(_)) {
            with_results = matches!(block, ContentBlock::ToolResult(_));
        }
        with_results
    };
    let (results, rest): (Vec<_>, Vec<_>) = turn.content.into_iter().partition(belongs);
    let of = |content| Message { role: turn.role, content };
    match (results.is_empty(), rest.is_empty()) {
        (false, false) => vec![of(results), said(Role::Assistant, FILLER), of(rest)],
        (false, true) => vec![of(results)],
        (true, _) => vec![of(rest)],
    }
}
