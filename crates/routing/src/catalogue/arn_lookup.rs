//! ARN lookup: finds the foundation model of ARNs that do not contain it. The first call of each ARN asks
//! the control plane, and the result is kept. Missing permission or a late response is no error: calls are
//! sent as for an unknown model, and the lookup is repeated later.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use serde::Deserialize;
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout};

use super::account::{Missing, ProfiledModel, encoded, page};
use super::id::{Arn, ArnKind, Id, Name};
use super::prices::CallReach;
use bedrock::{Account, Transport};

/// Longest wait of a call for the lookup.
const PATIENCE: Duration = Duration::from_secs(3);
/// Time between attempts after a failure.
const RETRY: Duration = Duration::from_mins(1);
/// Limit of stored ARNs; unresolved ones make room first.
const LIMIT: usize = 512;

/// Lookup results by ARN. Read without a lock.
#[derive(Debug, Default)]
pub(super) struct ArnLookup(ArcSwap<HashMap<String, Arc<Slot>>>);

/// The result for one ARN: set once by the first caller, while others wait.
#[derive(Debug, Default)]
struct Slot(OnceCell<Found>);

#[derive(Debug)]
enum Found {
    /// Id of the model. The model of an ARN never changes.
    Model(FoundModel),
    /// The lookup failed; the next one may be made at this time.
    NotUntil(Instant),
}

/// The model behind an ARN.
#[derive(Debug, Clone, PartialEq, Eq)]
struct FoundModel {
    id: String,
    /// The reach of the profile that an application inference profile copies.
    reach: Option<CallReach>,
}

impl ArnLookup {
    /// The known reach of an application inference profile; makes no call.
    pub(super) fn reach(&self, arn: &str) -> Option<CallReach> {
        match self.0.load().get(arn)?.0.get()? {
            Found::Model(model) => model.reach.clone(),
            Found::NotUntil(_) => None,
        }
    }

    /// The known result; makes no call.
    pub(super) fn find(&self, arn: &str) -> Option<String> {
        match self.0.load().get(arn)?.0.get()? {
            Found::Model(model) => Some(model.id.clone()),
            Found::NotUntil(_) => None,
        }
    }

    /// The result, looked up if necessary.
    pub(super) async fn ask(&self, arn: &str, account: &Account) -> Option<String> {
        let path = question(arn)?;
        let slot = self.slot(arn)?;
        let found = slot.0.get_or_init(|| async {
            let asked = timeout(PATIENCE, answer(path, account)).await;
            match asked {
                Ok(Ok(Some(model))) => Found::Model(model),
                Ok(Ok(None)) => missing(arn, "the answer names none"),
                Ok(Err(error)) => missing(arn, &error.to_string()),
                Err(_) => missing(arn, "no answer in time"),
            }
        });
        match found.await {
            Found::Model(model) => Some(model.id.clone()),
            Found::NotUntil(_) => None,
        }
    }

    /// The slot of an ARN; empty if a lookup is needed. `None` if there is no room.
    fn slot(&self, arn: &str) -> Option<Arc<Slot>> {
        let now = Instant::now();
        if let Some(slot) = self.0.load().get(arn).filter(|slot| !slot.is_stale(now)) {
            return Some(Arc::clone(slot));
        }
        let fresh = Arc::new(Slot::default());
        self.0.rcu(|known| {
            let is_kept = known.get(arn).is_some_and(|slot| !slot.is_stale(now));
            let mut known = HashMap::clone(known);
            if known.len() >= LIMIT {
                known.retain(|_, slot| !matches!(slot.0.get(), Some(Found::NotUntil(_))));
            }
            if !is_kept && known.len() < LIMIT {
                known.insert(arn.to_owned(), Arc::clone(&fresh));
            }
            Arc::new(known)
        });
        self.0.load().get(arn).cloned()
    }
}

impl Slot {
    fn is_stale(&self, now: Instant) -> bool {
        matches!(self.0.get(), Some(Found::NotUntil(until)) if *until <= now)
    }
}

