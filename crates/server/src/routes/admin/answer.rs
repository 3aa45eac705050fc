//! Answers of the admin API: status 200, numbers of money as exact decimals, pages with their totals.

use access::Nanodollars;
use actix_web::http::header::{CACHE_CONTROL, HeaderValue};
use actix_web::{HttpResponse, HttpResponseBuilder, http::StatusCode};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use translate::Report;

use super::error::AdminRefusal;
use crate::request::answer_headers::describe;
use crate::request::context::RequestContext;

/// The answer of an admin route.
#[derive(Debug)]
pub(in crate::routes) struct AdminAnswer {
    body: Vec<u8>,
    status: StatusCode,
    kind: &'static str,
    headers: Vec<(&'static str, &'static str)>,
    report: Report,
    secrecy: Secrecy,
}

/// Whether caches may keep an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Secrecy {
    /// It shows no secret.
    Plain,
    /// It shows a key.
    ShowsKey,
}

/// US dollars as a JSON number without exponent: `25.0`, `0.000000035`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::routes) struct Dollars(pub(super) Nanodollars);

impl Serialize for Dollars {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let number = RawValue::from_string(self.0.to_string());
        number.map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

impl AdminAnswer {
    /// An answer with this body.
    ///
    /// # Errors
    /// It cannot be written as JSON.
    pub(super) fn of(body: &impl Serialize) -> Result<Self, AdminRefusal> {
        let body = serde_json::to_vec(body).map_err(|error| AdminRefusal::internal(&error))?;
        Ok(Self::new(body, "application/json"))
    }

    /// An answer of comma-separated values.
    pub(super) fn csv(text: String) -> Self {
        Self::new(text.into_bytes(), "text/csv; charset=utf-8")
    }

    fn new(body: Vec<u8>, kind: &'static str) -> Self {
        let (headers, report) = (Vec::new(), Report::default());
        let (status, secrecy) = (StatusCode::OK, Secrecy::Plain);
        Self { body, status, kind, headers, report, secrecy }
    }

    /// Sets another status than 200.
    #[must_use]
    pub(super) fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// Sets a header.
    #[must_use]
    pub(super) fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Names fields of the request that had no effect.
    #[must_use]
    pub(super) fn ignoring<'n>(mut self, names: impl IntoIterator<Item = &'n str>) -> Self {
        for name in names {
            self.report.ignore(name);
        }
        self
    }

    /// Forbids caches to keep the answer, because it shows a key.
    #[must_use]
    pub(super) fn with_key(mut self) -> Self {
        self.secrecy = Secrecy::ShowsKey;
        self
    }

    /// The HTTP answer, which ends the request.
    pub(super) fn respond(self, context: &mut RequestContext) -> HttpResponse {
        let mut response = HttpResponseBuilder::new(self.status);
        describe(&mut response, context, &self.report, None);
        if self.secrecy == Secrecy::ShowsKey {
            response.insert_header((CACHE_CONTROL, HeaderValue::from_static("no-store")));
        }
        for header in self.headers {
            response.insert_header(header);
        }
        if self.status.is_success() {
            context.complete();
        } else {
            context.refused_with(self.status.as_u16());
        }
        response.content_type(self.kind).body(self.body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_a_number_without_exponent() {
        for (nano, text) in [
            (0, "0.0"),
            (1, "0.000000001"),
            (25_000_000_000, "25.0"),
            (-1_500_000_000, "-1.5"),
            (i64::MAX, "9223372036.854775807"),
        ] {
            let body = serde_json::to_string(&Dollars(Nanodollars::new(nano))).unwrap();
            assert_eq!(body, text);
        }
    }
}
