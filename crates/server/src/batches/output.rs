//! The lines of a batch's output, in the shape of the API that made it.

use actix_web::body::to_bytes_limited;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use translate::dialect::ErrorDialect;

use super::state::{BatchApi, LineProblem};
use crate::error::GatewayError;
use crate::request_id::RequestId;

/// Longest body of an error, in bytes.
const ERROR: usize = 64 * 1024;

/// The result of a call as it is kept until the output is written.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredResult<'r> {
    status: u16,
    request_id: String,
    #[serde(borrow)]
    body: Option<&'r RawValue>,
}

/// What became of a line.
pub(super) enum LineEnd {
    /// It was answered, or refused, by an API.
    Response {
        status: u16,
        request_id: String,
        body: Bytes,
        ignored: Vec<String>,
    },
    /// It is no request.
    Bad(LineProblem),
    Cancelled,
    Expired,
}

impl StoredResult<'_> {
    /// The result as JSON. A body that is none becomes a text.
    pub(super) fn json(status: u16, request_id: &str, body: &[u8]) -> Vec<u8> {
        let raw: Option<&RawValue> = serde_json::from_slice(body).ok();
        let request_id = request_id.to_owned();
        let result = serde_json::to_vec(&StoredResult { status, request_id, body: raw });
        result.unwrap_or_default()
    }

    /// The end of the line that has this result.
    pub(super) fn end(json: &Bytes) -> Option<LineEnd> {
        let StoredResult { status, request_id, body }: StoredResult<'_> =
            serde_json::from_slice(json).ok()?;
        let body =
            body.map_or(Bytes::from_static(b"null"), |body| json.slice_ref(body.get().as_bytes()));
        Some(LineEnd::Response { status, request_id, body, ignored: Vec::new() })
    }
}

impl LineEnd {
    /// An error in the shape of the line's API.
    pub(super) async fn of_error(error: &GatewayError, dialect: ErrorDialect) -> Self {
        let request_id = RequestId::new().as_str().to_owned();
        let response = error.respond(dialect, &request_id);
        let status = response.status().as_u16();
        let body = to_bytes_limited(response.into_body(), ERROR).await;
        let body = body.ok().and_then(Result::ok).unwrap_or(Bytes::from_static(b"null"));
        Self::Response { status, request_id, body, ignored: Vec::new() }
    }

    /// Whether the line was answered.
    pub(super) fn is_answer(&self) -> bool {
        matches!(self, Self::Response { status: 200, .. })
    }

    /// Whether the line has come to an end, good or bad.
    pub(super) fn is_end(&self) -> bool {
        matches!(self, Self::Response { .. } | Self::Bad(_))
    }

    /// The line of the output, with a line break.
    pub(super) fn line(&self, api: BatchApi, custom_id: Option<&str>) -> Vec<u8> {
        let mut line = match api {
            BatchApi::OpenAi => self.openai(custom_id),
            BatchApi::Anthropic => self.anthropic(custom_id),
        };
        line.push(b'\n');
        line
    }

    fn openai(&self, custom_id: Option<&str>) -> Vec<u8> {
        let id = RequestId::new().as_str().replacen("req_", "batch_req_", 1);
        let failed = |code: &str, message: &str| {
            json!({
                "id": id, "custom_id": custom_id, "response": null,
                "error": { "code": code, "message": message },
            })
        };
        match self {
            Self::Response { status, request_id, body, ignored } => {
                let ignored = match ignored.is_empty() {
                    true => String::new(),
                    false => format!(",\"ignored\":{}", json!(ignored)),
                };
                let (id, custom_id, request_id) = (json!(id), json!(custom_id), json!(request_id));
                let head = format!(
                    "{{\"id\":{id},\"custom_id\":{custom_id},\"response\":{{\"status_code\":{status},\"request_id\":{request_id}{ignored},\"body\":"
                );
                [head.as_bytes(), body, b"},\"error\":null}"].concat()
            }
            Self::Bad(LineProblem { code, message, param, line }) => {
                let mut value = failed(code, message);
                value["error"]["param"] = json!(param);
                value["error"]["line"] = json!(line);
                value.to_string().into_bytes()
            }
            Self::Cancelled => {
                failed("batch_cancelled", "The batch was cancelled before this line was answered.")
                    .to_string()
                    .into_bytes()
            }
            Self::Expired => {
                failed("batch_expired", "The batch expired before this line was answered.")
                    .to_string()
                    .into_bytes()
            }
        }
    }

    fn anthropic(&self, custom_id: Option<&str>) -> Vec<u8> {
        let result = |result: Value| json!({ "custom_id": custom_id, "result": result });
        let value = match self {
            Self::Response { status, body, .. } => {
                let (kind, member) = match status {
                    200 => ("succeeded", "message"),
                    _ => ("errored", "error"),
                };
                let custom_id = json!(custom_id);
                let head = format!(
                    "{{\"custom_id\":{custom_id},\"result\":{{\"type\":\"{kind}\",\"{member}\":"
                );
                return [head.as_bytes(), body, b"}}"].concat();
            }
            Self::Bad(problem) => {
                result(json!({ "type": "errored", "error": { "type": "error", "error": {
                "type": "invalid_request_error", "message": problem.message,
            } } }))
            }
            Self::Cancelled => result(json!({ "type": "canceled" })),
            Self::Expired => result(json!({ "type": "expired" })),
        };
        value.to_string().into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(end: &LineEnd, api: BatchApi) -> Value {
        serde_json::from_slice(&end.line(api, Some("a\"b"))).unwrap()
    }

    #[test]
    fn each_end_has_its_line_in_both_apis() {
        let stored = StoredResult::json(200, "req_1", b"{\"z\": 1, \"a\": 2}");
        let answered = StoredResult::end(&stored.into()).unwrap();
        let line = read(&answered, BatchApi::OpenAi);
        assert_eq!((&line["custom_id"], &line["error"]), (&json!("a\"b"), &Value::Null));
        assert_eq!(
            line["response"],
            json!({ "status_code": 200, "request_id": "req_1", "body": { "z": 1, "a": 2 } })
        );
        let message = read(&answered, BatchApi::Anthropic);
        assert_eq!(
            message["result"],
            json!({ "type": "succeeded", "message": { "z": 1, "a": 2 } })
        );
        let problem = LineProblem { line: Some(3), ..LineProblem::of_file("invalid_url", "no") };
        let bad = LineEnd::Bad(problem);
        assert_eq!(read(&bad, BatchApi::OpenAi)["error"]["line"], 3);
        assert_eq!(read(&bad, BatchApi::Anthropic)["result"]["type"], "errored");
        assert_eq!(read(&LineEnd::Cancelled, BatchApi::OpenAi)["error"]["code"], "batch_cancelled");
        assert_eq!(read(&LineEnd::Expired, BatchApi::Anthropic)["result"]["type"], "expired");
        let text = StoredResult::end(&StoredResult::json(502, "req_2", b"<html>").into()).unwrap();
        assert_eq!(read(&text, BatchApi::OpenAi)["response"]["body"], Value::Null);
        assert!(!text.is_answer() && text.is_end() && answered.is_answer());
    }
}