/// Whether the control plane can look up the model of an id.
pub(super) fn can_be_asked(id: &Id<'_>) -> bool {
    matches!(id, Id::Arn(arn) if root(arn.kind).is_some())
}

fn question(arn: &str) -> Option<String> {
    match Name::parse(arn).id {
        Id::Arn(Arn { kind, text, .. }) => Some(format!("{}/{}", root(kind)?, encoded(text))),
        Id::Profile { .. } | Id::Model(_) => None,
    }
}

/// Path of the control plane that describes ARNs of a kind.
fn root(kind: ArnKind) -> Option<&'static str> {
    match kind {
        ArnKind::ApplicationInferenceProfile => Some("/inference-profiles"),
        ArnKind::ProvisionedModel => Some("/provisioned-model-throughput"),
        ArnKind::CustomModelDeployment => Some("/model-customization/custom-model-deployments"),
        ArnKind::PromptRouter => Some("/prompt-routers"),
        ArnKind::FoundationModel
        | ArnKind::InferenceProfile
        | ArnKind::CustomModel
        | ArnKind::ImportedModel
        | ArnKind::Prompt
        | ArnKind::DefaultPromptRouter
        | ArnKind::SageMakerEndpoint => None,
    }
}

/// The common fields of these responses, as far as needed here.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Described {
    foundation_model_arn: Option<String>,
    models: Vec<ProfiledModel>,
    fallback_model: ProfiledModel,
    model_arn: Option<String>,
}

impl Described {
    fn model(&self) -> Option<FoundModel> {
        let own = self.foundation_model_arn.iter().chain(&self.model_arn);
        let listed = self.models.iter().chain([&self.fallback_model]).map(|model| &model.arn);
        let mut arns = own.chain(listed).filter(|arn| arn.starts_with("arn:"));
        let id = arns.find_map(|arn| Name::parse(arn).id.base().map(ToOwned::to_owned))?;
        Some(FoundModel { id, reach: self.reach() })
    }

    /// The reach of a profile. A router lists models too, and names the one to fall back to.
    fn reach(&self) -> Option<CallReach> {
        let arns = self.models.iter().map(|model| model.arn.as_str());
        if self.fallback_model.arn.is_empty() { CallReach::of_models(arns) } else { None }
    }
}

async fn answer(path: String, account: &Account) -> Result<Option<FoundModel>, Missing> {
    // One call per ARN: a connection of its own costs less than a shared pool.
    let described: Described = page(&Transport::new(account), &path, None).await?;
    Ok(described.model())
}

