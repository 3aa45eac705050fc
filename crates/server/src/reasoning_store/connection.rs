//! Responses of one WebSocket. Its later requests may continue them even if they are not to be stored; they live
//! no longer than the connection.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use translate::Invalid;
use translate::answer_stream::KeptItem;

use super::responses::{LARGEST, LONGEST, SentInput, output_items, too_long};

/// Most responses that a connection keeps.
const KEPT: usize = 16;

/// The responses of a connection.
#[derive(Debug, Default)]
pub(crate) struct ConnectionResponses(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// The latest last.
    responses: VecDeque<(String, Arc<Turn>)>,
    /// The request whose response is to come.
    coming: Option<Coming>,
}

#[derive(Debug)]
struct Coming {
    input: SentInput,
    before: Option<Arc<Turn>>,
}

/// A request and its response.
#[derive(Debug)]
struct Turn {
    items: Vec<String>,
    before: Before,
    /// Bytes of the items, with those of the turns before it.
    bytes: usize,
    /// Turns up to and with this one.
    length: usize,
}

/// The conversation before a turn.
#[derive(Debug)]
enum Before {
    None,
    /// A turn of the connection.
    Turn(Arc<Turn>),
    /// A response of the caller's store, by its id.
    Stored(String),
}

/// The part of a conversation that a connection holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct HeldConversation {
    /// The stored response that it continues.
    pub(super) stored: Option<String>,
    /// Its items, as JSON, the first item first.
    pub(super) items: Vec<String>,
}

impl ConnectionResponses {
    /// The conversation up to and with a response of the connection.
    ///
    /// # Errors
    /// It is too long.
    pub(super) fn conversation(&self, id: &str) -> Result<Option<HeldConversation>, Invalid> {
        let Some(turn) = self.kept().find(id) else { return Ok(None) };
        if turn.bytes > LARGEST || turn.length > LONGEST {
            return Err(too_long());
        }
        Ok(Some(turn.conversation()))
    }

    /// Announces the request whose response comes next. Returns its input for a store that does not know the
    /// connection's responses.
    pub(super) fn announce(&self, input: SentInput) -> SentInput {
        let mut kept = self.kept();
        if input.conversation.is_some() {
            // It is continued by its conversation alone.
            kept.coming = None;
            return input;
        }
        let before = input.previous.as_deref().and_then(|id| kept.find(id));
        let for_store = match &before {
            None => input.clone(),
            Some(turn) => {
                let HeldConversation { stored, mut items } = turn.conversation();
                items.extend(input.items.iter().cloned());
                SentInput { items, previous: stored, conversation: None }
            }
        };
        kept.coming = Some(Coming { input, before });
        for_store
    }

    /// Keeps the response to the request that was announced.
    pub(super) fn keep(&self, response: &KeptItem) {
        let mut kept = self.kept();
        let Some(Coming { input, before }) = kept.coming.take() else { return };
        let SentInput { mut items, previous, conversation: _ } = input;
        items.extend(output_items(&response.json));
        let own: usize = items.iter().map(|item| item.len() + size_of::<String>()).sum();
        let (bytes, length) = before.as_ref().map_or((0, 0), |turn| (turn.bytes, turn.length));
        let before = match (before, previous) {
            (Some(turn), _) => Before::Turn(turn),
            (None, Some(id)) => Before::Stored(id),
            (None, None) => Before::None,
        };
        let turn = Turn { items, before, bytes: bytes + own, length: length + 1 };
        kept.responses.push_back((response.id.clone(), Arc::new(turn)));
        // A turn that several responses share is counted for each of them.
        while kept.responses.len() > 1 && (kept.responses.len() > KEPT || kept.bytes() > LARGEST) {
            kept.responses.pop_front();
        }
    }

    /// Forgets a response, because a request that continued it has failed.
    pub(crate) fn forget(&self, id: &str) {
        self.kept().responses.retain(|(known, _)| known != id);
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn find(&self, id: &str) -> Option<Arc<Turn>> {
        let found = self.responses.iter().rev().find(|(known, _)| known == id);
        found.map(|(_, turn)| Arc::clone(turn))
    }

    fn bytes(&self) -> usize {
        self.responses.iter().map(|(_, turn)| turn.bytes).sum()
    }
}

impl Turn {
    fn conversation(&self) -> HeldConversation {
        let (mut turns, mut stored, mut next) = (Vec::new(), None, Some(self));
        while let Some(turn) = next {
            turns.push(turn);
            next = match &turn.before {
                Before::Turn(turn) => Some(turn),
                Before::Stored(id) => {
                    stored = Some(id.clone());
                    None
                }
                Before::None => None,
            };
        }
        let items = turns.iter().rev().flat_map(|turn| turn.items.iter().cloned()).collect();
        HeldConversation { stored, items }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(
        connection: &ConnectionResponses,
        id: &str,
        said: &str,
        previous: Option<&str>,
    ) -> SentInput {
        let input = SentInput {
            items: vec![format!("{{\"q\":\"{said}\"}}")],
            previous: previous.map(ToOwned::to_owned),
            conversation: None,
        };
        let for_store = connection.announce(input);
        let json = format!(r#"{{"id":"{id}","output":[{{"a":"{id}"}}]}}"#);
        connection.keep(&KeptItem { id: id.to_owned(), json });
        for_store
    }

    #[test]
    fn a_conversation_holds_all_turns_of_its_connection() {
        let connection = ConnectionResponses::default();
        assert_eq!(connection.conversation("a").unwrap(), None);
        turn(&connection, "a", "1", Some("stored"));
        let for_store = turn(&connection, "b", "2", Some("a"));
        assert_eq!(for_store.previous.as_deref(), Some("stored"));
        assert_eq!(for_store.items, [r#"{"q":"1"}"#, r#"{"a":"a"}"#, r#"{"q":"2"}"#]);
        turn(&connection, "c", "3", Some("a"));
        let HeldConversation { stored, items } = connection.conversation("c").unwrap().unwrap();
        assert_eq!(stored.as_deref(), Some("stored"));
        assert_eq!(items, [r#"{"q":"1"}"#, r#"{"a":"a"}"#, r#"{"q":"3"}"#, r#"{"a":"c"}"#]);
        connection.forget("a");
        assert_eq!(connection.conversation("a").unwrap(), None);
        assert_eq!(connection.conversation("c").unwrap().unwrap().items.len(), 4);
    }

    #[test]
    fn a_connection_keeps_a_bounded_number_of_responses() {
        let connection = ConnectionResponses::default();
        for number in 0..3 * KEPT {
            turn(&connection, &number.to_string(), "x", None);
        }
        assert!(connection.conversation("31").unwrap().is_none());
        assert!(connection.conversation("32").unwrap().is_some());
        // One large response leaves no room for those before it, and cannot be continued itself.
        turn(&connection, "large", &"x".repeat(LARGEST), None);
        assert!(connection.conversation("47").unwrap().is_none());
        let refused = connection.conversation("large").unwrap_err();
        assert_eq!(refused.code, "conversation_too_long");
    }

    #[test]
    fn a_response_without_an_announcement_is_not_kept() {
        let connection = ConnectionResponses::default();
        connection.keep(&KeptItem { id: "a".to_owned(), json: r#"{"output":[]}"#.to_owned() });
        assert_eq!(connection.conversation("a").unwrap(), None);
    }
}
