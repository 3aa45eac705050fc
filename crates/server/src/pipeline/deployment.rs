//! Requests by Azure's paths, where the deployment in the path is the model, whatever the body says. It is
//! written into the body, which keeps every other byte, so that such a request is like any other from then on.

use std::borrow::Cow;
use std::fmt;

use actix_web::{HttpMessage, HttpRequest};
use bytes::Bytes;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::error::GatewayError;
use crate::offload::Offload;

/// The model that an Azure path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AzureDeployment(pub(crate) String);

/// The body of a request, with the model that its path names.
pub(crate) async fn applied(
    http: &HttpRequest,
    body: Bytes,
    offload: &Offload,
) -> Result<Bytes, GatewayError> {
    let deployment = http.extensions().get::<AzureDeployment>().cloned();
    match deployment {
        None => Ok(body),
        Some(AzureDeployment(name)) => {
            Ok(offload.run(body.len(), async move { named(body, &name) }).await?)
        }
    }
}

/// The body with `model` as named. One that is no JSON object stays as it is, for the parser to refuse.
fn named(body: Bytes, name: &str) -> Bytes {
    let (Ok(Members(members)), Ok(name)) =
        (serde_json::from_slice(&body), serde_json::to_string(name))
    else {
        return body;
    };
    let mut text = format!("{{\"model\":{name}");
    text.reserve(body.len());
    for (key, value) in members.iter().filter(|(key, _)| key != "model") {
        // A string is always JSON.
        let Ok(key) = serde_json::to_string(key) else { continue };
        text.push(',');
        text.push_str(&key);
        text.push(':');
        text.push_str(value.get());
    }
    text.push('}');
    text.into()
}

/// An object's members as they stand.
pub(crate) struct Members<'b>(pub(crate) Vec<(Cow<'b, str>, &'b RawValue)>);

impl<'de: 'b, 'b> Deserialize<'de> for Members<'b> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some((key, value)) = map.next_entry::<Cow<'de, str>, _>()? {
            members.push((key, value));
        }
        Ok(Members(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deployment_is_the_model() {
        for (body, expected) in [
            (r#"{"messages":[ 1.0, "é" ]}"#, r#"{"model":"a\"b","messages":[ 1.0, "é" ]}"#),
            (r#"{ "model" : "x", "n" : 1e2 }"#, r#"{"model":"a\"b","n":1e2}"#),
            (r#"{"model":null}"#, r#"{"model":"a\"b"}"#),
            (r#"{"a\nb":{},"a":1,"a":2}"#, r#"{"model":"a\"b","a\nb":{},"a":1,"a":2}"#),
            ("{}", r#"{"model":"a\"b"}"#),
            ("[]", "[]"),
            ("{", "{"),
            ("", ""),
        ] {
            assert_eq!(named(Bytes::from_static(body.as_bytes()), "a\"b"), expected, "{body}");
        }
    }
}
