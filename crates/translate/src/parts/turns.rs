//! Turn repair. OpenAI accepts any order of messages; Bedrock requires turns that alternate, begin
//! with the user and hold no blank text. No content is lost: adjacent messages are merged, gaps
//! filled.

use std::borrow::Cow;

use schema::converse::message::{CachePoint, ContentBlock, Message, Role};

use crate::Report;
use crate::profile::{BesideToolCall, BesideToolResult, Profile, Surface};

/// Filler where Bedrock requires text and the caller sent none.
pub(crate) const FILLER: &str = ".";

/// Asks the assistant to continue, for models that do not continue on their own.
pub(crate) const CONTINUE: &str = "Continue.";

/// Turns under construction.
#[derive(Debug, Default)]
pub(crate) struct Turns<'a> {
    turns: Vec<Message<'a>>,
}

impl<'a> Turns<'a> {
    /// Adds a block to the role's turn, opening one if the other role spoke last. Blank text is
    /// dropped: Bedrock refuses it, and it has no content.
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

    /// Returns whether the last turn is the user's.
    pub(crate) fn is_users(&self) -> bool {
        self.turns.last().is_some_and(|turn| turn.role == Role::User)
    }

    /// Adds a cache point after the last content. False without content.
    pub(crate) fn mark(&mut self, point: CachePoint) -> bool {
        match self.turns.last_mut() {
            Some(turn) => turn.content.push(ContentBlock::CachePoint(point)),
            None => return false,
        }
        true
    }

    /// The finished conversation in the form that `profile` requires.
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
        let is_bare = self.turns.is_empty() && profile.surface != Surface::Prompt;
        if is_bare || (leading_assistant && !profile.leading_assistant) {
            self.turns.insert(0, said(Role::User, FILLER));
        }
        self.turns.iter_mut().for_each(speak_of_documents);
        self.trim_prefill();
        self.ask_for_more(profile, report);
        self.turns
    }

    /// Adds a user turn for models that refuse a conversation that ends with the assistant. The
    /// model may start anew instead of continuing, so the prefill is reported.
    fn ask_for_more(&mut self, profile: &Profile, report: &mut Report) {
        let is_prefill = self.turns.last().is_some_and(|turn| turn.role == Role::Assistant);
        if is_prefill && !profile.trailing_assistant {
            report.ignore("messages.prefill");
            self.turns.push(said(Role::User, CONTINUE));
        }
    }

    /// Trims a trailing assistant turn, a prefill; models refuse one that ends in white space.
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

/// An instruction in the middle of a conversation, as marked user text. Moving it up into the
/// system prompt would change the cached prefix. Blank text stays blank.
pub(crate) fn note(text: &str) -> Cow<'_, str> {
    if text.trim().is_empty() {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("<system>\n{text}\n</system>"))
}

/// Adds filler text to a turn with documents, which Bedrock refuses without text.
fn speak_of_documents(turn: &mut Message<'_>) {
    let is_text = |block: &ContentBlock<'_>| matches!(block, ContentBlock::Text(_));
    let is_document = |block: &ContentBlock<'_>| matches!(block, ContentBlock::Document(_));
    if let Some(first) = turn.content.iter().position(is_document)
        && !turn.content.iter().any(is_text)
    {
        // Before it: a cache point may follow the document.
        turn.content.insert(first, ContentBlock::Text(Cow::Borrowed(FILLER)));
    }
}

fn said<'a>(role: Role, words: &'static str) -> Message<'a> {
    Message { role, content: vec![ContentBlock::Text(Cow::Borrowed(words))] }
}

/// Returns whether a block may stand beside a tool result.
fn may_stand(block: &ContentBlock<'_>, beside: BesideToolResult) -> bool {
    match block {
        ContentBlock::ToolResult(_) | ContentBlock::CachePoint(_) => true,
        ContentBlock::Text(_) | ContentBlock::Image(_) => beside != BesideToolResult::Nothing,
        _ => beside == BesideToolResult::Anything,
    }
}

/// Splits an assistant turn into text, and calls with their reasoning, with the user's filler
/// between. The results must follow the calls directly, so text after a call also moves before it.
fn split_calls(turn: Message<'_>) -> Vec<Message<'_>> {
    let calls = |block: &ContentBlock<'_>| matches!(block, ContentBlock::ToolUse(_));
    if turn.role == Role::User || !turn.content.iter().any(calls) {
        return vec![turn];
    }
    let mut with_calls = false;
    // A cache point goes with the block before it.
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

/// Splits a user turn into results and the other content, with the assistant's filler between.
fn split_results(turn: Message<'_>, beside: BesideToolResult) -> Vec<Message<'_>> {
    if turn.content.iter().all(|block| may_stand(block, beside)) {
        return vec![turn];
    }
    let mut with_results = true;
    // A cache point goes with the block before it.
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
