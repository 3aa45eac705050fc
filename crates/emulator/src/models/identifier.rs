//! Resolves the path's model id to a model: foundation ids, region-prefixed profiles, every form of ARN,
//! and the emulator's own ids; other ids are refused.

use std::sync::Arc;

use super::{Family, Lifecycle, Model, Models, PROFILED};
use crate::{
    error::Refusal,
    faults::{Directive, directive},
};

/// The account that this Bedrock represents.
pub(crate) const ACCOUNT: &str = "123456789012";

const PREFIXES: [&str; 11] =
    ["us", "eu", "apac", "jp", "au", "ca", "in", "us-gov", "global", "sa", "amer"];

/// Resolution of a model id.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) model: Arc<Model>,
    /// The request runs a stored prompt, which contains its own settings.
    pub(crate) prompt: bool,
    /// The behaviour of the emulator's own ids.
    pub(crate) directive: Option<Directive>,
}

impl Models {
    /// Resolves an id called from `region`, which bearer callers do not send.
    pub(crate) fn resolve(&self, id: &str, region: Option<&str>) -> Result<Target, Refusal> {
        if let Some(rest) = id.strip_prefix("arn:") {
            return self.resolve_arn(rest, region);
        }
        let (prefix, base) = split_prefix(id);
        if let Some(name) = base.strip_prefix("emulator.") {
            let directive = directive(name).ok_or_else(unknown)?;
            let model = Arc::clone(self.generic());
            return Ok(Target { model, prompt: false, directive: Some(directive) });
        }
        match prefix {
            None => self.on_demand(id),
            Some(prefix) => self.profile(prefix, base, region),
        }
    }

    /// Resolves a bare id without checking how it may be invoked, as token counting does.
    pub(crate) fn base(&self, id: &str) -> Result<Arc<Model>, Refusal> {
        let name = id.rsplit('/').next().unwrap_or(id);
        let (_, base) = split_prefix(name);
        self.find(base).cloned().ok_or_else(unknown)
    }

    fn on_demand(&self, id: &str) -> Result<Target, Refusal> {
        let model = self.find(id).ok_or_else(unknown)?;
        alive(model)?;
        if model.profile_only {
            return Err(Refusal::validation(format!(
                "Invocation of model ID {id} with on-demand throughput isn\u{2019}t supported. Retry your request with the ID or ARN of an inference profile that contains this model."
            )));
        }
        Ok(plain(model))
    }

    fn profile(&self, prefix: &str, base: &str, region: Option<&str>) -> Result<Target, Refusal> {
        let model = self.find(base).ok_or_else(unknown)?;
        alive(model)?;
        if !model.prefixes.iter().any(|own| own == prefix) {
            return Err(unknown());
        }
        if region.is_some_and(|region| !serves(prefix, region)) {
            return Err(unknown());
        }
        if prefix == "us-gov" && model.has("format") && model.family == Family::Claude {
            return Ok(plain(&Arc::new(model.without("format"))));
        }
        Ok(plain(model))
    }

    /// `rest` is the text after `arn:`.
    fn resolve_arn(&self, rest: &str, region: Option<&str>) -> Result<Target, Refusal> {
        let parts: Vec<&str> = rest.splitn(5, ':').collect();
        let &[partition, service, arn_region, account, resource] = parts.as_slice() else {
            return Err(unknown());
        };
        if !matches!(partition, "aws" | "aws-us-gov" | "aws-cn") {
            return Err(unknown());
        }
        let numbered = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
        let (kind, name) = resource.split_once('/').ok_or_else(unknown)?;
        let generic = |prompt| Target { prompt, ..plain(self.generic()) };
        match (service, kind) {
            ("bedrock", "foundation-model") if account.is_empty() => self.on_demand(name),
            ("bedrock", "inference-profile") if numbered || account.is_empty() => {
                let (prefix, base) = split_prefix(name);
                let caller = if arn_region.is_empty() { region } else { Some(arn_region) };
                self.profile(prefix.ok_or_else(unknown)?, base, caller)
            }
            ("bedrock", "application-inference-profile") if numbered && is_name(name) => {
                self.find(PROFILED).map(plain).ok_or_else(unknown)
            }
            (
                "bedrock",
                "provisioned-model"
                | "custom-model"
                | "custom-model-deployment"
                | "imported-model"
                | "prompt-router"
                | "default-prompt-router",
            ) if numbered && !name.is_empty() => Ok(generic(false)),
            ("bedrock", "prompt") if numbered && is_prompt(name) => Ok(generic(true)),
            ("sagemaker", "endpoint") if numbered && !name.is_empty() => Ok(generic(false)),
            _ => Err(unknown()),
        }
    }
}

