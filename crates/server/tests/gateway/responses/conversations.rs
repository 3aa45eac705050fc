//! Conversations that are kept: continued by requests that name them, changed, and their caller's alone.

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use super::stored::{ANN, BOB, refusal, sent};
use super::{NOVA, asking, response, text_of};
use crate::rig::{Received, Rig};

impl Rig {
    async fn conversation(
        &self,
        caller: (&str, &str),
        (method, below): (Method, &str),
        body: Option<&Value>,
    ) -> Received {
        let path = format!("/v1/conversations{below}");
        let body = body.map_or_else(Bytes::new, |body| body.to_string().into());
        self.send_with(&[caller], method, &path, body).await
    }
}

fn kinds(list: &Value) -> Vec<String> {
    let items = list["data"].as_array().unwrap().iter();
    items.map(|item| item["type"].as_str().unwrap().to_owned()).collect()
}

#[actix_rt::test]
async fn requests_continue_their_conversation() {
    for stream in [false, true] {
        let rig = Rig::start("").await;
        let items = json!([
            { "role": "user", "content": "one" },
            { "type": "message", "role": "assistant", "content": "noted" },
        ]);
        let first = json!({ "items": items, "metadata": { "a": "b" } });
        let made = rig.conversation(ANN, (Method::POST, ""), Some(&first)).await.json();
        let id = made["id"].as_str().unwrap();
        assert!(id.starts_with("conv_") && made["metadata"] == json!({ "a": "b" }), "{made}");
        for (conversation, text) in [(json!(id), "two"), (json!({ "id": id }), "three")] {
            let request = json!({ "model": "emulator.echo", "stream": stream, "input": text, "conversation": conversation });
            let answer = response(&rig.respond_with(&[ANN], &request).await);
            assert_eq!(
                (text_of(&answer).as_str(), &answer["conversation"]["id"]),
                (text, &json!(id))
            );
        }
        let turns = sent(&rig);
        let said: Vec<&str> = turns.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(said, ["one", "noted", "two", "two", "three"]);
        let unkept = json!({ "model": NOVA, "input": "x", "conversation": id, "store": false });
        assert_eq!(rig.respond_with(&[ANN], &unkept).await.status, 200);
        let below = format!("/{id}/items");
        let list = rig.conversation(ANN, (Method::GET, &below), None).await.json();
        assert_eq!((kinds(&list).len(), &list["has_more"]), (6, &json!(false)), "{list}");
        let ids: Vec<&Value> =
            list["data"].as_array().unwrap().iter().map(|item| &item["id"]).collect();
        assert!(
            ids.iter().all(|id| id.is_string() && ids.iter().filter(|one| one == &id).count() == 1)
        );
        rig.stop().await;
    }
}

#[actix_rt::test]
async fn a_tool_turn_goes_on_in_a_conversation() {
    let rig = Rig::start("").await;
    let made = rig.conversation(ANN, (Method::POST, ""), None).await.json();
    let id = made["id"].as_str().unwrap();
    let more = json!({ "conversation": id });
    let question = json!([{ "role": "user", "content": "The weather in Oslo, please." }]);
    let first = response(&rig.respond_with(&[ANN], &asking(&question, &more)).await);
    let calls = first["output"].as_array().unwrap().iter();
    let outputs: Vec<Value> = calls
        .filter(|item| item["type"] == "function_call")
        .map(|call| json!({ "type": "function_call_output", "call_id": call["call_id"], "output": "fair" }))
        .collect();
    let answer = rig.respond_with(&[ANN], &asking(&json!(outputs), &more)).await;
    assert_eq!((answer.status, answer.header("x-outcrop-thinking")), (200, None));
    assert!(text_of(&response(&answer)).contains("fair"));
    // The response stands in the conversation, and is continued there.
    let other =
        json!({ "model": NOVA, "input": "x", "previous_response_id": response(&answer)["id"] });
    let refused = rig.respond_with(&[ANN], &other).await;
    assert_eq!(refusal(&refused).0, 400);
    assert!(refused.json()["error"]["message"].as_str().unwrap().contains(id));
    rig.stop().await;
}

