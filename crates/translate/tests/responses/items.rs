//! Items and tools of requests for responses: what a client sends back reaches the model as it was.

use crate::glass::recalled;
use crate::response_asked::{asked, body, no_tokens, refused, stream_of, thinking};
use serde_json::{Value, json};
use translate::S3Access;
use translate::dialect::{Dialect, QuestionInput};
use translate::responses::{IncomingRequest, Responses};

#[test]
fn tools_from_three_places_come_back_as_the_clients_own() {
    let function = |name: &str| json!({ "type": "function", "name": name, "parameters": { "type": "object" } });
    let request = json!({ "model": "m", "tools": [
        function("plain"),
        { "type": "namespace", "name": "agents", "description": "Agents.", "tools": [function("spawn"), function("plain")] },
        { "type": "web_search" }, { "type": "mcp", "server_label": "x" }, { "type": "of_tomorrow" },
        { "type": "shell" }, { "type": "local_shell" }, { "type": "apply_patch" },
        { "type": "tool_search", "execution": "client" },
    ], "input": [
        { "type": "additional_tools", "role": "developer", "tools": [
            { "type": "namespace", "name": "functions", "tools": [{ "type": "custom", "name": "exec" }] },
        ] },
        { "role": "user", "content": "x" },
    ] });
    let sent = body(&request);
    let names: Vec<&str> = sent["toolConfig"]["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| tool["toolSpec"]["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "plain",
            "spawn",
            "agents__plain",
            "shell",
            "local_shell",
            "apply_patch",
            "tool_search",
            "exec"
        ]
    );
    let call = |id: &str, name: &str, input: Value| json!({ "toolUse": { "toolUseId": id, "name": name, "input": input } });
    let content = json!([
        call("1", "plain", json!({})),
        call("2", "spawn", json!({})),
        call("3", "agents__plain", json!({})),
        call("4", "exec", json!({ "input": "*** Begin Patch\n\"h\u{e9}\"" })),
        call("5", "shell", json!({ "commands": ["ls"] })),
        call("6", "local_shell", json!({ "command": ["ls"] })),
        call("7", "apply_patch", json!({ "type": "delete_file", "path": "a" })),
        call("8", "tool_search", json!({ "query": "dig" })),
        call("9", "agents.spawn", json!({})),
    ]);
    let stream = stream_of(&request, &content, "tool_use");
    let output = stream.response()["output"].as_array().unwrap();
    let told: Vec<_> =
        output.iter().map(|item| json!([item["type"], item["name"], item["namespace"],])).collect();
    assert_eq!(
        told,
        [
            json!(["function_call", "plain", null]),
            json!(["function_call", "spawn", "agents"]),
            json!(["function_call", "plain", "agents"]),
            json!(["custom_tool_call", "exec", "functions"]),
            json!(["shell_call", null, null]),
            json!(["local_shell_call", null, null]),
            json!(["apply_patch_call", null, null]),
            json!(["tool_search_call", null, null]),
            json!(["function_call", "spawn", "agents"]),
        ]
    );
    assert_eq!(output[3]["input"], "*** Begin Patch\n\"h\u{e9}\"");
    assert_eq!(
        output[4]["action"],
        json!({ "commands": ["ls"], "timeout_ms": null, "max_output_length": null })
    );
    assert_eq!(output[5]["action"]["type"], "exec");
    assert_eq!(output[7]["arguments"], json!({ "query": "dig" }));
}