/// Splits `us.vendor.model` into its region prefix and the rest.
pub(crate) fn split_prefix(id: &str) -> (Option<&str>, &str) {
    match id.split_once('.') {
        Some((prefix, rest)) if PREFIXES.contains(&prefix) => (Some(prefix), rest),
        _ => (None, id),
    }
}

/// Whether the profiles of `prefix` can be called from `region`.
pub(crate) fn serves(prefix: &str, region: &str) -> bool {
    let government = region.starts_with("us-gov-");
    match prefix {
        "us" => (region.starts_with("us-") && !government) || region.starts_with("ca-"),
        "eu" => region.starts_with("eu-"),
        "apac" => region.starts_with("ap-"),
        "jp" => matches!(region, "ap-northeast-1" | "ap-northeast-3"),
        "au" => matches!(region, "ap-southeast-2" | "ap-southeast-4"),
        "ca" => region.starts_with("ca-"),
        "in" => region.starts_with("ap-south-"),
        "sa" => region.starts_with("sa-"),
        "us-gov" => government,
        _ => !government && !region.starts_with("cn-"),
    }
}

fn plain(model: &Arc<Model>) -> Target {
    Target { model: Arc::clone(model), prompt: false, directive: None }
}

fn alive(model: &Model) -> Result<(), Refusal> {
    if model.status == Lifecycle::Eol {
        return Err(Refusal::new(
            404,
            "ResourceNotFoundException",
            "This model version has reached the end of its life. Please refer to the AWS documentation for more details.",
        ));
    }
    Ok(())
}

