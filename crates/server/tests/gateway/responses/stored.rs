//! Responses that are kept: continued, read, deleted, and listed by their input, by their caller alone.

use http::Method;
use serde_json::{Value, json};

use super::{NOVA, THINKS, asking, response, text_of};
use crate::rig::{Received, Rig};

pub(super) const ANN: (&str, &str) = ("authorization", "Bearer ann");
pub(super) const BOB: (&str, &str) = ("authorization", "Bearer bob");

impl Rig {
    async fn stored(&self, caller: (&str, &str), method: Method, below: &str) -> Received {
        let path = format!("/v1/responses/{below}");
        self.send_with(&[caller], method, &path, bytes::Bytes::new()).await
    }
}

/// The texts of the last call's messages, by role.
pub(super) fn sent(rig: &Rig) -> Vec<(String, String)> {
    let body = rig.emulator.journal().calls().last().unwrap().body.clone();
    let turns = body["messages"].as_array().unwrap().iter();
    turns
        .map(|turn| {
            let blocks = turn["content"].as_array().unwrap().iter();
            let texts: String = blocks.filter_map(|block| block["text"].as_str()).collect();
            (turn["role"].as_str().unwrap().to_owned(), texts)
        })
        .collect()
}

pub(super) fn refusal(received: &Received) -> (u16, Value, Value) {
    let error = received.json()["error"].clone();
    (received.status, error["code"].clone(), error["param"].clone())
}

#[actix_rt::test]
async fn a_response_is_continued_whole_and_streamed() {
    for stream in [false, true] {
        let rig = Rig::start("").await;
        let first = json!({ "model": "emulator.echo", "input": "one", "instructions": "Be brief.", "stream": stream });
        let first = response(&rig.respond_with(&[ANN], &first).await);
        assert_eq!(first["store"], true);
        let next = json!({ "model": "emulator.echo", "stream": stream, "previous_response_id": first["id"],
            "input": [{ "role": "user", "content": "two" }] });
        let second = response(&rig.respond_with(&[ANN], &next).await);
        assert_eq!(second["previous_response_id"], first["id"]);
        let turns = [("user", "one"), ("assistant", "one"), ("user", "two")];
        assert_eq!(sent(&rig), turns.map(|(role, text)| (role.to_owned(), text.to_owned())));
        let body = rig.emulator.journal().calls().last().unwrap().body.clone();
        assert!(body.get("system").is_none(), "instructions are not inherited: {body}");
        let third = json!({ "model": "emulator.echo", "stream": stream, "previous_response_id": second["id"], "input": "three" });
        let third = response(&rig.respond_with(&[ANN], &third).await);
        assert_eq!((text_of(&third).as_str(), sent(&rig).len()), ("three", 5));
        // What is read later is what was answered.
        let id = third["id"].as_str().unwrap();
        assert_eq!(rig.stored(ANN, Method::GET, id).await.json(), third, "{stream}");
        rig.stop().await;
    }
}

#[actix_rt::test]
async fn a_tool_turn_continues_with_its_output_alone_or_with_the_question_again() {
    for again in [false, true] {
        for stream in [false, true] {
            let rig = Rig::start("").await;
            let question = json!({ "role": "user", "content": "The weather in Oslo, please." });
            let more = json!({ "stream": stream });
            let first =
                response(&rig.respond_with(&[ANN], &asking(&json!([question]), &more)).await);
            let mut input: Vec<Value> = again.then(|| question.clone()).into_iter().collect();
            for call in
                first["output"].as_array().unwrap().iter().filter(|i| i["type"] == "function_call")
            {
                input.push(json!({ "type": "function_call_output", "call_id": call["call_id"], "output": "fair" }));
            }
            let more = json!({ "stream": stream, "previous_response_id": first["id"] });
            let answer = rig.respond_with(&[ANN], &asking(&json!(input), &more)).await;
            assert_eq!((answer.status, answer.header("x-outcrop-thinking")), (200, None));
            let body = rig.emulator.journal().calls().last().unwrap().body.clone();
            let turns = body["messages"].as_array().unwrap();
            assert_eq!(turns.len(), 3, "{again} {stream} {body}");
            let uses = turns[1]["content"].as_array().unwrap().iter();
            let uses = uses.filter_map(|block| block["toolUse"]["toolUseId"].as_str());
            let results = turns[2]["content"].as_array().unwrap().iter();
            let results = results.filter_map(|block| block["toolResult"]["toolUseId"].as_str());
            assert!(uses.eq(results), "{body}");
            assert!(turns[2].to_string().contains("fair"), "{body}");
            rig.stop().await;
        }
    }
}

