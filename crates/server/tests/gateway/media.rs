//! Images, files, audio and video through the whole gateway: content that reaches the model, content
//! refused by the gateway, and URLs fetched only if the operator allows it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::rig::Rig;

const NOVA: &str = "us.amazon.nova-lite-v1:0";
const CLAUDE: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";
const VOXTRAL: &str = "mistral.voxtral-small-24b-2507";
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n1234";

fn data(mime: &str, bytes: &[u8]) -> String {
    format!("data:{mime};base64,{}", STANDARD.encode(bytes))
}

fn image(url: &str) -> Value {
    json!({ "type": "image_url", "image_url": { "url": url } })
}

fn file(name: &str, bytes: &[u8]) -> Value {
    json!({ "type": "file", "file": { "filename": name, "file_data": data("application/pdf", bytes) } })
}

fn ask(model: &str, parts: &[Value]) -> Value {
    json!({ "model": model, "messages": [{ "role": "user", "content": parts }] })
}

fn names(body: &Value) -> Vec<String> {
    let messages = body["messages"].as_array().unwrap().iter();
    let blocks = messages.flat_map(|message| message["content"].as_array().unwrap());
    blocks.filter_map(|block| Some(block["document"]["name"].as_str()?.to_owned())).collect()
}

#[actix_rt::test]
async fn files_keep_their_names_from_turn_to_turn() {
    let rig = Rig::start("").await;
    let first = json!({ "role": "user", "content": [file("John's  report.v2.pdf", b"%PDF-1.4 a"), file("notes.md", b"# Ore")] });
    let second =
        json!({ "role": "user", "content": [file("John's  report.v2.pdf", b"%PDF-1.4 b")] });
    let turns =
        [json!([first]), json!([first, { "role": "assistant", "content": "Read." }, second])];
    for messages in &turns {
        let answer = rig.chat(&json!({ "model": CLAUDE, "messages": messages })).await;
        assert_eq!(answer.status, 200, "{:?}", answer.json());
    }
    let calls = rig.emulator.journal().calls();
    let (before, after) = (names(&calls[0].body), names(&calls[1].body));
    assert_eq!(before, ["Johns report-v2 (pdf)", "notes (md)"]);
    assert_eq!(after[..2], before);
    assert!(after[2].starts_with("Johns report-v2 ") && after[2].ends_with(" (pdf)"), "{after:?}");
    assert_eq!(calls[0].body.pointer("/messages/0/content/2/document/format"), Some(&json!("md")));
    rig.stop().await;
}