#[actix_rt::test]
async fn conversations_are_changed_and_belong_to_their_caller() {
    let rig = Rig::start("").await;
    let made = rig.conversation(ANN, (Method::POST, ""), Some(&json!({}))).await.json();
    let id = made["id"].as_str().unwrap().to_owned();
    let own = format!("/{id}");
    let gone = (404, Value::Null, Value::Null);
    let items = json!({ "items": [{ "role": "user", "content": "a" }, { "type": "message", "id": "msg_own", "role": "user", "content": "b" }] });
    let below = format!("{own}/items");
    for (method, below, body) in [
        (Method::GET, &own, None),
        (Method::DELETE, &own, None),
        (Method::POST, &own, Some(json!({ "metadata": {} }))),
        (Method::GET, &below, None),
        (Method::POST, &below, Some(items.clone())),
    ] {
        let refused = rig.conversation(BOB, (method, below), body.as_ref()).await;
        assert_eq!(refusal(&refused), gone);
    }
    let request = json!({ "model": NOVA, "input": "x", "conversation": id });
    assert_eq!(refusal(&rig.respond_with(&[BOB], &request).await), gone);
    let both = json!({ "model": NOVA, "input": "x", "conversation": id, "previous_response_id": "resp_1" });
    let refused = rig.respond_with(&[ANN], &both).await;
    assert!(refused.json()["error"]["message"].as_str().unwrap().contains("mutually exclusive"));

    let added = rig.conversation(ANN, (Method::POST, &below), Some(&items)).await.json();
    assert_eq!(
        (&added["data"][1]["id"], &added["last_id"]),
        (&json!("msg_own"), &json!("msg_own"))
    );
    let item = format!("{below}/msg_own");
    let read = rig.conversation(ANN, (Method::GET, &item), None).await.json();
    assert_eq!(read["content"], json!([{ "type": "input_text", "text": "b" }]));
    let left = rig.conversation(ANN, (Method::DELETE, &item), None).await.json();
    assert_eq!((&left["id"], &left["object"]), (&json!(id), &json!("conversation")));
    assert_eq!(refusal(&rig.conversation(ANN, (Method::GET, &item), None).await), gone);
    let update = json!({ "metadata": { "topic": "rocks" } });
    rig.conversation(ANN, (Method::POST, &own), Some(&update)).await;
    let read = rig.conversation(ANN, (Method::GET, &own), None).await.json();
    assert_eq!(read["metadata"], update["metadata"]);
    let deleted = rig.conversation(ANN, (Method::DELETE, &own), None).await.json();
    assert_eq!(deleted, json!({ "id": id, "object": "conversation.deleted", "deleted": true }));
    assert_eq!(refusal(&rig.conversation(ANN, (Method::GET, &own), None).await), gone);
    rig.stop().await;
}

#[actix_rt::test]
async fn bad_conversations_are_refused_by_their_field() {
    let rig = Rig::start("").await;
    let long = "x".repeat(513);
    for (body, param) in [
        (json!({ "metadata": { "a": long } }), "metadata"),
        (json!({ "metadata": { "a": 1 } }), "metadata"),
        (json!({ "items": [{ "type": "item_reference", "id": "msg_1" }] }), "items[0]"),
        (json!({ "items": [{ "role": "user", "content": "x" }, { "role": "king" }] }), "items[1]"),
        (json!({ "items": [7] }), "items[0]"),
        (json!({ "items": 7 }), "items"),
    ] {
        let (status, _, named) =
            refusal(&rig.conversation(ANN, (Method::POST, ""), Some(&body)).await);
        assert_eq!((status, named), (400, json!(param)), "{body}");
    }
    let made = rig.conversation(ANN, (Method::POST, ""), None).await.json();
    let own = format!("/{}", made["id"].as_str().unwrap());
    let refused = rig.conversation(ANN, (Method::POST, &own), Some(&json!({}))).await;
    assert_eq!(refusal(&refused).2, json!("metadata"));
    rig.stop().await;
    let rig = Rig::start("responses: { store: false }\n").await;
    let refused = rig.conversation(ANN, (Method::POST, ""), None).await;
    assert_eq!(refusal(&refused).1, json!("unsupported_parameter"));
    rig.stop().await;
    let rig = Rig::start("responses: { max_mib: 1 }\n").await;
    let item = json!({ "role": "user", "content": "x".repeat(700_000) });
    let made = rig.conversation(ANN, (Method::POST, ""), Some(&json!({ "items": [item] }))).await;
    let own = format!("/{}", made.json()["id"].as_str().unwrap());
    let more = rig
        .conversation(
            ANN,
            (Method::POST, &format!("{own}/items")),
            Some(&json!({ "items": [item] })),
        )
        .await;
    assert_eq!(refusal(&more).1, json!("conversation_too_long"));
    assert_eq!(
        rig.conversation(ANN, (Method::GET, &own), None).await.status,
        200,
        "it is still there"
    );
    rig.stop().await;
}
