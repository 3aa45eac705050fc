//! Selects the guardrail of a chat request: the caller's, from InvokeModel's headers or from
//! `guardrail_config`, or the operator's. A mandatory guardrail of the operator cannot be replaced.

use actix_web::http::header::{HeaderMap, HeaderName};
use schema::converse::request::{
    ConverseRequest, GuardrailConfig, GuardrailTrace, StreamProcessing,
};
use serde_json::{Map, Value};
use translate::{Invalid, Report};

use crate::native::guardrail::evasion::{self, Part};
use bedrock::Kind;
use routing::{AskedGuardrail, Guardrail, GuardrailChoice, GuardrailMode};

static ID: HeaderName = HeaderName::from_static("x-amzn-bedrock-guardrailidentifier");
static VERSION: HeaderName = HeaderName::from_static("x-amzn-bedrock-guardrailversion");
static TRACE: HeaderName = HeaderName::from_static("x-amzn-bedrock-trace");
const FIELD: &str = "guardrail_config";
const MODEL_FIELDS: &str = "additional_model_request_fields";

/// The guardrail settings in a caller's headers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RequestedGuardrail {
    /// Id and version.
    named: Option<(String, String)>,
    trace: Option<GuardrailTrace>,
}

impl RequestedGuardrail {
    /// Reads the three headers.
    ///
    /// # Errors
    /// A header that cannot be read, an id without a version, or a version without an id.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Invalid> {
        let named = match (text(headers, &ID)?, text(headers, &VERSION)?) {
            (None, None) => None,
            (Some(id), Some(version)) => Some((id.to_owned(), version.to_owned())),
            (Some(_), None) => return Err(missing(&VERSION, &ID)),
            (None, Some(_)) => return Err(missing(&ID, &VERSION)),
        };
        let trace = text(headers, &TRACE)?.map(trace).transpose()?;
        Ok(Self { named, trace })
    }

    /// Whether the caller names a guardrail.
    pub(crate) fn is_named(&self) -> bool {
        self.named.is_some()
    }

    /// Adds the selected guardrail to a body.
    ///
    /// # Errors
    /// The operator's guardrail is mandatory, and the caller requests another, or one that is applied
    /// too late.
    pub(crate) fn apply(
        &self,
        body: &mut ConverseRequest<'_>,
        own: Option<&Guardrail>,
        kind: Kind,
        report: &mut Report,
    ) -> Result<(), Invalid> {
        let said = body.guardrail_config.take();
        let processing = said.as_ref().and_then(|said| said.stream_processing_mode);
        let trace = self.trace.or(said.as_ref().and_then(|said| said.trace));
        let said = said.map(|said| {
            (said.guardrail_identifier.to_string(), said.guardrail_version.to_string())
        });
        // Headers are set by a proxy in front of the gateway, so they take precedence over the body.
        if said.is_some() && self.named.is_some() && said != self.named {
            report.ignore(FIELD);
        }
        let asked = self.named.clone().or(said);
        let named = asked.as_ref().map(|(id, version)| AskedGuardrail {
            id: Some(id.as_str()),
            version: Some(version.as_str()),
        });
        let choice = own.map(|own| own.decide(named));
        if own.is_some_and(|own| own.mode == GuardrailMode::Mandatory) {
            let late = asked.is_some() && processing == Some(StreamProcessing::Async);
            if late || choice == Some(GuardrailChoice::Refused) {
                let message = "This model is called with the gateway's own guardrail and no other.";
                return Err(Invalid::value(FIELD, message).with_code("guardrail_not_allowed"));
            }
            refuse_evasion(&body.additional_model_request_fields)?;
        }
        let ours = own.map(|own| (own.id.clone(), own.version.clone()));
        body.guardrail_config = asked.or(ours).map(|(id, version)| GuardrailConfig {
            guardrail_identifier: id.into(),
            guardrail_version: version.into(),
            trace,
            stream_processing_mode: processing.filter(|_| kind == Kind::Stream),
        });
        Ok(())
    }
}

/// Refuses model-specific fields that would let the guardrail check less than the whole call.
fn refuse_evasion(fields: &Map<String, Value>) -> Result<(), Invalid> {
    let found = evasion::search(fields, Part::Model);
    let member = match found {
        Ok(None) => return Ok(()),
        Ok(Some(member)) => member,
        Err(_) => "what cannot be read",
    };
    let message = format!(
        "This model is called with the gateway's own guardrail, and {member} would have it judge less than the whole call, or later than the answer: leave it out."
    );
    Err(Invalid::value(MODEL_FIELDS, message).with_code("guardrail_not_allowed"))
}

fn text<'h>(headers: &'h HeaderMap, name: &'static HeaderName) -> Result<Option<&'h str>, Invalid> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let text = value.to_str().ok().map(str::trim).filter(|text| !text.is_empty());
    match text {
        Some(text) => Ok(Some(text)),
        None => Err(Invalid::value(name.as_str(), format!("The header {name} cannot be read."))),
    }
}

