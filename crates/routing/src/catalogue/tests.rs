//! Names in every region and with every setting, without a network.

use super::*;

fn catalogue(region: &str, cross_region: CrossRegion) -> Catalogue {
    Catalogue::new(Naming { cross_region, ..Naming::default() }, region)
}

fn sent(region: &str, cross_region: CrossRegion, name: &str) -> String {
    catalogue(region, cross_region).resolve(name, &ModelOverrides::default()).model_id
}

#[test]
fn cross_region_decides_which_names_get_a_prefix() {
    use CrossRegion::{Always, Auto, Never};
    for (name, always, auto, never) in [
        // A short name; the bare id of a model with profiles, of one with profiles only, of one without
        // any; a profile; an unknown id.
        (
            "nova-lite",
            "eu.amazon.nova-lite-v1:0",
            "eu.amazon.nova-lite-v1:0",
            "amazon.nova-lite-v1:0",
        ),
        (
            "amazon.nova-lite-v1:0",
            "eu.amazon.nova-lite-v1:0",
            "amazon.nova-lite-v1:0",
            "amazon.nova-lite-v1:0",
        ),
        (
            "anthropic.claude-sonnet-5-5",
            "eu.anthropic.claude-sonnet-5-5",
            "eu.anthropic.claude-sonnet-5-5",
            "anthropic.claude-sonnet-5-5",
        ),
        ("zai.glm-5", "zai.glm-5", "zai.glm-5", "zai.glm-5"),
        (
            "us.amazon.nova-lite-v1:0",
            "us.amazon.nova-lite-v1:0",
            "us.amazon.nova-lite-v1:0",
            "us.amazon.nova-lite-v1:0",
        ),
        ("who.knows-1", "who.knows-1", "who.knows-1", "who.knows-1"),
        ("", "", "", ""),
    ] {
        assert_eq!(sent("eu-west-1", Always, name), always);
        assert_eq!(sent("eu-west-1", Auto, name), auto);
        assert_eq!(sent("eu-west-1", Never, name), never);
    }
}

#[test]
fn a_model_outside_the_geography_is_called_globally_or_unchanged() {
    let auto = |region, name| sent(region, CrossRegion::Auto, name);
    assert_eq!(
        auto("eu-west-1", "anthropic.claude-fable-5-2"),
        "global.anthropic.claude-fable-5-2"
    );
    assert_eq!(auto("ap-northeast-1", "nova-lite"), "apac.amazon.nova-lite-v1:0");
    assert_eq!(auto("eu-west-1", "llama3-1-70b"), "meta.llama3-1-70b-instruct-v1:0");
    assert_eq!(auto("ca-central-1", "nova-pro"), "us.amazon.nova-pro-v1:0");
    // Calls never leave the government regions.
    assert_eq!(
        auto("us-gov-west-1", "anthropic.claude-opus-4-5-20251101-v1:0"),
        "anthropic.claude-opus-4-5-20251101-v1:0"
    );
}

#[test]
fn every_name_resolves_to_the_models_profile() {
    use translate::profile::{NoTool, SystemPrompt};
    let catalogue = catalogue("us-east-1", CrossRegion::Auto);
    for name in [
        "anthropic.claude-sonnet-5",
        "claude-3-haiku",
        "eu.anthropic.claude-of-tomorrow",
        "bedrock/anthropic.claude-sonnet-5",
        "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-sonnet-5",
        "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-5",
        "arn:aws:bedrock:us-east-1:123456789012:custom-model/anthropic.claude-3-haiku-20240307-v1:0:200k/x",
    ] {
        assert_eq!(
            catalogue.resolve(name, &ModelOverrides::default()).profile.no_tool,
            NoTool::ChoiceField,
            "{name}"
        );
    }
    let target = catalogue.resolve("mistral-7b", &ModelOverrides::default());
    assert_eq!(target.profile.system, SystemPrompt::InUserTurn);
    assert_eq!(
        catalogue.resolve("who.knows-1", &ModelOverrides::default()).profile,
        Arc::new(Profile::default())
    );
}

#[test]
fn an_operator_may_override_a_models_profile() {
    let catalogue = catalogue("us-east-1", CrossRegion::Auto);
    let arn = "arn:aws:bedrock:us-east-1:123456789012:imported-model/x";
    for base in ["llama3-1-70b", "meta.llama3-1-70b-instruct-v1:0", "bedrock/us.meta.llama3-1-70b"]
    {
        let overrides =
            ModelOverrides { base_model: Some(base.to_owned()), ..ModelOverrides::default() };
        let target = catalogue.resolve(arn, &overrides);
        assert_eq!((target.model_id.as_str(), target.detour()), (arn, None));
        let auto = translate::profile::ToolChoices::Auto;
        assert_eq!(target.profile.tool_choice, auto, "{base}");
        assert_eq!(catalogue.resolve("who.knows-1", &overrides).detour(), None, "{base}");
    }
}