#[actix_rt::test]
async fn responses_belong_to_their_caller_and_can_be_deleted() {
    let rig = Rig::start("").await;
    let first = json!({ "model": NOVA, "input": "x" });
    let first = response(&rig.respond_with(&[ANN], &first).await);
    let id = first["id"].as_str().unwrap().to_owned();
    let next = json!({ "model": NOVA, "input": "y", "previous_response_id": id });
    let lost = (400, json!("previous_response_not_found"), json!("previous_response_id"));
    assert_eq!(refusal(&rig.respond_with(&[BOB], &next).await), lost);
    let gone = (404, Value::Null, Value::Null);
    assert_eq!(refusal(&rig.stored(BOB, Method::GET, &id).await), gone);
    assert_eq!(refusal(&rig.stored(BOB, Method::DELETE, &id).await), gone);
    assert_eq!(refusal(&rig.stored(BOB, Method::GET, &format!("{id}/input_items")).await), gone);
    assert_eq!(rig.respond_with(&[ANN], &next).await.status, 200);
    let deleted = rig.stored(ANN, Method::DELETE, &id).await.json();
    assert_eq!(deleted, json!({ "id": id, "object": "response.deleted", "deleted": true }));
    assert_eq!(refusal(&rig.stored(ANN, Method::GET, &id).await), gone);
    assert_eq!(refusal(&rig.respond_with(&[ANN], &next).await), lost);
    rig.stop().await;
}

#[actix_rt::test]
async fn what_is_not_to_be_stored_is_not_kept() {
    let asked = json!({ "model": NOVA, "input": "x" });
    for (yaml, store, ignored) in [
        ("", json!(false), None),
        ("responses: { store: false }\n", Value::Null, None),
        ("responses: { store: false }\n", json!(true), Some("store")),
        ("responses: { max_mib: 0 }\n", json!(true), Some("store")),
    ] {
        for stream in [false, true] {
            let rig = Rig::start(yaml).await;
            let mut asked = asked.clone();
            (asked["store"], asked["stream"]) = (store.clone(), json!(stream));
            let answer = rig.respond_with(&[ANN], &asked).await;
            assert_eq!(answer.header("x-outcrop-ignored"), ignored, "{yaml} {store}");
            let answer = response(&answer);
            assert_eq!(answer["store"], false, "{yaml} {store}");
            let id = answer["id"].as_str().unwrap();
            assert_eq!(rig.stored(ANN, Method::GET, id).await.status, 404);
            rig.stop().await;
        }
    }
}

#[actix_rt::test]
async fn input_items_are_complete_and_paged() {
    let rig = Rig::start("").await;
    let input = json!([
        { "role": "user", "content": "one" },
        { "role": "assistant", "content": "two" },
        { "type": "message", "id": "msg_mine", "role": "user", "content": [{ "type": "input_text", "text": "three" }] },
    ]);
    let answer =
        response(&rig.respond_with(&[ANN], &json!({ "model": NOVA, "input": input })).await);
    let path = format!("{}/input_items", answer["id"].as_str().unwrap());
    let list =
        async |query: &str| rig.stored(ANN, Method::GET, &format!("{path}{query}")).await.json();
    let all = list("").await;
    assert_eq!((&all["object"], &all["has_more"]), (&json!("list"), &json!(false)));
    let texts = |list: &Value| -> Vec<String> {
        let items = list["data"].as_array().unwrap().iter();
        items.map(|item| item["content"][0]["text"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(texts(&all), ["three", "two", "one"]);
    for item in all["data"].as_array().unwrap() {
        assert_eq!((&item["type"], &item["status"]), (&json!("message"), &json!("completed")));
        assert!(item["id"].as_str().unwrap().starts_with("msg_"));
    }
    assert_eq!(all["first_id"], "msg_mine");
    let page = list("?order=asc&limit=2").await;
    assert_eq!(
        (texts(&page), &page["has_more"]),
        (vec!["one".to_owned(), "two".to_owned()], &json!(true))
    );
    let rest = list(&format!("?order=asc&after={}", page["last_id"].as_str().unwrap())).await;
    assert_eq!(texts(&rest), ["three"]);
    for wrong in ["?limit=0", "?limit=x", "?order=up", "?after=msg_none"] {
        assert_eq!(rig.stored(ANN, Method::GET, &format!("{path}{wrong}")).await.status, 400);
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn counts_and_dry_runs_include_the_conversation() {
    let rig = Rig::start("").await;
    let first = json!({ "model": THINKS, "input": "How old is granite?" });
    let first = response(&rig.respond_with(&[ANN], &first).await);
    let next =
        json!({ "model": THINKS, "input": "And basalt?", "previous_response_id": first["id"] });
    let dry = [ANN, ("x-outcrop-dry-run", "true")];
    let shown = rig.respond_with(&dry, &next).await.json();
    assert_eq!(shown["body"]["messages"].as_array().unwrap().len(), 3, "{shown}");
    let count = async |request: &Value| {
        let path = "/v1/responses/input_tokens";
        let counted = rig.send_with(&[ANN], Method::POST, path, request.to_string().into()).await;
        counted.json()["input_tokens"].as_u64().unwrap()
    };
    let alone = json!({ "model": THINKS, "input": "And basalt?" });
    assert!(count(&next).await > count(&alone).await);
    rig.stop().await;
}
