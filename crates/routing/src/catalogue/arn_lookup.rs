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
use super::agents::{self, Prompt};
use super::id::{Arn, ArnKind, Id, Name};
use super::prices::CallReach;
use bedrock::{Account, Service, Transport};

/// Longest wait of a call for the lookup.
const PATIENCE: Duration = Duration::from_secs(3);
/// Time between attempts after a failure.
const RETRY: Duration = Duration::from_mins(1);
/// Time for which the model of a prompt's draft is kept.
const DRAFT: Duration = Duration::from_mins(5);
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
    /// The model. That of an ARN never changes, except for the draft of a prompt.
    Model(FoundModel),
    /// The lookup failed; the next one may be made at this time.
    NotUntil(Instant),
}

/// The model behind an ARN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FoundModel {
    /// Id of the foundation model, if the answer tells it.
    pub(super) id: Option<String>,
    /// The ARN of a stored prompt.
    pub(super) arn: Option<String>,
    /// The reach of the profile that an application inference profile copies.
    reach: Option<CallReach>,
    /// Time from which it may have changed.
    until: Option<Instant>,
}

impl ArnLookup {
    /// The known reach of an application inference profile; makes no call.
    pub(super) fn reach(&self, arn: &str) -> Option<CallReach> {
        self.fresh(arn)?.reach
    }

    /// The known result; makes no call.
    pub(super) fn find(&self, arn: &str) -> Option<String> {
        self.fresh(arn)?.id
    }

    /// The known ARN of a stored prompt's name; makes no call.
    pub(super) fn arn(&self, name: &str) -> Option<String> {
        self.fresh(name)?.arn
    }

    fn fresh(&self, name: &str) -> Option<FoundModel> {
        let known = self.0.load();
        let slot = known.get(name).filter(|slot| !slot.is_stale(Instant::now()))?;
        match slot.0.get()? {
            Found::Model(model) => Some(model.clone()),
            Found::NotUntil(_) => None,
        }
    }

    /// The result, looked up if necessary.
    pub(super) async fn ask(&self, arn: &str, account: &Account) -> Option<FoundModel> {
        let question = question(arn)?;
        let slot = self.slot(arn)?;
        let found = slot.0.get_or_init(|| async {
            let asked = timeout(PATIENCE, answer(question, account)).await;
            match asked {
                Ok(Ok(Some(model))) => Found::Model(model),
                Ok(Ok(None)) => missing(arn, "the answer names none"),
                Ok(Err(error)) => missing(arn, &error.to_string()),
                Err(_) => missing(arn, "no answer in time"),
            }
        });
        match found.await {
            Found::Model(model) => Some(model.clone()),
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
        match self.0.get() {
            Some(Found::NotUntil(until)) => *until <= now,
            Some(Found::Model(model)) => model.until.is_some_and(|until| until <= now),
            None => false,
        }
    }
}

/// Whether the control plane can look up the model of an id.
pub(super) fn can_be_asked(id: &Id<'_>) -> bool {
    agents::prompt(id).is_some() || matches!(id, Id::Arn(arn) if root(arn.kind).is_some())
}

/// A call that describes an ARN or a stored prompt.
#[derive(Debug, PartialEq, Eq)]
struct Lookup {
    service: Service,
    path: String,
    query: Option<String>,
    /// The answer may change.
    is_draft: bool,
}

fn question(arn: &str) -> Option<Lookup> {
    let id = Name::parse(arn).id;
    if let Some(Prompt { id, version }) = agents::prompt(&id) {
        let query = version.map(|version| format!("promptVersion={version}"));
        let (path, is_draft) = (format!("/prompts/{id}/"), version.is_none());
        return Some(Lookup { service: Service::Agent, path, query, is_draft });
    }
    let Id::Arn(Arn { kind, text, .. }) = id else { return None };
    let path = format!("{}/{}", root(kind)?, encoded(text));
    Some(Lookup { service: Service::Control, path, query: None, is_draft: false })
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
    /// Of a stored prompt.
    arn: Option<String>,
    default_variant: Option<String>,
    variants: Vec<Variant>,
}

/// A variant of a stored prompt.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Variant {
    name: String,
    model_id: Option<String>,
}