fn trace(text: &str) -> Result<GuardrailTrace, Invalid> {
    match text.to_ascii_uppercase().as_str() {
        "ENABLED" => Ok(GuardrailTrace::Enabled),
        "DISABLED" => Ok(GuardrailTrace::Disabled),
        "ENABLED_FULL" => Ok(GuardrailTrace::EnabledFull),
        _ => Err(Invalid::value(
            TRACE.as_str(),
            format!("The header {TRACE} is ENABLED, DISABLED or ENABLED_FULL."),
        )),
    }
}

fn missing(name: &'static HeaderName, beside: &HeaderName) -> Invalid {
    Invalid::value(name.as_str(), format!("The header {beside} needs {name} beside it."))
        .with_code("missing_required_parameter")
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&HeaderName, &'static str)]) -> HeaderMap {
        let pair = |&(name, value): &(&HeaderName, &'static str)| {
            (name.clone(), HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    fn own(mode: GuardrailMode) -> Guardrail {
        Guardrail { id: "own".to_owned(), version: "1".to_owned(), mode }
    }

    #[test]
    fn an_incomplete_set_of_headers_is_refused() {
        assert_eq!(RequestedGuardrail::of(&headers(&[])), Ok(RequestedGuardrail::default()));
        let trace = RequestedGuardrail::of(&headers(&[(&TRACE, "enabled_full")])).unwrap();
        assert_eq!(trace.trace, Some(GuardrailTrace::EnabledFull));
        for (sent, param) in [
            (&[(&ID, "a")][..], &VERSION),
            (&[(&VERSION, "1")], &ID),
            (&[(&ID, " "), (&VERSION, "1")], &ID),
            (&[(&TRACE, "loud")], &TRACE),
        ] {
            let refused = RequestedGuardrail::of(&headers(sent)).unwrap_err();
            assert_eq!(refused.param.as_deref(), Some(param.as_str()));
        }
    }

    /// Returns the guardrail that is sent, or the code of the refusal, and the ignored fields.
    fn sent(
        wanted: &RequestedGuardrail,
        body: Option<(&'static str, Option<StreamProcessing>)>,
        own: Option<&Guardrail>,
        kind: Kind,
    ) -> (Result<Option<String>, &'static str>, usize) {
        let mut converse = ConverseRequest {
            guardrail_config: body.map(|(id, stream_processing_mode)| GuardrailConfig {
                guardrail_identifier: id.into(),
                guardrail_version: "1".into(),
                trace: Some(GuardrailTrace::Enabled),
                stream_processing_mode,
            }),
            ..ConverseRequest::default()
        };
        let mut report = Report::default();
        let applied = wanted.apply(&mut converse, own, kind, &mut report);
        let config = applied.map(|()| {
            converse.guardrail_config.map(|config| serde_json::to_string(&config).unwrap())
        });
        (config.map_err(|invalid| invalid.code), report.ignored().len())
    }

    #[test]
    fn a_callers_guardrail_replaces_a_default_but_not_a_mandatory_one() {
        use GuardrailMode::{Default, Mandatory};
        let none = RequestedGuardrail::default();
        let named = |id: &str| RequestedGuardrail {
            named: Some((id.to_owned(), "1".to_owned())),
            ..RequestedGuardrail::default()
        };
        let config = |id: &str, rest: &str| {
            let version = "\"guardrailVersion\":\"1\"";
            Ok(Some(format!("{{\"guardrailIdentifier\":\"{id}\",{version}{rest}}}")))
        };
        let traced = ",\"trace\":\"enabled\"";
        let unary = Kind::Unary;
        assert_eq!(sent(&none, None, None, unary), (Ok(None), 0));
        for mode in [Default, Mandatory] {
            assert_eq!(sent(&none, None, Some(&own(mode)), unary), (config("own", ""), 0));
            let same = sent(&named("own"), None, Some(&own(mode)), unary);
            assert_eq!(same, (config("own", ""), 0));
        }
        assert_eq!(sent(&named("a"), None, Some(&own(Default)), unary), (config("a", ""), 0));
        let body = Some(("b", Some(StreamProcessing::Async)));
        assert_eq!(sent(&none, body, Some(&own(Default)), unary), (config("b", traced), 0));
        assert_eq!(sent(&named("a"), body, None, unary), (config("a", traced), 1));
        let streamed = format!("{traced},\"streamProcessingMode\":\"async\"");
        assert_eq!(sent(&none, body, None, Kind::Stream), (config("b", &streamed), 0));
        let refused = (Err("guardrail_not_allowed"), 0);
        assert_eq!(sent(&named("a"), None, Some(&own(Mandatory)), unary), refused);
        assert_eq!(sent(&none, body, Some(&own(Mandatory)), unary), refused);
        let late = Some(("own", Some(StreamProcessing::Async)));
        assert_eq!(sent(&none, late, Some(&own(Mandatory)), Kind::Stream), refused);
    }
}
