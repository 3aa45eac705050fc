//! Estimates the tokens of a call before it is made; they are reserved in its target's quota until the
//! actual usage is known. Bedrock counts the same way: the input, and the most that the model may
//! write.

use bytes::Bytes;
use serde::Deserialize;
use translate::dialect::RequestHead;

use routing::{Tokens, Written};

/// Tokens set aside for an answer whose length nobody limits.
const UNSAID: u64 = 4096;
/// Tokens of an image or of one or two pages. The size in bytes says little about them.
const MEDIUM: u64 = 1500;

/// Approximate tokens of a request of `length` bytes: four bytes each, plus the answer's limit.
pub(crate) fn of_request(head: &RequestHead, length: usize) -> Tokens {
    let media = head.media.count.saturating_mul(MEDIUM);
    let read = estimate(length.saturating_sub(head.media.bytes)).saturating_add(media);
    Tokens { read, written: head.max_tokens.map_or(Written::Otherwise(UNSAID), Written::UpTo) }
}

/// Tokens of a native call. Used only if the target counts tokens, because reading the body takes time.
pub(crate) fn of_native(body: &Bytes) -> Tokens {
    let said: Said = serde_json::from_slice(body).unwrap_or_default();
    let written = said.inference.and_then(|inference| inference.max_tokens).or(said.max_tokens);
    // Parameters of a target are for requests that are translated: these bodies pass as they are.
    Tokens { read: estimate(body.len()), written: Written::UpTo(written.unwrap_or(UNSAID)) }
}

/// Approximate tokens of text of so many bytes.
pub(crate) fn estimate(bytes: usize) -> u64 {
    u64::try_from(bytes / 4).unwrap_or(u64::MAX)
}

/// The fields for the answer's limit: in Converse and similar bodies, and in most of InvokeModel.
#[derive(Debug, Default, Deserialize)]
struct Said {
    #[serde(rename = "inferenceConfig")]
    inference: Option<Inference>,
    max_tokens: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Inference {
    #[serde(rename = "maxTokens")]
    max_tokens: Option<u64>,
}

#[cfg(test)]
mod tests {
    use translate::chat::Chat;
    use translate::dialect::Dialect;

    use super::*;

    fn chat(json: &str) -> u64 {
        used(of_request(&Chat::head(&serde_json::from_str(json).unwrap()), json.len()))
    }

    fn used(Tokens { read, written }: Tokens) -> u64 {
        let (Written::UpTo(most) | Written::Otherwise(most)) = written else { return read };
        read.saturating_add(most)
    }

    #[test]
    fn input_and_answer_limit_are_reserved() {
        let text = "granite ".repeat(500);
        let asked = |more: &str| {
            chat(&format!(
                r#"{{"model":"m","messages":[{{"role":"user","content":"{text}"}}]{more}}}"#
            ))
        };
        for (more, written) in [
            ("", UNSAID),
            (r#","max_tokens":10"#, 10),
            (r#","max_tokens":10,"max_completion_tokens":20"#, 20),
        ] {
            assert!((1000..1040).contains(&(asked(more) - written)), "{more}");
        }
        assert!(asked(r#","max_tokens":9223372036854775807"#) > u64::MAX / 4);
    }

    #[test]
    fn images_are_not_counted_by_their_bytes() {
        let picture = "A".repeat(4_000_000);
        let tokens = chat(&format!(
            r#"{{"model":"m","max_tokens":0,"messages":[{{"role":"user","content":[{{"type":"text","text":"?"}},{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{picture}"}}}}]}}]}}"#
        ));
        assert!((MEDIUM..MEDIUM + 100).contains(&tokens), "{tokens}");
    }

    #[test]
    fn native_bodies_are_estimated_too() {
        for (body, written) in [
            (r#"{"messages":[],"inferenceConfig":{"maxTokens":77}}"#, 77),
            (r#"{"anthropic_version":"x","max_tokens":66,"messages":[]}"#, 66),
            (r#"{"messages":[],"inferenceConfig":{}}"#, UNSAID),
            (r#"{"max_tokens":"many"}"#, UNSAID),
            ("no JSON", UNSAID),
        ] {
            let tokens = used(of_native(&Bytes::from(body)));
            assert_eq!(tokens, estimate(body.len()) + written, "{body}");
        }
    }
}