impl Described {
    /// The stored prompt, and the model of the variant that is called.
    fn prompt(&self, region: &str) -> Option<FoundModel> {
        let arn = self.arn.clone()?;
        let is_called = |variant: &&Variant| Some(&variant.name) == self.default_variant.as_ref();
        let called = self.variants.iter().find(is_called).or(self.variants.first());
        let model = called.and_then(|variant| variant.model_id.as_deref());
        let model = model.map(|model| Name::parse(model).id);
        Some(FoundModel {
            id: model.and_then(|model| model.base()).map(ToOwned::to_owned),
            reach: model.map(|model| CallReach::of(&model, region)),
            arn: Some(arn),
            until: None,
        })
    }

    fn model(&self) -> Option<FoundModel> {
        let own = self.foundation_model_arn.iter().chain(&self.model_arn);
        let listed = self.models.iter().chain([&self.fallback_model]).map(|model| &model.arn);
        let mut arns = own.chain(listed).filter(|arn| arn.starts_with("arn:"));
        let id = arns.find_map(|arn| Name::parse(arn).id.base().map(ToOwned::to_owned))?;
        Some(FoundModel { id: Some(id), arn: None, reach: self.reach(), until: None })
    }

    /// The reach of a profile. A router lists models too, and names the one to fall back to.
    fn reach(&self) -> Option<CallReach> {
        let arns = self.models.iter().map(|model| model.arn.as_str());
        if self.fallback_model.arn.is_empty() { CallReach::of_models(arns) } else { None }
    }
}

async fn answer(lookup: Lookup, account: &Account) -> Result<Option<FoundModel>, Missing> {
    let Lookup { service, path, query, is_draft } = lookup;
    // One call per ARN: a connection of its own costs less than a shared pool.
    let described: Described = page(&Transport::new(account), service, &path, query).await?;
    let found = match service {
        Service::Agent => described.prompt(account.region()),
        _ => described.model(),
    };
    let until = is_draft.then(|| Instant::now() + DRAFT);
    Ok(found.map(|model| FoundModel { until, ..model }))
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
            assert_eq!(question(&arn).map(|lookup| lookup.path), expected, "{rest}");
            assert_eq!(can_be_asked(&Name::parse(&arn).id), path.is_some(), "{rest}");
        }
        assert_eq!(question("amazon.nova-lite-v1:0"), None);
        for (name, version) in [
            ("prompt/ABCDEFGHIJ:3".to_owned(), Some("3")),
            (arn("prompt/ABCDEFGHIJ:3"), Some("3")),
            (arn("prompt/ABCDEFGHIJ"), None),
        ] {
            let expected = Lookup {
                service: Service::Agent,
                path: "/prompts/ABCDEFGHIJ/".to_owned(),
                query: version.map(|version| format!("promptVersion={version}")),
                is_draft: version.is_none(),
            };
            assert_eq!(question(&name), Some(expected), "{name}");
        }
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
            let found = described.model().and_then(|model| model.id);
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
    fn a_prompt_has_the_model_of_its_default_variant() {
        let prompt = |variant: &str| {
            let text = format!(
                r#"{{"arn":"arn:p","defaultVariant":"two","variants":[{{"name":"one","modelId":"a.b"}},{variant}]}}"#
            );
            let described: Described = serde_json::from_str(&text).unwrap();
            described.prompt("us-east-1").unwrap()
        };
        let found = prompt(r#"{"name":"two","modelId":"us.amazon.nova-lite-v1:0"}"#);
        assert_eq!(
            (found.arn.as_deref(), found.id.as_deref(), found.reach),
            (Some("arn:p"), Some("amazon.nova-lite-v1:0"), Some(CallReach::Geo("us".to_owned())))
        );
        assert_eq!(prompt(r#"{"name":"two"}"#).id, None, "a prompt for an agent");
        assert_eq!(prompt(r#"{"name":"three","modelId":"c.d"}"#).id.as_deref(), Some("a.b"));
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
        let model =
            || FoundModel { id: Some("a.b".to_owned()), arn: None, reach: None, until: None };
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