fn missing(arn: &str, why: &str) -> Found {
    log::info!("the model of {arn:?} cannot be looked up, it is called as an unknown model: {why}");
    Found::NotUntil(Instant::now() + RETRY)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROFILE: &str = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/x";

    #[test]
    fn each_arn_kind_has_its_own_lookup_path() {
        let arn = |rest: &str| format!("arn:aws:bedrock:us-east-1:123456789012:{rest}");
        for (rest, path) in [
            ("application-inference-profile/x", Some("/inference-profiles/")),
            ("provisioned-model/x", Some("/provisioned-model-throughput/")),
            ("custom-model-deployment/x", Some("/model-customization/custom-model-deployments/")),
            ("prompt-router/x", Some("/prompt-routers/")),
            ("imported-model/x", None),
            ("custom-model/a.b/x", None),
        ] {
            let arn = arn(rest);
            let expected = path.map(|path| format!("{path}{}", encoded(&arn)));
            assert_eq!(question(&arn), expected, "{rest}");
            assert_eq!(can_be_asked(&Name::parse(&arn).id), path.is_some(), "{rest}");
        }
        assert_eq!(question("amazon.nova-lite-v1:0"), None);
    }

    #[test]
    fn the_model_is_found_in_every_response() {
        let model = "arn:aws:bedrock:us-east-1::foundation-model/a.b-v1:0";
        for (answer, expected) in [
            (format!(r#"{{"models":[{{"modelArn":"{model}"}},{{}}],"status":"ACTIVE"}}"#), Some("a.b-v1:0")),
            (format!(r#"{{"foundationModelArn":"{model}","modelArn":"arn:aws:bedrock:us-east-1:1:provisioned-model/y"}}"#), Some("a.b-v1:0")),
            (r#"{"modelArn":"arn:aws:bedrock:us-east-1:1:custom-model/a.b-v1:0:8k/y"}"#.to_owned(), Some("a.b-v1:0:8k")),
            (r#"{"models":[],"fallbackModel":{"modelArn":"arn:aws:bedrock:us-east-1:1:inference-profile/us.a.b"}}"#.to_owned(), Some("a.b")),
            (r#"{"modelArn":"arn:aws:bedrock:us-east-1:1:imported-model/y"}"#.to_owned(), None),
            ("{}".to_owned(), None),
        ] {
            let described: Described = serde_json::from_str(&answer).unwrap();
            let found = described.model().map(|model| model.id);
            assert_eq!(found.as_deref(), expected, "{answer}");
        }
    }

    #[test]
    fn a_profile_reaches_as_far_as_the_one_it_copies() {
        let arn = |region: &str| format!("arn:aws:bedrock:{region}::foundation-model/a.b-v1:0");
        let geo = |prefix: &str| Some(CallReach::Geo(prefix.to_owned()));
        for (regions, expected) in [
            (&["us-east-1"] as &[&str], Some(CallReach::Region("us-east-1".to_owned()))),
            (&["us-east-1", "us-west-2"], geo("us")),
            (&["eu-west-1", "eu-central-1", "eu-west-1"], geo("eu")),
            (&["ap-northeast-1", "ap-northeast-3"], geo("jp")),
            (&["ap-northeast-1", "ap-southeast-2"], geo("apac")),
            (&["us-gov-east-1", "us-gov-west-1"], geo("us-gov")),
            (&["us-east-1", ""], Some(CallReach::Global)),
            (&["us-east-1", "eu-west-1"], Some(CallReach::Global)),
            (&[], None),
        ] {
            let models = regions.iter().map(|region| ProfiledModel { arn: arn(region) }).collect();
            let described = Described { models, ..Described::default() };
            assert_eq!(described.reach(), expected, "{regions:?}");
        }
        let models = vec![ProfiledModel { arn: arn("us-east-1") }];
        let fallback_model = ProfiledModel { arn: arn("us-east-1") };
        let router = Described { models, fallback_model, ..Described::default() };
        assert_eq!(router.reach(), None, "a router chooses the model by itself");
    }

    #[test]
    fn failed_lookups_are_repeated_later_and_make_room() {
        let arn_lookup = ArnLookup::default();
        let slot = arn_lookup.slot(PROFILE).unwrap();
        assert!(Arc::ptr_eq(&slot, &arn_lookup.slot(PROFILE).unwrap()), "one question at a time");
        let past = Instant::now();
        slot.0.set(Found::NotUntil(past)).unwrap();
        assert!(!Arc::ptr_eq(&slot, &arn_lookup.slot(PROFILE).unwrap()), "it may be asked again");

        for number in 0..LIMIT {
            if let Some(slot) = arn_lookup.slot(&number.to_string()) {
                slot.0.set(Found::NotUntil(past + RETRY)).unwrap();
            }
        }
        let slot = arn_lookup.slot("known").unwrap();
        let model = || FoundModel { id: "a.b".to_owned(), reach: None };
        slot.0.set(Found::Model(model())).unwrap();
        assert!(arn_lookup.0.load().len() < LIMIT);
        assert_eq!(arn_lookup.find("known").as_deref(), Some("a.b"));
        for number in 0..LIMIT * 2 {
            if let Some(slot) = arn_lookup.slot(&format!("m{number}")) {
                slot.0.set(Found::Model(model())).unwrap();
            }
        }
        assert_eq!(arn_lookup.0.load().len(), LIMIT);
        assert!(arn_lookup.slot("one more").is_none(), "what is known is not given up");
    }
}
