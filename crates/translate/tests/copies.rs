//! Memory that a request with a large image takes besides its body: every request with an image
//! pays for a copy of it.
#![allow(clippy::unwrap_used, missing_docs)]

use allocation_counter::measure;
use schema::openai::chat::ChatRequest;
use translate::Profile;
use translate::chat::question;

#[path = "support/picture.rs"]
mod picture;

use picture::picture;

/// Allowance for everything but the image: text, names, the parts themselves.
const REST: u64 = 64 * 1024;
/// Allowed growth of a body in translation, in bytes.
const ROOM: usize = 1024;

#[test]
fn an_image_is_copied_only_into_the_sent_body() {
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
    // As the gateway writes it: into a buffer slightly larger than the request.
    let mut sent = Vec::new();
    let written = measure(|| {
        sent = Vec::with_capacity(body.len() + ROOM);
        serde_json::to_writer(&mut sent, &question.body).unwrap();
    });
    println!("written: {written:?}");
    assert!(sent.len() as u64 >= size - 1024, "the image goes out");
    assert!(written.bytes_total <= size + REST, "one copy: {written:?}");
}
