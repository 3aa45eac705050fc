//! Headers of translated answers.

use actix_web::HttpResponseBuilder;
use actix_web::http::header::{HeaderName, HeaderValue};
use translate::Report;
use translate::report::LostReasoning;

use super::context::{AWS_REQUEST_ID, RequestContext};

const IGNORED: HeaderName = HeaderName::from_static("x-outcrop-ignored");
const THINKING: HeaderName = HeaderName::from_static("x-outcrop-thinking");
/// Longest header of ignored fields; further names are left out.
const IGNORED_LIMIT: usize = 1024;

/// Sets the headers of every translated answer: the attempts, ignored fields, the treatment of lost
/// reasoning, and AWS's request id.
pub(crate) fn describe(
    response: &mut HttpResponseBuilder,
    context: &RequestContext,
    report: &Report,
    aws_request_id: Option<&str>,
) {
    let headers = context.attempt_log().chain(context.account_headers());
    for header in headers.chain(context.timing()) {
        response.insert_header(header);
    }
    context.ignores(report);
    if let Some(value) = ignored(report) {
        response.insert_header((IGNORED, value));
    }
    if let Some(led_to) = report.lost_thoughts() {
        let value = match led_to {
            LostReasoning::Dropped => "dropped",
            LostReasoning::Forgotten => "forgotten",
        };
        response.insert_header((THINKING, value));
    }
    if let Some(value) = aws_request_id.and_then(|id| HeaderValue::from_str(id).ok()) {
        response.insert_header((AWS_REQUEST_ID, value));
    }
}

/// Joins field names into one header value. They are the caller's own text, so every character that is
/// not usual in names is replaced.
fn ignored(report: &Report) -> Option<HeaderValue> {
    let mut list = String::new();
    for name in report.ignored() {
        if list.len() + name.len() > IGNORED_LIMIT {
            list.push_str(", ...");
            break;
        }
        if !list.is_empty() {
            list.push_str(", ");
        }
        list.extend(name.chars().map(|c| match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '-' | '.' | '[' | ']' => c,
            _ => '?',
        }));
    }
    if list.is_empty() { None } else { HeaderValue::try_from(list).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_break_the_ignored_header() {
        let mut report = Report::default();
        assert_eq!(ignored(&report), None);
        report.ignore("seed");
        report.ignore("x\r\nset-cookie: a");
        for at in 0..20 {
            report.ignore(&format!("{at:0>100}"));
        }
        let told = ignored(&report).unwrap();
        let told = told.to_str().unwrap();
        assert!(told.starts_with("seed, x??set-cookie??a, 000"), "{told}");
        assert!(told.ends_with(", ...") && told.len() < IGNORED_LIMIT + 200, "{told}");
    }
}
