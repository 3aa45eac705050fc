//! The lines of a batch's file, read as they come from S3.

use bedrock::{Failure, UpstreamResponse};
use bytes::{Bytes, BytesMut};
use memchr::memchr;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::plans::BatchEndpoint;
use super::state::LineProblem;

/// Longest line, in bytes: that of a request, and a little for what is around it.
const LONGEST: usize = 27 * 1024 * 1024;

/// A file's lines. Blank ones are counted but not told.
pub(super) struct FileLines {
    answer: UpstreamResponse,
    pending: BytesMut,
    number: usize,
    is_over: bool,
}

/// A line and its number; the first is 1.
pub(super) struct FileLine {
    pub(super) number: usize,
    /// None where it is too long.
    pub(super) text: Option<Bytes>,
}

/// A request in a line.
pub(super) struct LineRequest {
    pub(super) custom_id: String,
    pub(super) body: Bytes,
}

/// A line that holds no request, with its own id if it has one.
pub(super) struct BadLine {
    pub(super) custom_id: Option<String>,
    pub(super) problem: LineProblem,
}

#[derive(Deserialize)]
struct Envelope<'l> {
    custom_id: Option<String>,
    method: Option<String>,
    url: Option<String>,
    #[serde(borrow)]
    body: Option<&'l RawValue>,
}

impl FileLines {
    pub(super) fn new(answer: UpstreamResponse) -> Self {
        Self { answer, pending: BytesMut::new(), number: 0, is_over: false }
    }

    /// The next line that is not blank.
    ///
    /// # Errors
    /// S3 does not send the rest.
    pub(super) async fn next(&mut self) -> Result<Option<FileLine>, Failure> {
        let mut searched = 0;
        // Of a line that is too long, the rest is skipped.
        let mut is_long = false;
        loop {
            if let Some(at) = memchr(b'\n', &self.pending[searched..]) {
                let text = self.pending.split_to(searched + at + 1).freeze();
                searched = 0;
                self.number += 1;
                if let Some(line) = self.line(text, std::mem::take(&mut is_long)) {
                    return Ok(Some(line));
                }
                continue;
            }
            if self.is_over {
                let text = self.pending.split().freeze();
                self.number += 1;
                return Ok(self.line(text, is_long));
            }
            searched = self.pending.len();
            if searched > LONGEST {
                self.pending.clear();
                (searched, is_long) = (0, true);
            }
            match self.answer.chunk().await? {
                Some(chunk) => self.pending.extend_from_slice(&chunk),
                None => self.is_over = true,
            }
        }
    }

    fn line(&self, text: Bytes, is_long: bool) -> Option<FileLine> {
        let is_blank = !is_long && text.trim_ascii().is_empty();
        let text = (!is_long && text.len() <= LONGEST).then_some(text);
        (!is_blank).then_some(FileLine { number: self.number, text })
    }
}

impl FileLine {
    /// The request in the line.
    ///
    /// # Errors
    /// It is none of this endpoint.
    pub(super) fn request(&self, endpoint: BatchEndpoint) -> Result<LineRequest, BadLine> {
        let bad = |custom_id: Option<String>,
                   (code, param): (&str, Option<&str>),
                   message: String| BadLine {
            custom_id,
            problem: LineProblem {
                code: code.to_owned(),
                message,
                param: param.map(ToOwned::to_owned),
                line: Some(self.number),
            },
        };
        let Some(text) = &self.text else {
            return Err(bad(None, ("line_too_long", None), "This line is too long.".to_owned()));
        };
        let envelope: Envelope<'_> = serde_json::from_slice(text).map_err(|error| {
            // The text of the error names a position, and no content.
            let message = format!("This line is not a request in JSON: {error}.");
            bad(None, ("invalid_json_line", None), message)
        })?;
        let Envelope { custom_id, method, url, body } = envelope;
        let missing = |name: &str| {
            let message = format!("This line has no {name}.");
            bad(custom_id.clone(), ("missing_required_parameter", Some(name)), message)
        };
        let Some(id) = custom_id.clone().filter(|id| !id.is_empty()) else {
            return Err(missing("custom_id"));
        };
        if method.as_deref().is_some_and(|method| method != "POST") {
            let message = "The method of a line is POST.".to_owned();
            return Err(bad(custom_id, ("invalid_method", Some("method")), message));
        }
        let path = endpoint.path();
        if url.as_deref() != Some(path) {
            let message = format!("The url of this line is not the batch's endpoint, {path}.");
            return Err(bad(custom_id, ("invalid_url", Some("url")), message));
        }
        let body = body.ok_or_else(|| missing("body"))?;
        let body = text.slice_ref(body.get().as_bytes());
        Ok(LineRequest { custom_id: id, body })
    }
}

impl BadLine {
    /// A line with the id of one before it.
    pub(super) fn repeated(custom_id: String, line: usize) -> Self {
        let problem = LineProblem {
            code: "duplicate_custom_id".to_owned(),
            message: "Another line before this one has the same custom_id.".to_owned(),
            param: Some("custom_id".to_owned()),
            line: Some(line),
        };
        Self { custom_id: Some(custom_id), problem }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<LineRequest, BadLine> {
        FileLine { number: 3, text: Some(Bytes::copy_from_slice(text.as_bytes())) }
            .request(BatchEndpoint::Chat)
    }

    #[test]
    fn each_wrong_line_has_its_own_problem() {
        let line =
            r#"{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{"x": 1}}"#;
        let request = read(line).ok().unwrap();
        assert_eq!((request.custom_id.as_str(), &request.body[..]), ("a", &b"{\"x\": 1}"[..]));
        for (text, code, id) in [
            ("{", "invalid_json_line", None),
            ("[]", "invalid_json_line", None),
            (&line.replace("\"a\"", "\"\""), "missing_required_parameter", Some("")),
            (&line.replace("\"custom_id\":\"a\",", ""), "missing_required_parameter", None),
            (&line.replace("POST", "GET"), "invalid_method", Some("a")),
            (&line.replace("/v1/chat", "/v2/chat"), "invalid_url", Some("a")),
            (&line.replace("body", "boddy"), "missing_required_parameter", Some("a")),
        ] {
            let bad = read(text).err().unwrap();
            assert_eq!((bad.problem.code.as_str(), bad.custom_id.as_deref()), (code, id), "{text}");
            assert_eq!(bad.problem.line, Some(3));
        }
        let long = FileLine { number: 1, text: None }.request(BatchEndpoint::Chat);
        assert_eq!(long.err().unwrap().problem.code, "line_too_long");
    }
}
