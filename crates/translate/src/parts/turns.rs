//! Turn repair. OpenAI takes any order of messages; Bedrock wants turns that alternate, begin with
//! the user and hold no blank text. Nothing is lost on the way: neighbours are merged, gaps filled.

use std::borrow::Cow;

use schema::converse::message::{ContentBlock, Message, Role};

use crate::profile::{BesideToolResult, Profile};

/// Stands where Bedrock wants words and the caller sent none.
pub(crate) const FILLER: &str = ".";

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

    /// The finished conversation, as `profile` wants it.
    pub(crate) fn finish(mut self, profile: &Profile) -> Vec<Message<'a>> {
        if profile.beside_tool_result == BesideToolResult::Nothing {
            self.turns = self.turns.into_iter().flat_map(split_results).collect();
        }
        let leading_assistant = self.turns.first().is_none_or(|turn| turn.role == Role::Assistant);
        if self.turns.is_empty() || (leading_assistant && !profile.leading_assistant) {
            self.turns.insert(0, filler(Role::User));
        }
        self.trim_prefill();
        self.turns
    }

    /// A trailing assistant turn is a prefill; models refuse one that ends in white space.
    fn trim_prefill(&mut self) {
        if let Some(Message { role: Role::Assistant, content }) = self.turns.last_mut()
            && let Some(ContentBlock::Text(text)) = content.last_mut()
        {
            let kept = text.trim_end().len();
            match text {
                Cow::Borrowed(text) => *text = &text[..kept],
                Cow::Owned(text) => text.truncate(kept),
            }
        }
    }
}

fn filler<'a>(role: Role) -> Message<'a> {
    Message { role, content: vec![ContentBlock::Text(Cow::Borrowed(FILLER))] }
}

/// Results in one turn, everything else in the next, with the assistant's filler between.
fn split_results(turn: Message<'_>) -> Vec<Message<'_>> {
    let is_result = |block: &ContentBlock<'_>| matches!(block, ContentBlock::ToolResult(_));
    let (results, rest): (Vec<_>, Vec<_>) = turn.content.into_iter().partition(is_result);
    let of = |content| Message { role: turn.role, content };
    match (results.is_empty(), rest.is_empty()) {
        (false, false) => vec![of(results), filler(Role::Assistant), of(rest)],
        (false, true) => vec![of(results)],
        (true, _) => vec![of(rest)],
    }
}
