//! How much memory a request with a large image takes on its way through, besides the body it came in: a copy
//! of an image is paid for by every request that carries one.
#![allow(clippy::unwrap_used, missing_docs)]

use allocation_counter::measure;
use schema::openai::chat::ChatRequest;
use serde_json::json;
use translate::Profile;
use translate::chat::question;

/// What is no image: text, names, the parts themselves.
const REST: u64 = 64 * 1024;
/// What a body may grow by when it is translated.
const ROOM: usize = 1024;

/// A question about a picture of a million bytes.
fn picture() -> String {
    let data = format!("data:image/png;base64,iVBORw0KGgoA{}", "AAAA".repeat(333_333));
    json!({ "model": "m", "messages": [{ "role": "user", "content": [
        { "type": "text", "text": "What is this?" },
        { "type": "image_url", "image_url": { "url": data } },
    ] }] })
    .to_string()
}

#[test]
fn an_image_is_copied_into_the_body_that_goes_out_and_nowhere_else() {
    let body = picture();
    let size = body.len() as u64;
    let asked = measure(|| {
        let request: ChatRequest<'_> = serde_json::from_str(&body).unwrap();
        question(&request, &Profile::default()).unwrap();
    });
    println!("translated: {asked:?}");
    assert!(asked.bytes_total <= REST, "translation copies no image: {asked:?}");

    let request: ChatRequest<'_> = serde_json::from_str(&body).unwrap();
    let question = question(&request, &Profile::default()).unwrap();
    // As the gateway writes it: into a buffer of the size of what came in, and a little room.
    let mut sent = Vec::new();
    let written = measure(|| {
        sent = Vec::with_capacity(body.len() + ROOM);
        serde_json::to_writer(&mut sent, &question.body).unwrap();
    });
    println!("written: {written:?}");
    assert!(sent.len() as u64 >= size - 1024, "the image goes out");
    assert!(written.bytes_total <= size + REST, "one copy: {written:?}");
}
