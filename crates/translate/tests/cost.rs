//! The cost of a request is at most proportional to its size, in memory and in allocated bytes. The
//! latter stand for time and, unlike time, are the same on every machine.
#![allow(clippy::unwrap_used, missing_docs)]

use allocation_counter::{AllocationInfo, measure};
use schema::openai::chat::ChatRequest;
use serde_json::json;
use translate::Profile;
use translate::chat::question;

#[path = "support/shapes.rs"]
mod shapes;

use shapes::{SHAPES, Shape};

/// Small enough for a build without optimisations.
const BYTES: usize = 512 * 1024;
/// Most work for twice the bytes, as a factor.
const DOUBLED: f64 = 2.3;
/// Fixed allowance for any request, in bytes.
const REST: u64 = 256 * 1024;
/// Most memory for each byte of a request, at its peak: a block takes several times its few bytes
/// of JSON.
const MEMORY: u64 = 24;
/// The same where schemas are expanded, up to sixteenfold, and rewritten as values.
const WRITTEN_OUT: u64 = 100;

fn profile() -> Profile {
    serde_json::from_value(json!({
        "cache_points": "everywhere",
        "thinking": "native",
        "replay": "plain",
        "schema_references": "inlined",
    }))
    .unwrap()
}

/// The allocations of parsing, translating and writing a request.
fn cost(body: &str, profile: &Profile) -> AllocationInfo {
    measure(|| {
        let request: ChatRequest<'_> = serde_json::from_str(body).unwrap();
        if let Ok(question) = question(&request, profile) {
            let mut sent = Vec::with_capacity(body.len());
            serde_json::to_writer(&mut sent, &question.body).unwrap();
        }
    })
}

#[test]
fn no_shape_takes_more_than_a_linear_share() {
    let profile = profile();
    for Shape { name, of } in SHAPES {
        let [once, twice] = [BYTES, 2 * BYTES].map(|bytes| cost(&of(bytes), &profile));
        println!("{name}: {once:?}, {twice:?}");
        for (what, once, twice) in [
            ("bytes", once.bytes_total, twice.bytes_total),
            ("allocations", once.count_total, twice.count_total),
            ("memory", once.bytes_max, twice.bytes_max),
        ] {
            let (once, twice) = ((once + 256) as f64, twice as f64);
            assert!(twice <= DOUBLED * once, "{name}: {what} grow from {once} to {twice}");
        }
        let most = if name.contains("references") { WRITTEN_OUT } else { MEMORY };
        let peak = most * BYTES as u64 + REST;
        assert!(once.bytes_max <= peak, "{name}: {} of {BYTES}", once.bytes_max);
    }
}

#[test]
fn unknown_members_take_little_memory() {
    let body =
        SHAPES.iter().filter(|shape| shape.name.contains("unknown")).map(|shape| (shape.of)(BYTES));
    for body in body {
        let taken = cost(&body, &profile()).bytes_max - body.len() as u64;
        assert!(taken <= REST, "{taken} for {}", body.len());
    }
}

#[test]
fn tool_schemas_are_expanded_up_to_the_limit_of_a_body() {
    let body = SHAPES
        .iter()
        .find(|shape| shape.name.contains("references"))
        .map(|shape| (shape.of)(3_000_000));
    let body = body.unwrap();
    let request: ChatRequest<'_> = serde_json::from_str(&body).unwrap();
    let refused = question(&request, &profile()).unwrap_err();
    assert_eq!(refused.param.as_deref(), Some("tools"));
    assert!(
        refused.message.contains("25000000 bytes") && refused.message.contains("$ref"),
        "{refused}"
    );
    // A model that resolves references is sent the references.
    assert!(question(&request, &Profile::default()).is_ok());
}
