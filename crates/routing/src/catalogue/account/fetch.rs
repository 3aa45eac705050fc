//! ListFoundationModels and ListInferenceProfiles without an SDK client: the control plane's SDK is larger
//! than the gateway, too large for two calls. Their responses are parsed leniently.

use bytes::Bytes;
use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue, Method};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::AccountModels;
use bedrock::{Call, Failure, Kind, Service, Transport};

/// Longest page accepted, in bytes; the largest seen has 0.2 MB.
const PAGE: usize = 16 * 1024 * 1024;
/// Page limit against loops: one page holds 1000 profiles.
const PAGES: usize = 50;

/// A foundation model, as listed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::catalogue) struct FoundationModel {
    pub(in crate::catalogue) model_id: String,
    pub(in crate::catalogue) provider_name: Option<String>,
    pub(in crate::catalogue) input_modalities: Vec<String>,
    pub(in crate::catalogue) output_modalities: Vec<String>,
    pub(in crate::catalogue) response_streaming_supported: Option<bool>,
    inference_types_supported: Vec<String>,
    model_lifecycle: Option<Lifecycle>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Lifecycle {
    status: Option<String>,
    start_of_life_time: Option<String>,
    end_of_life_time: Option<String>,
}

impl FoundationModel {
    /// Whether its bare id can be called.
    pub(in crate::catalogue) fn is_on_demand(&self) -> bool {
        self.inference_types_supported.iter().any(|kind| kind == "ON_DEMAND")
    }

    pub(in crate::catalogue) fn is_legacy(&self) -> bool {
        let lifecycle = self.model_lifecycle.as_ref();
        lifecycle.and_then(|lifecycle| lifecycle.status.as_deref()) == Some("LEGACY")
    }

    /// Timestamp of its first day.
    pub(in crate::catalogue) fn started(&self) -> Option<&str> {
        self.model_lifecycle.as_ref()?.start_of_life_time.as_deref()
    }

    /// Timestamp of its last day.
    pub(in crate::catalogue) fn ends(&self) -> Option<&str> {
        self.model_lifecycle.as_ref()?.end_of_life_time.as_deref()
    }
}

/// An inference profile, as listed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(in crate::catalogue) struct InferenceProfile {
    #[serde(rename = "inferenceProfileId")]
    pub(in crate::catalogue) id: String,
    #[serde(rename = "inferenceProfileArn")]
    pub(in crate::catalogue) arn: String,
    pub(in crate::catalogue) models: Vec<ProfiledModel>,
    #[serde(rename = "createdAt")]
    pub(in crate::catalogue) created: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    status: Option<String>,
}

impl InferenceProfile {
    pub(in crate::catalogue) fn is_active(&self) -> bool {
        self.status.as_deref().is_none_or(|status| status == "ACTIVE")
    }

    /// Created by the account's owner, not by AWS: it is called by its ARN.
    pub(in crate::catalogue) fn is_application(&self) -> bool {
        self.kind.as_deref() == Some("APPLICATION")
    }
}

/// A model of an inference profile.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(in crate::catalogue) struct ProfiledModel {
    #[serde(rename = "modelArn")]
    pub(in crate::catalogue) arn: String,
}

#[derive(Deserialize)]
struct Models {
    #[serde(rename = "modelSummaries", default)]
    models: Vec<FoundationModel>,
}

#[derive(Deserialize)]
struct Profiles {
    #[serde(rename = "inferenceProfileSummaries", default)]
    profiles: Vec<InferenceProfile>,
    #[serde(rename = "nextToken")]
    next: Option<String>,
}

/// Reasons for a missing response.
#[derive(Debug, thiserror::Error)]
pub(in crate::catalogue) enum Missing {
    #[error(transparent)]
    Call(#[from] Failure),
    #[error("the answer cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
}

/// Fetches both lists; one that cannot be fetched is left out and logged.
pub(super) async fn all(transport: &Transport) -> AccountModels {
    let (models, profiles) = tokio::join!(models(transport), profiles(transport));
    let models = known("foundation models", models);
    AccountModels::new(models, known("inference profiles", profiles), None)
}

fn known<T>(what: &str, listed: Result<T, Missing>) -> Option<T> {
    listed.inspect_err(|error| log::info!("the account's {what} cannot be listed: {error}")).ok()
}

async fn models(transport: &Transport) -> Result<Vec<FoundationModel>, Missing> {
    let Models { models } = page(transport, Service::Control, "/foundation-models", None).await?;
    Ok(models)
}

async fn profiles(transport: &Transport) -> Result<Vec<InferenceProfile>, Missing> {
    // Without a type, AWS lists only its own profiles.
    let mut all = of_type(transport, "SYSTEM_DEFINED").await?;
    match of_type(transport, "APPLICATION").await {
        Ok(own) => all.extend(own),
        Err(error) => log::info!("application inference profiles cannot be listed: {error}"),
    }
    Ok(all)
}

async fn of_type(transport: &Transport, kind: &str) -> Result<Vec<InferenceProfile>, Missing> {
    let mut all = Vec::new();
    let first = format!("maxResults=1000&type={kind}");
    let mut query = first.clone();
    for _ in 0..PAGES {
        let Profiles { profiles, next } =
            page(transport, Service::Control, "/inference-profiles", Some(query)).await?;
        all.extend(profiles);
        match next {
            Some(token) if !token.is_empty() => {
                query = format!("{first}&nextToken={}", encoded(&token));
            }
            Some(_) | None => break,
        }
    }
    Ok(all)
}

/// One response of the control plane.
pub(in crate::catalogue) async fn page<T: DeserializeOwned>(
    transport: &Transport,
    service: Service,
    path: &str,
    query: Option<String>,
) -> Result<T, Missing> {
    let mut headers = HeaderMap::with_capacity(1);
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    let call = Call {
        service,
        method: Method::GET,
        path: path.to_owned(),
        query,
        headers,
        body: Bytes::new(),
        kind: Kind::Unary,
    };
    let body = transport.send(call).await?.bytes(PAGE).await?;
    Ok(serde_json::from_slice(&body)?)
}

/// Percent-encodes a query value or a path segment: all but letters, digits and `-._~`.
pub(in crate::catalogue) fn encoded(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_leniently() {
        let models: Models = serde_json::from_str(
            r#"{"new": 1, "modelSummaries": [{"modelId": "a.b", "inferenceTypesSupported": ["ON_DEMAND", "NEW"],
            "modelLifecycle": {"status": "LEGACY", "endOfLifeTime": "2027-01-08T00:00:00Z"}, "description": null}, {}]}"#,
        )
        .unwrap();
        let model = &models.models[0];
        assert!(model.is_on_demand() && model.is_legacy());
        assert_eq!((model.ends(), model.started()), (Some("2027-01-08T00:00:00Z"), None));
        let profiles: Profiles = serde_json::from_str(
            r#"{"inferenceProfileSummaries": [{"inferenceProfileId": "us.a.b", "status": "ACTIVE", "type": "SYSTEM_DEFINED"}]}"#,
        )
        .unwrap();
        assert!(profiles.next.is_none() && profiles.profiles[0].is_active());
        assert!(!profiles.profiles[0].is_application());
    }

    #[test]
    fn tokens_survive_the_query() {
        assert_eq!(encoded("a+b/c= é"), "a%2Bb%2Fc%3D%20%C3%A9");
    }
}
