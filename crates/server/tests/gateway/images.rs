//! Images: sizes, formats, several of them, costs, filters, edits by form and by JSON, masks, refusals.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use emulator::Step;
use http::Method;
use serde_json::{Value, json};

use super::audio::form;
use super::rig::{Received, Rig};

const CORE: &str = "stability.stable-image-core-v1:1";
const SD: &str = "stability.sd3-5-large-v1:0";
const GENERATIONS: &str = "/v1/images/generations";
const EDITS: &str = "/v1/images/edits";
const FORM: (&str, &str) = ("content-type", "multipart/form-data; boundary=xYzZY");

fn ask(more: Value) -> Value {
    let mut request = json!({ "model": CORE, "prompt": "A basalt column" });
    let Value::Object(more) = more else { panic!("{more}") };
    request.as_object_mut().unwrap().extend(more);
    request
}

async fn generate(rig: &Rig, more: Value) -> Received {
    rig.send(Method::POST, GENERATIONS, ask(more).to_string().into()).await
}

/// The bodies that the emulator received.
fn bodies(rig: &Rig) -> Vec<Value> {
    rig.emulator.journal().calls().into_iter().map(|call| call.body).collect()
}

#[actix_rt::test]
async fn an_image_has_the_proportions_of_its_size() {
    let rig = Rig::start("").await;
    for (size, ratio, served) in [
        (json!("1024x1024"), json!("1:1"), "8x8"),
        (json!("1792x1024"), json!("16:9"), "128x72"),
        (json!("1024x1536"), json!("2:3"), "16x24"),
        (json!("1000x3000"), json!("9:21"), "72x168"),
        (json!("5:4"), json!("5:4"), "40x32"),
        (json!("auto"), Value::Null, "8x8"),
        (Value::Null, Value::Null, "8x8"),
    ] {
        rig.emulator.journal().clear();
        let answer = generate(&rig, json!({ "size": size })).await;
        let json = answer.json();
        assert_eq!((answer.status, &json["size"]), (200, &json!(served)), "{json}");
        assert_eq!(bodies(&rig)[0].get("aspect_ratio").unwrap_or(&Value::Null), &ratio);
        let image = STANDARD.decode(json["data"][0]["b64_json"].as_str().unwrap()).unwrap();
        assert!(image.starts_with(b"\x89PNG"));
        assert!(json["created"].as_u64().is_some_and(|at| at > 1_700_000_000));
        assert_eq!(json["output_format"], "png");
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn several_images_are_several_calls_and_each_has_a_price() {
    let rig = Rig::start("").await;
    let answer = generate(
        &rig,
        json!({ "n": 3, "seed": 5, "negative_prompt": "people", "quality": "hd", "user": "u" }),
    )
    .await;
    assert_eq!(answer.json()["data"].as_array().unwrap().len(), 3);
    assert_eq!(answer.header("x-outcrop-cost-usd"), Some("0.12"));
    assert_eq!(answer.header("x-outcrop-attempts"), Some("3"));
    assert_eq!(answer.header("x-outcrop-ignored"), Some("quality, user"));
    let mut seeds: Vec<u64> =
        bodies(&rig).iter().map(|body| body["seed"].as_u64().unwrap()).collect();
    seeds.sort_unstable();
    assert_eq!(seeds, [5, 6, 7]);
    assert!(bodies(&rig).iter().all(|body| body["negative_prompt"] == "people"));
    let data = answer.json()["data"].clone();
    assert_ne!(data[0]["b64_json"], data[1]["b64_json"], "another seed, another image");
    rig.stop().await;
}

#[actix_rt::test]
async fn images_are_returned_as_asked() {
    let rig = Rig::start("").await;
    let url =
        generate(&rig, json!({ "response_format": "url", "output_format": "webp" })).await.json();
    assert!(url["data"][0]["url"].as_str().unwrap().starts_with("data:image/webp;base64,iVBOR"));
    assert_eq!(url["data"][0].get("b64_json"), None);
    let png = generate(&rig, json!({ "model": SD, "output_format": "webp" })).await;
    assert_eq!(png.header("x-outcrop-ignored"), Some("output_format"));
    assert_eq!(
        (&png.json()["output_format"], &bodies(&rig)[1]["mode"]),
        (&json!("png"), &json!("text-to-image"))
    );
    let stream = generate(&rig, json!({ "stream": true, "partial_images": 2 })).await;
    assert_eq!(stream.header("content-type"), Some("text/event-stream; charset=utf-8"));
    assert_eq!(stream.header("x-outcrop-ignored"), Some("partial_images"));
    let text = String::from_utf8(stream.body.to_vec()).unwrap();
    let data = text.strip_prefix("event: image_generation.completed\ndata: ").unwrap();
    let event: Value = serde_json::from_str(data.trim_end()).unwrap();
    assert_eq!(event["type"], "image_generation.completed");
    assert!(event["b64_json"].as_str().unwrap().starts_with("iVBOR"));
    rig.stop().await;
}

#[actix_rt::test]
async fn filtered_images_are_told_and_cost_nothing() {
    let rig = Rig::start("").await;
    let filtered = || {
        let body = json!({ "seeds": [1], "finish_reasons": ["Filter reason: prompt"] }).to_string();
        Step::Text { body, headers: [].into() }
    };
    rig.emulator.script().push(filtered());
    let refused = generate(&rig, json!({})).await;
    let error = &refused.json()["error"];
    assert_eq!((refused.status, &error["code"]), (400, &json!("content_policy_violation")));
    assert!(error["message"].as_str().unwrap().contains("Filter reason: prompt"), "{error}");
    rig.emulator.script().push(filtered());
    let answer = generate(&rig, json!({ "n": 2 })).await;
    let json = answer.json();
    assert_eq!(json["data"].as_array().unwrap().len(), 1);
    assert_eq!(json["outcrop"]["filtered"], json!(["Filter reason: prompt"]));
    assert_eq!(answer.header("x-outcrop-cost-usd"), Some("0.04"));
    for body in ["{}", "[]", r#"{"images":[""]}"#] {
        rig.emulator.script().push(Step::Text { body: body.to_owned(), headers: [].into() });
        let unread = generate(&rig, json!({})).await;
        assert_eq!(
            (unread.status, &unread.json()["error"]["code"]),
            (502, &json!("upstream_unreadable"))
        );
    }
    rig.stop().await;
}

/// A PNG of two pixels, the first of which is transparent.
fn mask() -> Vec<u8> {
    STANDARD.decode("iVBORw0KGgoAAAANSUhEUgAAAAIAAAABCAYAAAD0In+KAAAAEUlEQVR4nGPg5ORkYGdn/w8AAgQBMLXSgN8AAAAASUVORK5CYII=").unwrap()
}

async fn edit(rig: &Rig, fields: &[(&str, &str)], files: &[(&str, &str, &[u8])]) -> Received {
    rig.send_with(&[FORM], Method::POST, EDITS, form(fields, files)).await
}

#[actix_rt::test]
async fn each_service_gets_its_own_fields() {
    let rig = Rig::start("").await;
    let image = ("image", "a.png", &mask()[..]);
    for (service, extra, expected) in [
        (
            "stable-image-inpaint",
            vec![("grow_mask", "5")],
            json!({ "prompt": "p", "grow_mask": 5 }),
        ),
        (
            "stable-outpaint",
            vec![("left", "9"), ("creativity", "0.5")],
            json!({ "prompt": "p", "left": 9, "creativity": 0.5 }),
        ),
        ("stable-image-erase-object", vec![("seed", "3")], json!({ "seed": 3 })),
        (
            "stable-image-search-replace",
            vec![("search_prompt", "cat")],
            json!({ "prompt": "p", "search_prompt": "cat" }),
        ),
        (
            "stable-image-search-recolor",
            vec![("select_prompt", "hat")],
            json!({ "prompt": "p", "select_prompt": "hat" }),
        ),
        ("stable-image-remove-background", vec![], json!({})),
        ("stable-fast-upscale", vec![], json!({})),
        (
            "stable-conservative-upscale",
            vec![("creativity", "0.2")],
            json!({ "prompt": "p", "creativity": 0.2 }),
        ),
        ("stable-creative-upscale", vec![], json!({ "prompt": "p" })),
        (
            "stable-image-control-sketch",
            vec![("control_strength", "0.7")],
            json!({ "prompt": "p", "control_strength": 0.7 }),
        ),
        ("stable-image-control-structure", vec![], json!({ "prompt": "p" })),
        (
            "stable-image-style-guide",
            vec![("fidelity", "0.4"), ("size", "1536x1024")],
            json!({ "prompt": "p", "fidelity": 0.4, "aspect_ratio": "3:2" }),
        ),
    ] {
        rig.emulator.journal().clear();
        let model = format!("us.stability.{service}-v1:0");
        let mut fields = vec![("model", model.as_str()), ("prompt", "p")];
        fields.extend(extra);
        let answer = edit(&rig, &fields, &[image]).await;
        assert_eq!(answer.status, 200, "{service} {:?}", answer.body);
        let reads = expected.get("prompt").is_some();
        assert_eq!(answer.header("x-outcrop-ignored"), (!reads).then_some("prompt"), "{service}");
        let [body] = bodies(&rig).try_into().unwrap();
        let Value::Object(mut members) = body else { panic!("{service}") };
        assert_eq!(members.remove("image"), Some(json!(STANDARD.encode(mask()))), "{service}");
        assert_eq!(members.remove("output_format"), Some(json!("png")));
        assert_eq!(Value::Object(members), expected, "{service}");
    }
    let transfer = edit(
        &rig,
        &[("model", "us.stability.stable-style-transfer-v1:0"), ("style_strength", "0.5")],
        &[("image[]", "a.png", &mask()), ("image[]", "b.png", b"other")],
    )
    .await;
    assert_eq!(transfer.status, 200, "{:?}", transfer.body);
    let body = bodies(&rig).pop().unwrap();
    assert_eq!(body["style_image"], STANDARD.encode(b"other"));
    assert_eq!(body["init_image"], STANDARD.encode(mask()));
    rig.stop().await;
}

#[actix_rt::test]
async fn masks_become_white_where_they_are_transparent() {
    let rig = Rig::start("").await;
    let fields = [("model", "us.stability.stable-image-inpaint-v1:0"), ("prompt", "a stone")];
    let files = [("image", "a.png", &mask()[..]), ("mask", "m.png", &mask()[..])];
    let answer = edit(&rig, &fields, &files).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    let sent = bodies(&rig)[0]["mask"].as_str().unwrap().to_owned();
    let sent = STANDARD.decode(sent).unwrap();
    assert_eq!((&sent[..4], sent[25]), (&b"\x89PNG"[..], 0), "a PNG of greys");
    assert_ne!(sent, mask());
    let plain = [("image", "a.png", &mask()[..]), ("mask", "m.jpg", &b"\xff\xd8\xff"[..])];
    edit(&rig, &fields, &plain).await;
    assert_eq!(bodies(&rig)[1]["mask"], STANDARD.encode(b"\xff\xd8\xff"));
    rig.stop().await;
}

#[actix_rt::test]
async fn edits_are_taken_as_json_too() {
    let rig = Rig::start("").await;
    let url = format!("data:image/png;base64,{}", STANDARD.encode(mask()));
    for images in [json!({ "images": [{ "image_url": url }] }), json!({ "image": url })] {
        let mut request = ask(json!({ "model": SD }));
        request.as_object_mut().unwrap().extend(images.as_object().unwrap().clone());
        let answer = rig.send(Method::POST, EDITS, request.to_string().into()).await;
        assert_eq!(answer.status, 200, "{:?}", answer.body);
    }
    let body = &bodies(&rig)[0];
    assert_eq!((&body["mode"], &body["strength"]), (&json!("image-to-image"), &json!(0.7)));
    rig.stop().await;
}

#[actix_rt::test]
async fn what_cannot_be_made_is_refused_with_its_place() {
    let rig = Rig::start("").await;
    for (more, param, code) in [
        (json!({ "prompt": " " }), "prompt", "missing_required_parameter"),
        (json!({ "prompt": "x".repeat(10_001) }), "prompt", "string_above_max_length"),
        (json!({ "n": 0 }), "n", "integer_below_min_value"),
        (json!({ "n": 11 }), "n", "integer_above_max_value"),
        (json!({ "n": 2, "stream": true }), "n", "invalid_value"),
        (json!({ "size": "large" }), "size", "invalid_value"),
        (json!({ "size": "0x9" }), "size", "invalid_value"),
        (json!({ "output_format": "gif" }), "output_format", "invalid_value"),
        (json!({ "response_format": "file" }), "response_format", "invalid_value"),
        (json!({ "seed": -1 }), "seed", "invalid_value"),
        (json!({ "model": "us.amazon.nova-lite-v1:0" }), "model", "model_not_supported"),
        (json!({ "model": "us.stability.stable-outpaint-v1:0" }), "model", "model_not_supported"),
    ] {
        let answer = generate(&rig, more.clone()).await;
        let error = &answer.json()["error"];
        let found = (answer.status, error["param"].as_str(), error["code"].as_str());
        assert_eq!(found, (400, Some(param), Some(code)), "{more} {error}");
    }
    let image = ("image", "a.png", &mask()[..]);
    let broken = STANDARD.decode("iVBORw0KGgoAAAAN").unwrap();
    let us = |service: &str| format!("us.stability.{service}-v1:0");
    for (model, files, param, code) in [
        (CORE.to_owned(), vec![image], "model", "model_not_supported"),
        (us("stable-image-inpaint"), vec![], "image", "missing_required_parameter"),
        (us("stable-image-inpaint"), vec![image, image], "image", "array_above_max_length"),
        (
            us("stable-image-inpaint"),
            vec![image, ("mask", "m.png", &broken[..])],
            "mask",
            "invalid_image_format",
        ),
        (
            us("stable-image-control-sketch"),
            vec![image, ("mask", "m.png", &mask()[..])],
            "mask",
            "unsupported_parameter",
        ),
        (
            us("stable-image-search-replace"),
            vec![image],
            "search_prompt",
            "missing_required_parameter",
        ),
        (us("stable-outpaint"), vec![image], "left", "missing_required_parameter"),
        (us("stable-style-transfer"), vec![image], "style_image", "missing_required_parameter"),
    ] {
        let answer = edit(&rig, &[("model", &model), ("prompt", "p")], &files).await;
        let error = &answer.json()["error"];
        let found = (answer.status, error["param"].as_str(), error["code"].as_str());
        assert_eq!(found, (400, Some(param), Some(code)), "{model} {error}");
    }
    assert!(rig.emulator.journal().calls().is_empty(), "something was sent all the same");
    let text =
        rig.send_with(&[("content-type", "text/plain")], Method::POST, EDITS, Bytes::new()).await;
    assert_eq!(text.status, 415);
    rig.stop().await;
}

#[actix_rt::test]
async fn a_dry_run_shows_every_call_of_several_images() {
    let rig = Rig::start("").await;
    let dry = [("x-outcrop-dry-run", "true")];
    let body = ask(json!({ "n": 2, "seed": 1 })).to_string().into();
    let shown = rig.send_with(&dry, Method::POST, GENERATIONS, body).await.json();
    assert_eq!(shown["calls"][1]["body"]["seed"], 2, "{shown}");
    assert!(rig.emulator.journal().calls().is_empty());
    rig.stop().await;
}