#[actix_rt::test]
async fn every_model_gets_only_the_media_it_reads() {
    let rig = Rig::start("").await;
    let text = json!({ "type": "text", "text": "What is it?" });
    let sound = json!({ "type": "input_audio", "input_audio": { "data": STANDARD.encode(b"RIFF\x24\0\0\0WAVEfmt "), "format": "wav" } });
    let clip = json!({ "type": "video_url", "video_url": { "url": data("video/mp4", b"\0\0\0\x18ftypisom\0\0\0\0") } });
    let (picture, pdf, notes) =
        (image(&data("image/png", PNG)), file("a.pdf", b"%PDF-1.4"), file("a.md", b"# Ore"));
    for (model, part, field) in [
        (NOVA, &picture, None),
        (NOVA, &pdf, None),
        (NOVA, &clip, None),
        (NOVA, &sound, Some("input_audio.data")),
        (CLAUDE, &picture, None),
        (CLAUDE, &pdf, None),
        (CLAUDE, &clip, Some("video_url.url")),
        (VOXTRAL, &sound, None),
        (VOXTRAL, &picture, Some("image_url.url")),
        (VOXTRAL, &pdf, Some("file.file_data")),
        (VOXTRAL, &notes, None),
        ("us.amazon.nova-micro-v1:0", &picture, Some("image_url.url")),
    ] {
        let before = rig.emulator.journal().calls().len();
        let answer = rig.chat(&ask(model, &[text.clone(), part.clone()])).await;
        let told = answer.json();
        match field {
            None => assert_eq!(answer.status, 200, "{model} {part}: {told}"),
            Some(field) => {
                assert_eq!(answer.status, 400, "{model} {part}: {told}");
                assert_eq!(told["error"]["param"], format!("messages[0].content[1].{field}"));
                assert_eq!(told["error"]["code"], "unsupported_modality");
                assert_eq!(rig.emulator.journal().calls().len(), before, "Bedrock is not asked");
            }
        }
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn tools_return_media_to_every_family() {
    let rig = Rig::start("").await;
    for (model, inside) in [
        (CLAUDE, 2),
        (NOVA, 1),
        ("us.openai.gpt-5.4", 0),
        ("us.mistral.pixtral-large-2502-v1:0", 1),
    ] {
        let request = json!({ "model": model, "messages": [
            { "role": "user", "content": "Show me" },
            { "role": "assistant", "content": null, "tool_calls": [{ "id": "c1", "type": "function", "function": { "name": "snap", "arguments": "{}" } }] },
            { "role": "tool", "tool_call_id": "c1", "content": [image(&data("image/png", PNG)), file("ore.pdf", b"%PDF-1.4")] },
        ], "tools": [{ "type": "function", "function": { "name": "snap", "parameters": { "type": "object" } } }] });
        let answer = rig.chat(&request).await;
        assert_eq!(answer.status, 200, "{model}: {}", answer.json());
        let body = rig.last_call().body;
        let media = |block: &&Value| block.get("image").or(block.get("document")).is_some();
        let turn = &body["messages"][2]["content"];
        let within =
            turn[0]["toolResult"]["content"].as_array().unwrap().iter().filter(media).count();
        assert_eq!(within, inside, "{model}");
        let all = body["messages"].as_array().unwrap().iter();
        let beside =
            all.flat_map(|message| message["content"].as_array().unwrap()).filter(media).count();
        assert_eq!(within + beside, 2, "{model}: nothing is lost");
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn s3_objects_need_the_operators_permission() {
    let rig = Rig::start("").await;
    let url = "s3://pictures/in/ore.png";
    let refused = rig.chat(&ask(NOVA, &[image(url)])).await;
    assert_eq!(refused.status, 400);
    assert_eq!(refused.json()["error"]["param"], "messages[0].content[0].image_url.url");
    rig.stop().await;

    let yaml =
        "media: { s3_prefixes: [{ prefix: 's3://pictures/in/', bucket_owner: '123456789012' }] }\n";
    let rig = Rig::start(yaml).await;
    let answer = rig.chat(&ask(NOVA, &[image(url)])).await;
    assert_eq!(answer.status, 200, "{}", answer.json());
    let body = rig.last_call().body;
    assert_eq!(
        body["messages"][0]["content"][0]["image"],
        json!({ "format": "png", "source": { "s3Location": { "uri": url, "bucketOwner": "123456789012" } } })
    );
    for (model, url) in [(NOVA, "s3://pictures/out/ore.png"), (CLAUDE, url)] {
        assert_eq!(rig.chat(&ask(model, &[image(url)])).await.status, 400, "{model} {url}");
    }
    assert_eq!(rig.emulator.journal().calls().len(), 1);
    rig.stop().await;
}

#[actix_rt::test]
async fn links_are_fetched_only_if_the_operator_allows_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let origin = actix_rt::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let body = if head.starts_with(b"GET /a.png ") { PNG } else { b"%PDF-1.4" };
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            stream.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
        }
    });
    let parts = [
        image(&format!("http://127.0.0.1:{port}/a.png")),
        json!({ "type": "file", "file": { "file_url": format!("http://127.0.0.1:{port}/My%20ore.pdf?key=1") } }),
    ];
    let rig = Rig::start("").await;
    let off = rig.chat(&ask(NOVA, &parts)).await.json();
    assert!(off["error"]["message"].as_str().unwrap().contains("media.fetch"), "{off}");
    rig.stop().await;

    let rig =
        Rig::start(&format!("media: {{ fetch: true, allow_http: true, ports: [{port}] }}\n")).await;
    let private = rig.chat(&ask(NOVA, &parts)).await;
    assert_eq!(
        (private.status, &private.json()["error"]["code"]),
        (400, &json!("invalid_image_url"))
    );
    assert_eq!(private.json()["error"]["message"], "The URL could not be fetched.");
    rig.stop().await;

    let yaml = format!(
        "media: {{ fetch: true, allow_http: true, ports: [{port}], allow_private: [127.0.0.1/32] }}\n"
    );
    let rig = Rig::start(&yaml).await;
    let answer = rig.chat(&ask(NOVA, &parts)).await;
    assert_eq!(answer.status, 200, "{}", answer.json());
    let body = rig.last_call().body;
    assert_eq!(names(&body), ["My ore (pdf)"]);
    let content = &body["messages"][0]["content"];
    let picture = content.as_array().unwrap().iter().find_map(|block| block.get("image")).unwrap();
    assert_eq!(picture["source"]["bytes"], STANDARD.encode(PNG));
    rig.stop().await;
    origin.abort();
}
