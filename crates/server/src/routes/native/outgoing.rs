//! The call to Bedrock that a native request becomes: its path rebuilt, its headers filtered, its body unchanged but for the
//! operator's guardrail.

use bedrock::{Call, Service};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use routing::Target;

use super::NativeRequest;
use super::error::NativeError;
use crate::error::GatewayError;
use crate::native::path::TARGET_PREFIX;
use crate::native::{guardrail, headers};
use crate::offload::Offload;

/// The header that names an operation of bedrock-data-automation-runtime.
pub(super) const TARGET: HeaderName = HeaderName::from_static("x-amz-target");

/// The call for a target, or in the gateway's own account.
///
/// # Errors
/// The guardrail cannot be applied.
pub(super) async fn call(
    request: &NativeRequest<'_>,
    mut body: Bytes,
    target: Option<&Target>,
    offload: &Offload,
) -> Result<Call, NativeError> {
    let NativeRequest { http, matched, body: _ } = request;
    let mut sent = HeaderMap::with_capacity(4);
    for (name, value) in http.headers() {
        if headers::goes_up(matched.row.service, name.as_str(), value.as_bytes()) {
            // actix uses an older version of `http`.
            let name = HeaderName::from_bytes(name.as_str().as_bytes());
            let value = HeaderValue::from_bytes(value.as_bytes());
            if let (Ok(name), Ok(value)) = (name, value) {
                sent.append(name, value);
            }
        }
    }
    if matched.row.service == Service::DataAutomationRuntime {
        let operation = format!("{TARGET_PREFIX}{}", matched.row.operation);
        let operation = HeaderValue::try_from(operation);
        sent.insert(TARGET, operation.map_err(|error| GatewayError::Internal(error.to_string()))?);
    }
    if let Some(guardrail) = target.and_then(|target| target.guardrail.clone()) {
        let (operation, length) = (matched.row.operation, body.len());
        let applied = offload.run(length, async move {
            guardrail::apply(&guardrail, operation, &mut sent, &mut body).map(|()| (sent, body))
        });
        (sent, body) = applied.await??;
    }
    let method = Method::from_bytes(matched.row.method.as_bytes())
        .map_err(|error| GatewayError::Internal(error.to_string()))?;
    Ok(Call {
        service: matched.row.service,
        method,
        path: matched.upstream(target.map(|target| target.model.model_id.as_str())),
        query: http.uri().query().and_then(headers::query),
        headers: sent,
        body,
        kind: matched.row.kind,
    })
}
