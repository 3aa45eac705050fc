//! Embeddings of images, audio and video: content parts in `input`, and data URLs as texts.

use emulator::Call;
use http::Method;
use serde_json::{Value, json};

use super::rig::{Received, Rig};

const PNG: &str = "iVBORw0KGgo=";
const TITAN: &str = "amazon.titan-embed-image-v1";
const NOVA: &str = "amazon.nova-2-multimodal-embeddings-v1:0";

fn image() -> Value {
    json!({ "type": "image_url", "image_url": { "url": format!("data:image/png;base64,{PNG}") } })
}

async fn embed(rig: &Rig, model: &str, input: &Value) -> Received {
    rig.emulator.journal().clear();
    let body = json!({ "model": model, "input": input });
    rig.send(Method::POST, "/v1/embeddings", body.to_string().into()).await
}

fn calls(rig: &Rig) -> Vec<Value> {
    rig.emulator.journal().calls().into_iter().map(|Call { body, .. }| body).collect()
}

#[actix_rt::test]
async fn each_model_is_given_an_image_in_its_own_form() {
    let rig = Rig::start("").await;
    let url = format!("data:image/png;base64,{PNG}");
    let nova = json!({ "taskType": "SINGLE_EMBEDDING", "singleEmbeddingParams": {
        "embeddingPurpose": "GENERIC_INDEX", "image": { "format": "png", "source": { "bytes": PNG } } } });
    let fourth = json!({ "inputs": [{ "content": [{ "type": "image_url", "image_url": { "url": url } }] }],
        "input_type": "search_document" });
    for (model, body) in [
        (TITAN, json!({ "inputImage": PNG })),
        ("cohere.embed-english-v3", json!({ "images": [url], "input_type": "image" })),
        ("us.cohere.embed-v4:0", fourth),
        (NOVA, nova),
        (
            "us.twelvelabs.marengo-embed-3-0-v1:0",
            json!({ "inputType": "image", "image": { "mediaSource": { "base64String": PNG } } }),
        ),
    ] {
        for input in [json!([image()]), json!(url), json!([url])] {
            let answer = embed(&rig, model, &input).await;
            assert_eq!(answer.status, 200, "{model} {input}: {:?}", answer.body);
            assert!(answer.json()["data"][0]["embedding"].as_array().unwrap().len() > 100);
            assert_eq!(calls(&rig), std::slice::from_ref(&body), "{model} {input}");
        }
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn texts_and_images_of_a_request_keep_their_order_and_their_prices() {
    let rig = Rig::start("embeddings: { concurrency: 1 }\n").await;
    let answer = embed(
        &rig,
        TITAN,
        &json!(["granite", image(), { "content": [{ "type": "text", "text": "slate" }, image()] }]),
    )
    .await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    let data = answer.json()["data"].clone();
    assert_eq!(data.as_array().unwrap().len(), 3);
    assert_eq!(data[2]["index"], 2);
    let sent = calls(&rig);
    assert_eq!(sent[0], json!({ "inputText": "granite" }));
    assert_eq!(sent[1], json!({ "inputImage": PNG }));
    assert_eq!(sent[2], json!({ "inputText": "slate", "inputImage": PNG }));
    // Two images at 0.00006 dollars, and a few tokens.
    let cost: f64 = answer.header("x-outcrop-cost-usd").unwrap().parse().unwrap();
    assert!((0.00012..0.0002).contains(&cost), "{cost}");
    rig.stop().await;
}

#[actix_rt::test]
async fn audio_and_video_are_embedded_without_a_cost() {
    let rig = Rig::start("").await;
    let audio =
        json!({ "type": "input_audio", "input_audio": { "data": "UklGRg==", "format": "wav" } });
    let video =
        json!({ "type": "video_url", "video_url": { "url": "data:video/mp4;base64,AAAA" } });
    for (input, member, content) in [
        (audio.clone(), "audio", json!({ "format": "wav", "source": { "bytes": "UklGRg==" } })),
        (
            video,
            "video",
            json!({ "format": "mp4", "source": { "bytes": "AAAA" }, "embeddingMode": "AUDIO_VIDEO_COMBINED" }),
        ),
    ] {
        let answer = embed(&rig, NOVA, &json!([input])).await;
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        assert_eq!(calls(&rig)[0]["singleEmbeddingParams"][member], content);
        assert_eq!(answer.header("x-outcrop-cost-usd"), None, "seconds are not known");
    }
    let refused = embed(&rig, TITAN, &json!([audio])).await;
    assert_eq!((refused.status, &refused.json()["error"]["param"]), (400, &json!("input[0]")));
    rig.stop().await;
}

#[actix_rt::test]
async fn what_cannot_be_embedded_is_refused_by_its_place() {
    let rig = Rig::start("").await;
    let linked = json!({ "type": "image_url", "image_url": "https://example.com/a.png" });
    let large = format!("data:image/png;base64,{}", "A".repeat(8 * 1024 * 1024));
    for (model, input, param) in [
        ("amazon.titan-embed-text-v2:0", json!([image()]), "input[0]"),
        (TITAN, json!(["a", linked]), "input[1].image_url"),
        (TITAN, json!([{ "type": "file" }]), "input[0].type"),
        (TITAN, json!([{ "content": [image(), image()] }]), "input[0].content[1]"),
        (TITAN, json!([{ "type": "text", "text": " " }]), "input[0]"),
        (NOVA, json!([{ "content": [{ "type": "text", "text": "a" }, image()] }]), "input[0]"),
        (NOVA, json!(["data:image/bmp;base64,AAAA"]), "input[0]"),
        ("cohere.embed-english-v3", json!([large]), "input[0]"),
        (TITAN, json!(["data:image/png;base64,=?="]), "input[0]"),
    ] {
        let refused = embed(&rig, model, &input).await;
        assert_eq!(
            (refused.status, &refused.json()["error"]["param"]),
            (400, &json!(param)),
            "{model} {param}"
        );
        assert!(calls(&rig).is_empty());
    }
    // To a model of texts a data URL is a text.
    let text =
        embed(&rig, "amazon.titan-embed-text-v2:0", &json!("data:image/png;base64,AAAA")).await;
    assert_eq!(text.status, 200);
    rig.stop().await;
}