#[test]
fn ended_short_names_are_remapped_only_if_configured() {
    let name = "claude-3-5-sonnet";
    let send = catalogue("eu-west-1", CrossRegion::Auto);
    assert_eq!(
        send.resolve(name, &ModelOverrides::default()).model_id,
        "eu.anthropic.claude-3-5-sonnet-20241022-v2:0"
    );
    let notes = send.resolve(name, &ModelOverrides::default()).notes([].into_iter());
    assert_eq!(notes.successor.as_deref(), Some("eu.anthropic.claude-sonnet-5-5"));
    assert_eq!((notes.has_ended, notes.end_of_life.as_deref()), (true, Some("2026-07-30")));

    let naming = Naming { eol_aliases: EolAliases::Remap, ..Naming::default() };
    let remap = Catalogue::new(naming, "eu-west-1");
    assert_eq!(
        remap.resolve(name, &ModelOverrides::default()).model_id,
        "eu.anthropic.claude-sonnet-5-5"
    );
    assert_eq!(
        remap.resolve("command-r", &ModelOverrides::default()).model_id,
        "cohere.command-r-v1:0",
        "no successor"
    );
    assert_eq!(
        remap.resolve("nova-lite", &ModelOverrides::default()).model_id,
        "eu.amazon.nova-lite-v1:0",
        "alive"
    );
    let full = "anthropic.claude-3-haiku-20240307-v1:0";
    assert_eq!(
        remap.resolve(full, &ModelOverrides::default()).model_id,
        full,
        "a full id says what it means"
    );
}

#[test]
fn a_profile_fallback_stays_in_the_geography_and_is_kept() {
    let auto = catalogue("ap-southeast-2", CrossRegion::Auto);
    let target = auto.resolve("who.knows-1", &ModelOverrides::default());
    assert_eq!(target.detour().as_deref(), Some("au.who.knows-1"), "nothing is known of it");
    let arn = "arn:aws:bedrock:ap-southeast-2::foundation-model/amazon.nova-lite-v1:0";
    assert_eq!(auto.resolve(arn, &ModelOverrides::default()).model_id, arn);
    assert_eq!(
        auto.resolve(arn, &ModelOverrides::default()).detour().as_deref(),
        Some("apac.amazon.nova-lite-v1:0")
    );
    target.remember("au.who.knows-1");
    let again = auto.resolve("who.knows-1", &ModelOverrides::default());
    assert_eq!(again.model_id, "au.who.knows-1");
    assert_eq!(again.detour(), None, "one detour is enough");

    assert_eq!(
        auto.resolve("us.who.knows-1", &ModelOverrides::default()).detour(),
        None,
        "the caller chose"
    );
    assert_eq!(
        auto.resolve("meta.llama3-3-70b-instruct-v1:0", &ModelOverrides::default()).detour(),
        None,
        "only offered elsewhere"
    );
    assert_eq!(
        catalogue("us-east-1", CrossRegion::Never)
            .resolve("who.knows-1", &ModelOverrides::default())
            .detour(),
        None
    );
    assert_eq!(
        catalogue("cn-north-1", CrossRegion::Auto)
            .resolve("who.knows-1", &ModelOverrides::default())
            .detour(),
        None
    );
}

#[test]
fn a_region_in_a_name_is_parsed() {
    assert_eq!(region_of("bedrock/us-west-2/nova-lite"), Some("us-west-2"));
    assert_eq!(region_of("bedrock/converse/eu-west-1/a.b"), Some("eu-west-1"));
    let arn = "arn:aws:bedrock:eu-central-1:1:application-inference-profile/abc";
    assert_eq!(region_of(arn), Some("eu-central-1"), "AWS knows an ARN in its own region alone");
    assert_eq!(region_of(&format!("bedrock/us-west-2/{arn}")), Some("us-west-2"));
    for name in ["nova-lite", "us-west-2/nova-lite", "bedrock/nova-lite"] {
        assert_eq!(region_of(name), None, "{name}");
    }
    for (name, known) in [
        ("us.who.knows-1", true),
        ("bedrock/anthropic.claude-9", true),
        ("nova-lite", true),
        ("arn:aws:bedrock:us-east-1:1:imported-model/x", true),
        ("gpt-4o", false),
        // Other providers sell these by the same names.
        ("gpt-5.4", false),
        ("claude-sonnet-4-5-20250929", false),
        ("who.knows-1", false),
    ] {
        assert_eq!(is_bedrocks(name), known, "{name}");
    }
}