/// The calls of an answer come back in the next request, and reach the model as it made them.
#[test]
fn calls_come_back_as_the_model_made_them() {
    let function = |name: &str| json!({ "type": "function", "name": name, "parameters": { "type": "object" } });
    let request = json!({ "model": "m", "input": [{ "role": "user", "content": "x" }], "tools": [
        function("plain"),
        { "type": "namespace", "name": "agents", "tools": [function("spawn"), function("plain")] },
        { "type": "custom", "name": "exec" }, { "type": "shell" },
        { "type": "tool_search", "execution": "client" },
    ] });
    let call = |id: &str, name: &str, input: Value| json!({ "toolUse": { "toolUseId": id, "name": name, "input": input } });
    let content = json!([
        call("1", "plain", json!({})),
        call("2", "spawn", json!({})),
        call("3", "agents__plain", json!({})),
        call("4", "exec", json!({ "input": "*** Begin Patch\n\"h\u{e9}\"" })),
        call("5", "shell", json!({ "commands": ["ls"] })),
        call("6", "tool_search", json!({ "query": "dig" })),
    ]);
    let stream = stream_of(&request, &content, "tool_use");
    let output = stream.response()["output"].as_array().unwrap();
    let mut items = request["input"].as_array().unwrap().clone();
    items.extend(output.iter().cloned());
    for item in output {
        let (kind, id) = (item["type"].as_str().unwrap(), &item["call_id"]);
        items.push(match kind {
            "tool_search_call" => {
                json!({ "type": "tool_search_output", "call_id": id, "tools": [function("found")] })
            }
            _ => json!({ "type": format!("{kind}_output"), "call_id": id, "output": "done" }),
        });
    }
    let mut next = request;
    next["input"] = Value::Array(items);
    let sent = body(&next);
    let turns = sent["messages"].as_array().unwrap();
    let blocks = turns[1]["content"].as_array().unwrap();
    let names: Vec<&str> =
        blocks.iter().map(|block| block["toolUse"]["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["plain", "spawn", "agents__plain", "exec", "shell", "tool_search"]);
    assert_eq!(blocks[3]["toolUse"]["input"], json!({ "input": "*** Begin Patch\n\"h\u{e9}\"" }));
    assert_eq!(blocks[5]["toolUse"]["input"], json!({ "query": "dig" }));
    assert_eq!(turns[2]["content"].as_array().unwrap().len(), 6);
    assert_eq!(turns[2]["content"][5]["toolResult"]["content"][0]["text"], "1 tools loaded: found");
    let tools = sent["toolConfig"]["tools"].as_array().unwrap();
    assert!(tools.iter().any(|tool| tool["toolSpec"]["name"] == "found"));
}

#[test]
fn forced_tools_that_do_not_run_here_are_refused_and_others_never() {
    let tools = json!([{ "type": "function", "name": "f" }, { "type": "apply_patch" }, { "type": "web_search" }]);
    let asking = |choice: Value| json!({ "model": "m", "input": "x", "tools": tools, "tool_choice": choice });
    for hosted in ["web_search_preview", "file_search", "computer", "code_interpreter", "mcp"] {
        let invalid = refused(&asking(json!({ "type": hosted })));
        assert_eq!(
            (invalid.param.as_deref(), invalid.code),
            (Some("tool_choice"), "unsupported_value")
        );
    }
    for (choice, sent) in [
        (json!({ "type": "function", "name": "f" }), json!({ "tool": { "name": "f" } })),
        (json!({ "type": "apply_patch" }), json!({ "tool": { "name": "apply_patch" } })),
        (json!("required"), json!({ "any": {} })),
        (json!({ "type": "required" }), json!({ "any": {} })),
        (json!("auto"), Value::Null),
        (json!({ "type": "auto" }), Value::Null),
    ] {
        assert_eq!(body(&asking(choice.clone()))["toolConfig"]["toolChoice"], sent, "{choice}");
    }
    let allowed = json!({ "type": "allowed_tools", "mode": "required", "tools": [
        { "type": "function", "name": "f" }, { "type": "mcp", "server_label": "x" },
    ] });
    let sent = body(&asking(allowed));
    assert_eq!(sent["toolConfig"]["tools"].as_array().unwrap().len(), 1);
    assert_eq!(refused(&asking(json!(7))).param.as_deref(), Some("tool_choice"));
}

#[test]
fn reasoning_comes_back_out_of_its_capsule_and_only_there() {
    let thought = json!({ "reasoningContent": { "reasoningText": { "text": "Quartz is hard.", "signature": "c2ln" } } });
    let hidden = json!({ "reasoningContent": { "redactedContent": "AAAA" } });
    let call = json!({ "toolUse": { "toolUseId": "t1", "name": "look", "input": {} } });
    let content = json!([thought, { "text": "Looking." }, hidden, call]);
    let request = json!({ "model": "m", "input": [{ "role": "user", "content": "x" }],
        "include": ["reasoning.encrypted_content"], "reasoning": { "effort": "low", "summary": "auto" },
        "tools": [{ "type": "function", "name": "look" }] });
    let stream = stream_of(&request, &content, "tool_use");
    let output = stream.response()["output"].as_array().unwrap().clone();
    let kinds: Vec<&str> = output.iter().map(|item| item["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["reasoning", "message", "reasoning", "function_call"]);
    assert_eq!(output[0]["summary"][0]["text"], "Quartz is hard.");
    assert_eq!(output[2]["summary"], json!([]));
    let again = |items: &[Value]| {
        let mut next = request.clone();
        let all = next["input"].as_array_mut().unwrap();
        all.extend(items.iter().cloned());
        all.push(json!({ "type": "function_call_output", "call_id": "t1", "output": "Gneiss." }));
        body(&next)
    };
    let sent = again(&output);
    assert_eq!(sent["messages"][1]["content"], content);
    assert_eq!(sent["messages"][2]["content"][0]["toolResult"]["toolUseId"], "t1");
    // A summary that was changed does not matter, and neither do ids.
    let mut edited = output.clone();
    edited[0]["summary"] = json!([{ "type": "summary_text", "text": "Other." }]);
    edited[0]["content"] = Value::Null;
    edited[0].as_object_mut().unwrap().remove("id");
    assert_eq!(again(&edited)["messages"][1]["content"], content);
    // What another service or caller sealed is left out, and the rest stays in its order.
    for foreign in
        [json!("gAAAAABforeign"), json!("oc1.glass:reasoning:no json"), Value::Null, json!("")]
    {
        let mut other = output.clone();
        for at in [0, 2] {
            other[at]["encrypted_content"] = foreign.clone();
        }
        assert_eq!(again(&other)["messages"][1]["content"], json!([{ "text": "Looking." }, call]));
    }
    // Reasoning of another model is not sent to one that checks it.
    let mut moved = output;
    let capsule =
        moved[0]["encrypted_content"].as_str().unwrap().replace("\"o\":[1,2]", "\"o\":[9,2]");
    moved[0]["encrypted_content"] = capsule.into();
    assert_eq!(again(&moved)["messages"][1]["content"], json!([{ "text": "Looking." }, call]));
}

#[test]
fn outputs_are_paired_wherever_they_stand() {
    let call = |id: &str| json!({ "type": "function_call", "call_id": id, "name": "f", "arguments": "{\"a\":1}" });
    let output = |id: &str, text: &str| json!({ "type": "function_call_output", "call_id": id, "output": text });
    let user = json!({ "role": "user", "content": "x" });
    let turns = |items: Value| body(&json!({ "model": "m", "input": items }))["messages"].clone();
    let together = turns(json!([user, call("a"), call("b"), output("b", "2"), output("a", "1")]));
    assert_eq!(together[2]["content"][0]["toolResult"]["toolUseId"], "a");
    assert_eq!(together.as_array().unwrap().len(), 3);
    let apart = turns(json!([user, call("a"), output("a", "1"), call("b"), output("b", "2")]));
    assert_eq!(apart.as_array().unwrap().len(), 5);
    let missing = turns(json!([user, call("a"), { "role": "user", "content": "go on" }]));
    assert!(missing[2]["content"][0]["toolResult"]["content"][0]["text"].is_string());
    // Some models count their ids from zero in every turn.
    let again = turns(json!([user, call("a"), output("a", "1"), call("a"), output("a", "2")]));
    assert_eq!(again[4]["content"][0]["toolResult"]["content"][0]["text"], "2");
    let invalid = refused(&json!({ "model": "m", "input": [user, output("gone", "1")] }));
    assert_eq!(invalid.message, "No tool call found for function call output with call_id gone.");
    assert_eq!(invalid.param.as_deref(), Some("input"));
    let forms = turns(json!([user, call("a"), { "type": "function_call_output", "call_id": "a",
        "output": { "content": "ok", "success": true } }]));
    assert_eq!(
        forms[2]["content"][0]["toolResult"]["content"][0]["text"],
        r#"{"content":"ok","success":true}"#
    );
}

#[test]
fn unknown_items_fields_and_tools_are_reported_and_never_refused() {
    let request = json!({ "model": "m", "tomorrow": 1, "client_metadata": { "a": "b" },
        "tools": [{ "type": "tomorrow" }, 7, { "type": "file_search", "name": 5 }],
        "input": [
            { "type": "of_tomorrow", "content": 7, "id": {} },
            { "type": "web_search_call", "id": "ws_1", "status": "completed", "action": {} },
            { "type": "compaction", "encrypted_content": "x" },
            { "type": "context_compaction" },
            { "type": "reasoning", "id": 5, "summary": "x", "content": 3 },
            { "type": "message", "role": "user", "content": "x", "phase": "final", "status": 4 },
        ] });
    asked(&request.to_string(), &thinking(), |question| {
        let question = question.unwrap();
        let ignored = question.report.ignored();
        for field in ["tomorrow", "tools.tomorrow", "input.of_tomorrow", "input.compaction"] {
            assert!(ignored.iter().any(|one| one == field), "{field}: {ignored:?}");
        }
        assert!(
            !ignored
                .iter()
                .any(|one| one.contains("client_metadata") || one.contains("web_search"))
        );
        assert_eq!(question.body.messages.len(), 1);
    });
}

#[test]
fn what_needs_a_store_is_refused_by_its_field() {
    let asking = |member: &str, value: Value| json!({ "model": "m", "input": "x", member: value });
    for (member, value, code) in [
        ("previous_response_id", json!("resp_gone"), "previous_response_not_found"),
        ("conversation", json!("conv_1"), "conversation_not_found"),
        ("background", json!(true), "unsupported_parameter"),
        ("prompt", json!({ "id": "pmpt_1" }), "invalid_value"),
    ] {
        let invalid = refused(&asking(member, value));
        assert_eq!((invalid.param.as_deref(), invalid.code), (Some(member), code));
    }
    let referring = asking(
        "input",
        json!([{ "type": "item_reference", "id": "msg_1" }, { "role": "user", "content": "x" }]),
    );
    let invalid = refused(&referring);
    assert_eq!((invalid.param.as_deref(), invalid.code), (Some("input"), "item_not_found"));
    assert!(invalid.message.contains("providerOptions.openai.store"));
    for empty in [json!([]), Value::Null] {
        assert_eq!(refused(&asking("input", empty)).code, "missing_required_parameter");
    }
}

#[test]
fn items_are_put_where_a_request_refers_to_them() {
    let request = json!({ "model": "m", "input": [
        { "role": "user", "content": "x" },
        { "type": "item_reference", "id": "rs_1" },
        { "id": "msg_1" },
        { "type": "reasoning", "id": "rs_1", "summary": [] },
        { "role": "user", "content": "y" },
    ] })
    .to_string();
    let mut incoming: IncomingRequest<'_> = serde_json::from_str(&request).unwrap();
    assert_eq!(Responses::item_ids(&incoming), ["rs_1", "msg_1", "rs_1"]);
    let reasoning = r#"{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"oc1.glass:reasoning:{\"t\":[\"Hm.\",\"c2ln\"],\"f\":\"unknown\"}"}"#;
    let message = r#"{"type":"message","role":"assistant","content":[{"type":"output_text","text":"One.","annotations":[],"logprobs":[]}]}"#;
    Responses::fill_items(&mut incoming, &|id| match id {
        "rs_1" => Some(reasoning),
        "msg_1" => Some(message),
        _ => None,
    });
    let (stores, recalled) = (S3Access::default(), recalled());
    let input = QuestionInput {
        stores: &stores,
        restored: Some(&recalled),
        index: 0,
        betas: &[],
        text_of: no_tokens,
    };
    let profile = thinking();
    let question = Responses::question(&incoming, &profile, &input).unwrap();
    let sent = serde_json::to_value(&question.body).unwrap();
    let thought =
        json!({ "reasoningContent": { "reasoningText": { "text": "Hm.", "signature": "c2ln" } } });
    assert_eq!(sent["messages"][1]["content"], json!([thought, { "text": "One." }, thought]));
}

#[test]
fn limits_hold_for_tools_from_every_place() {
    let many: Vec<Value> =
        (0..1_025).map(|at| json!({ "type": "function", "name": format!("f{at}") })).collect();
    let large = json!({ "type": "function", "name": "f", "parameters": { "description": "x".repeat(300_000) } });
    let with = |tools: Value| {
        json!({ "model": "m", "input": [
        { "type": "additional_tools", "tools": tools }, { "role": "user", "content": "x" },
    ] })
    };
    assert_eq!(refused(&with(json!(many))).param.as_deref(), Some("tools"));
    let within = json!([{ "type": "namespace", "name": "n", "tools": [large] }]);
    assert_eq!(
        refused(&with(within)).param.as_deref(),
        Some("input[0].tools[0].tools[0].parameters")
    );
}

/// A dry run shows the call, and not what only the model may read.
#[test]
fn reasoning_out_of_a_capsule_is_veiled_in_a_dry_run() {
    let sealed = "oc1.glass:reasoning:{\"t\":[\"secret\",\"c2ln\"],\"f\":\"unknown\"}";
    let request = json!({ "model": "m", "input": [
        { "role": "user", "content": "x" },
        { "type": "reasoning", "summary": [], "encrypted_content": sealed },
        { "role": "assistant", "content": "y" }, { "role": "user", "content": "z" },
    ] })
    .to_string();
    let incoming: IncomingRequest<'_> = serde_json::from_str(&request).unwrap();
    let (stores, mut recalled, profile) = (S3Access::default(), recalled(), thinking());
    recalled.veil();
    let input = QuestionInput {
        stores: &stores,
        restored: Some(&recalled),
        index: 0,
        betas: &[],
        text_of: no_tokens,
    };
    let question = Responses::question(&incoming, &profile, &input).unwrap();
    let sent = serde_json::to_string(&question.body).unwrap();
    assert!(sent.contains("reasoningContent") && !sent.contains("secret"), "{sent}");
}

#[test]
fn links_are_found_in_messages_and_outputs_and_filled() {
    let request = json!({ "model": "m", "input": [
        { "role": "user", "content": [
            { "type": "input_image", "image_url": "https://example.com/a.png" },
            { "type": "input_file", "file_url": "https://example.com/b.pdf" },
        ] },
        { "type": "function_call", "call_id": "c", "name": "f", "arguments": "{}" },
        { "type": "function_call_output", "call_id": "c", "output": [
            { "type": "input_image", "image_url": "https://example.com/c.png" },
        ] },
    ] })
    .to_string();
    let mut incoming: IncomingRequest<'_> = serde_json::from_str(&request).unwrap();
    let paths: Vec<String> =
        Responses::links(&incoming, 9).into_iter().map(|(_, path)| path).collect();
    assert_eq!(
        paths,
        [
            "input[0].content[0].image_url",
            "input[0].content[1].file_url",
            "input[2].output[0].image_url",
        ]
    );
    Responses::fill_links(&mut incoming, &|_| Some("data:;base64,AAAA"));
    assert!(Responses::links(&incoming, 9).is_empty());
}

/// OpenAI's own computer is a function to other models, in history as well.
#[test]
fn calls_of_the_computer_are_calls_of_a_function() {
    let screenshot =
        json!({ "type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo=" });
    let sent = body(&json!({ "model": "m", "input": [
        { "role": "user", "content": "Look." },
        { "type": "computer_call", "id": "cu_1", "call_id": "call_1", "actions": [{ "type": "screenshot" }] },
        { "type": "computer_call_output", "call_id": "call_1", "output": [screenshot] },
    ] }));
    let call = &sent["messages"][1]["content"][0]["toolUse"];
    assert_eq!(call["name"], "computer");
    let result = &sent["messages"][2]["content"][0]["toolResult"];
    assert_eq!(call["toolUseId"], result["toolUseId"]);
    assert!(result["content"][0]["image"].is_object(), "{sent}");
}
