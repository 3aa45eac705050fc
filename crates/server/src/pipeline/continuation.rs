//! Requests that continue a kept response, or belong to a conversation. The items before them are put in front of
//! the request's own, into its body, so that such a request is like any other from then on.

use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use translate::dialect::KnownState;

use super::Admitted;
use super::deployment::Members;
use super::parsed_request::RequestOutline;
use crate::error::GatewayError;
use crate::reasoning_store::SentInput;

/// The field that holds the conversation.
const INPUT: &str = "input";

/// The member of a body that holds its items.
#[derive(Deserialize)]
struct Sent<'b> {
    #[serde(borrow)]
    input: Option<&'b RawValue>,
}

/// The state of the conversation of a request, once its history is in it.
pub(crate) fn state(outline: &RequestOutline, admitted: &Admitted) -> KnownState {
    let reasoning = admitted.reasoning();
    KnownState {
        stores: outline.may_store && reasoning.responses().is_on(),
        is_continued: outline.previous.is_some() || outline.conversation.is_some(),
        is_of_connection: reasoning.has_connection(),
    }
}

/// Announces that the response to a request is to be kept, with the request's own items.
pub(super) async fn announce(
    body: &Bytes,
    outline: &RequestOutline,
    (admitted, state): (&Admitted, KnownState),
) -> Result<(), GatewayError> {
    let (bytes, previous) = (body.clone(), outline.previous.clone());
    let conversation = outline.conversation.clone();
    let read = async move { SentInput { items: own_items(&bytes), previous, conversation } };
    let input = admitted.offload().run(body.len(), read).await?;
    admitted.reasoning().will_keep(input, state);
    Ok(())
}

/// The body with the items before it, if the request continues a response or belongs to a conversation.
///
/// # Errors
/// Either is not known, or too long.
pub(crate) async fn continued(
    body: &Bytes,
    outline: &RequestOutline,
    admitted: &Admitted,
) -> Result<Option<Bytes>, GatewayError> {
    let reasoning = admitted.reasoning();
    let history = match (&outline.previous, &outline.conversation) {
        (None, None) => return Ok(None),
        // The translation refuses both together.
        (Some(_), Some(_)) => return Ok(None),
        (Some(previous), None) => Box::pin(reasoning.history(previous)).await?,
        (None, Some(conversation)) => {
            Box::pin(reasoning.responses().items_before(conversation, body.len())).await?
        }
    };
    let length = body.len() + history.iter().map(|item| item.len()).sum::<usize>();
    let bytes = body.clone();
    let whole = admitted.offload().run(length, async move { with_history(bytes, &history) });
    Ok(Some(whole.await?))
}

/// The items of a body; a text is one message of the user.
fn own_items(body: &[u8]) -> Vec<String> {
    let Ok(Sent { input: Some(input) }) = serde_json::from_slice(body) else { return Vec::new() };
    items_of(input)
}

fn items_of(input: &RawValue) -> Vec<String> {
    if let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(input.get()) {
        return items.into_iter().map(|item| item.get().to_owned()).collect();
    }
    match input.get() {
        "null" => Vec::new(),
        text => vec![format!(r#"{{"type":"message","role":"user","content":{text}}}"#)],
    }
}

/// The body with these items in front of its own; every other member keeps its bytes.
fn with_history(body: Bytes, history: &[Arc<str>]) -> Bytes {
    let Ok(Members(members)) = serde_json::from_slice(&body) else { return body };
    let own = members.iter().find(|(name, _)| name == INPUT).map(|(_, input)| items_of(input));
    let own = own.unwrap_or_default();
    let before = history.iter().map(|item| &**item);
    let items: Vec<&str> = before.chain(own.iter().map(String::as_str)).collect();
    let mut text = format!("{{\"{INPUT}\":[{}]", items.join(","));
    for (name, value) in members.iter().filter(|(name, _)| name != INPUT) {
        // A string is always JSON.
        let Ok(name) = serde_json::to_string(name) else { continue };
        text.push(',');
        text.push_str(&name);
        text.push(':');
        text.push_str(value.get());
    }
    text.push('}');
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_history_stands_before_the_requests_own_items() {
        let history = [r#"{"a":1.0}"#.into(), r#"{"b":2}"#.into()];
        for (body, expected) in [
            (
                r#"{"model":"m","input":[{"c":3}],"n":1e2}"#,
                r#"{"input":[{"a":1.0},{"b":2},{"c":3}],"model":"m","n":1e2}"#,
            ),
            (
                r#"{"input":"say \"x\""}"#,
                r#"{"input":[{"a":1.0},{"b":2},{"type":"message","role":"user","content":"say \"x\""}]}"#,
            ),
            (r#"{"input":null}"#, r#"{"input":[{"a":1.0},{"b":2}]}"#),
            ("{}", r#"{"input":[{"a":1.0},{"b":2}]}"#),
        ] {
            assert_eq!(with_history(Bytes::from_static(body.as_bytes()), &history), expected);
        }
    }
}
