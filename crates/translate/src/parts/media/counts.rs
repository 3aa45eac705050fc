//! Limits on the images and documents in one message. They are counted when the turns are complete,
//! because adjacent messages of one role become one message.

use schema::converse::message::{ContentBlock, Message};
use schema::converse::tool::ToolResultContent;

use crate::Invalid;
use crate::profile::Profile;

/// Refuses a message with more than the model accepts.
pub(crate) fn within_limits(messages: &[Message<'_>], profile: &Profile) -> Result<(), Invalid> {
    for message in messages {
        let (mut images, mut documents) = (0, 0);
        for block in &message.content {
            match block {
                ContentBlock::Image(_) => images += 1,
                ContentBlock::Document(_) => documents += 1,
                ContentBlock::ToolResult(result) => {
                    for content in &result.content {
                        match content {
                            ToolResultContent::Image(_) => images += 1,
                            ToolResultContent::Document(_) => documents += 1,
                            ToolResultContent::Text(_)
                            | ToolResultContent::Video(_)
                            | ToolResultContent::SearchResult(_) => {}
                        }
                    }
                }
                ContentBlock::Text(_)
                | ContentBlock::Video(_)
                | ContentBlock::Audio(_)
                | ContentBlock::SearchResult(_)
                | ContentBlock::ToolUse(_)
                | ContentBlock::ReasoningContent(_)
                | ContentBlock::CachePoint(_) => {}
            }
        }
        for (what, count, most) in
            [("images", images, profile.images), ("documents", documents, profile.documents)]
        {
            if count > most {
                let message = format!(
                    "One turn holds {count} {what}; this model takes up to {most}. Messages of one role without an answer between them are one turn."
                );
                return Err(Invalid::value("messages", message).with_code("array_above_max_length"));
            }
        }
    }
    Ok(())
}