fn unknown() -> Refusal {
    Refusal::validation("The provided model identifier is invalid.")
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn is_prompt(name: &str) -> bool {
    let (id, version) = name.split_once(':').unwrap_or((name, "DRAFT"));
    id.len() == 10 && is_name(id) && !version.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(id: &str) -> Result<String, String> {
        let found = Models::load().resolve(id, Some("us-west-2"));
        found.map(|target| target.model.id.clone()).map_err(|refusal| refusal.message)
    }

    #[test]
    fn every_form_of_identifier_resolves_to_its_model() {
        for (id, expected) in [
            ("amazon.nova-lite-v1:0", "amazon.nova-lite-v1:0"),
            ("us.amazon.nova-lite-v1:0", "amazon.nova-lite-v1:0"),
            ("global.anthropic.claude-sonnet-5-5", "anthropic.claude-sonnet-5-5"),
            (
                "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0",
                "amazon.nova-lite-v1:0",
            ),
            (
                "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-pro-v1:0",
                "amazon.nova-pro-v1:0",
            ),
            (
                "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3",
                PROFILED,
            ),
            ("arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abc", "emulator.generic"),
            (
                "arn:aws:bedrock:us-east-1:123456789012:custom-model-deployment/abc",
                "emulator.generic",
            ),
            (
                "arn:aws:bedrock:us-east-1:123456789012:custom-model/amazon.nova-lite-v1:0:300k/abc",
                "emulator.generic",
            ),
            ("arn:aws:bedrock:us-east-1:123456789012:imported-model/abc", "emulator.generic"),
            (
                "arn:aws:bedrock:us-east-1:123456789012:default-prompt-router/anthropic.claude:1",
                "emulator.generic",
            ),
            ("arn:aws:bedrock:us-east-1:123456789012:prompt-router/abc", "emulator.generic"),
            ("arn:aws:bedrock:us-east-1:123456789012:prompt/ABCDEFGHIJ:2", "emulator.generic"),
            ("arn:aws:sagemaker:us-east-1:123456789012:endpoint/mine", "emulator.generic"),
        ] {
            assert_eq!(model(id).as_deref(), Ok(expected), "{id}");
        }
    }

    #[test]
    fn ids_of_well_known_short_names_are_served_or_past_their_end() {
        for id in [
            "us.meta.llama3-1-70b-instruct-v1:0",
            "us.meta.llama3-1-8b-instruct-v1:0",
            "us.amazon.nova-pro-v1:0",
            "us.amazon.nova-lite-v1:0",
            "us.amazon.nova-micro-v1:0",
            "mistral.mistral-7b-instruct-v0:2",
            "mistral.mixtral-8x7b-instruct-v0:1",
            "mistral.mistral-large-2407-v1:0",
            "ai21.jamba-1-5-large-v1:0",
            "ai21.jamba-1-5-mini-v1:0",
            "amazon.titan-embed-text-v1",
            "amazon.titan-embed-text-v2:0",
            "cohere.embed-english-v3",
            "cohere.embed-multilingual-v3",
        ] {
            assert!(model(id).is_ok(), "{id}: {:?}", model(id));
        }
        for id in [
            "us.anthropic.claude-3-5-sonnet-20241022-v2:0",
            "us.anthropic.claude-3-5-haiku-20241022-v1:0",
            "us.anthropic.claude-3-opus-20240229-v1:0",
            "anthropic.claude-3-sonnet-20240229-v1:0",
            "anthropic.claude-3-haiku-20240307-v1:0",
            "us.meta.llama3-2-90b-instruct-v1:0",
            "us.meta.llama3-2-11b-instruct-v1:0",
            "us.meta.llama3-2-3b-instruct-v1:0",
            "us.meta.llama3-2-1b-instruct-v1:0",
            "us.meta.llama3-1-405b-instruct-v1:0",
            "cohere.command-r-v1:0",
            "cohere.command-r-plus-v1:0",
        ] {
            let refusal = model(id).expect_err("past its end of life");
            assert!(refusal.contains("end of its life"), "{id}: {refusal}");
        }
    }

    #[test]
    fn schemas_are_not_enforced_on_claude_in_government_regions() {
        let models = Models::load();
        let has = |id: &str, region: &str| {
            let target = models.resolve(id, Some(region)).expect("a model");
            target.model.has("format")
        };
        assert!(has("us.anthropic.claude-opus-5-5", "us-east-1"));
        assert!(!has("us-gov.anthropic.claude-opus-5-5", "us-gov-west-1"));
        assert!(has("us-gov.moonshotai.kimi-k3", "us-gov-west-1"));
    }

    #[test]
    fn wrong_identifiers_are_refused_with_the_services_messages() {
        for id in [
            "nope",
            "us.nope.model",
            "us.mistral.mistral-large-2407-v1:0",
            "eu.amazon.nova-lite-v1:0",
            "us-gov.anthropic.claude-sonnet-5",
            "arn:aws:bedrock:us-east-1::inference-profile/amazon.nova-pro-v1:0",
            "arn:aws:s3:::bucket/key",
            "emulator.nothing-1",
        ] {
            assert_eq!(model(id), Err("The provided model identifier is invalid.".into()), "{id}");
        }
        let refusal = model("anthropic.claude-sonnet-5").expect_err("profile only");
        assert!(refusal.contains("on-demand throughput"), "{refusal}");
        let refusal = model("anthropic.claude-3-haiku-20240307-v1:0").expect_err("end of life");
        assert!(refusal.contains("end of its life"), "{refusal}");
    }
}
