//! Results of calls: their content, and those whose call is missing.

use std::borrow::Cow;

use schema::converse::message::{ContentBlock, Role};
use schema::converse::tool::ToolResultContent;
use schema::openai::content::Content;
use schema::openai::message::Message as ChatMessage;

use super::Building;
use crate::Invalid;
use crate::chat::cache::mark as cache_mark;
use crate::parts::conversation::Said;

impl<'a> Building<'a, '_> {
    /// Sets the cache point after the complete result, wherever in it the marks stand.
    pub(super) fn mark_result(&mut self, at: usize) {
        let message = &self.messages[at];
        if let Some(Content::Parts(parts)) = &message.content {
            for part in parts {
                self.builder.mark_content(part.cache().map(cache_mark));
            }
        }
        self.mark_message(message);
    }

    pub(super) fn result_content(
        &mut self,
        at: usize,
    ) -> Result<Vec<ToolResultContent<'a>>, Invalid> {
        let messages = self.messages;
        let mut blocks = Vec::new();
        match &messages[at].content {
            None => {}
            Some(Content::Text(text)) => blocks.push(ContentBlock::Text(Cow::Borrowed(text))),
            Some(Content::Parts(parts)) => {
                for (index, part) in parts.iter().enumerate() {
                    let param = format!("messages[{at}].content[{index}]");
                    blocks.extend(self.part(part, &param, Role::User)?);
                }
            }
        }
        Ok(self.builder.inside_result(blocks))
    }

    /// Keeps a result without a call as the user's text.
    pub(super) fn orphan(
        &mut self,
        at: usize,
        message: &'a ChatMessage<'a>,
    ) -> Result<(), Invalid> {
        if self.results.is_taken(at) {
            return Ok(());
        }
        let id = message.tool_call_id.as_deref().or(message.name.as_deref()).unwrap_or("unknown");
        let head = format!("Result of tool call {id}:");
        self.builder.say(vec![Said::text(head)], Role::User);
        self.speak(at, message, Role::User)?;
        self.mark_message(message);
        Ok(())
    }
}
