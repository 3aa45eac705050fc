//! A request with what is computed of it once: its tools, which stand in three places.

use std::sync::OnceLock;

use schema::openai::message::Role;
use schema::openai::responses::item::{Item, ItemMessage};
use schema::openai::responses::request::{Input, ResponsesRequest};
use serde::{Deserialize, Deserializer};

use super::tools::ToolTable;
use crate::dialect::KnownState;

/// A request for a response.
#[derive(Debug)]
pub struct IncomingRequest<'a> {
    request: ResponsesRequest<'a>,
    tools: OnceLock<ToolTable<'a>>,
    /// The gateway's knowledge of the conversation.
    known: KnownState,
}

impl<'a> IncomingRequest<'a> {
    /// The same request with a shorter borrow; its tools are computed again.
    pub(super) fn shortened<'s>(self) -> IncomingRequest<'s>
    where
        'a: 's,
    {
        IncomingRequest { request: self.request, tools: OnceLock::new(), known: self.known }
    }

    /// The request as it was sent.
    pub(super) fn request(&self) -> &ResponsesRequest<'a> {
        &self.request
    }

    /// The request, to be changed before it is translated.
    pub(super) fn request_mut(&mut self) -> &mut ResponsesRequest<'a> {
        self.tools = OnceLock::new();
        &mut self.request
    }

    /// Takes the items of the input; a text is one message of the user.
    pub(super) fn take_items(&mut self) -> Vec<Item<'a>> {
        match self.request_mut().input.take() {
            None => Vec::new(),
            Some(Input::Items(items)) => items,
            Some(Input::Text(text)) => {
                vec![Item::Message(ItemMessage::of_text(Role::User, text))]
            }
        }
    }

    /// The gateway's knowledge of the conversation.
    pub(super) fn known(&self) -> KnownState {
        self.known
    }

    /// Sets what the gateway knows of the conversation.
    pub(super) fn set_known(&mut self, known: KnownState) {
        self.known = known;
    }

    /// Whether the response is kept.
    pub(super) fn is_stored(&self) -> bool {
        self.known.stores && self.request.store != Some(false)
    }

    /// Whether the response is kept, for all requests or for those of the same connection.
    pub(super) fn keeps_answer(&self) -> bool {
        self.is_stored() || self.known.is_of_connection
    }

    /// Every tool that the request declares.
    pub(super) fn tools(&self) -> &ToolTable<'a> {
        self.tools.get_or_init(|| ToolTable::of(&self.request))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for IncomingRequest<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The trait's, which collects unknown members.
        let request = <ResponsesRequest<'a> as Deserialize<'de>>::deserialize(deserializer)?;
        Ok(Self { request, tools: OnceLock::new(), known: KnownState::default() })
    }
}
