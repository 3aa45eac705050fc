//! Names in every region and under every setting, without a network.

use super::*;

fn catalogue(region: &str, cross_region: CrossRegion) -> Catalogue {
    Catalogue::new(ModelSettings { cross_region, ..ModelSettings::default() }, region)
}

fn sent(region: &str, cross_region: CrossRegion, name: &str) -> String {
    catalogue(region, cross_region).resolve(name).model_id
}

#[test]
fn cross_region_decides_who_gets_a_prefix() {
    use CrossRegion::{Always, Auto, Never};
    for (name, always, auto, never) in [
        // A short name; the bare id of a model that has profiles; of one that has nothing else; of one
        // that has none; a profile; an unknown id.
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
fn a_model_not_in_the_geography_is_called_globally_or_as_it_is() {
    let auto = |region, name| sent(region, CrossRegion::Auto, name);
    assert_eq!(
        auto("eu-west-1", "anthropic.claude-fable-5-2"),
        "global.anthropic.claude-fable-5-2"
    );
    assert_eq!(auto("ap-northeast-1", "nova-lite"), "apac.amazon.nova-lite-v1:0");
    assert_eq!(auto("eu-west-1", "llama3-1-70b"), "meta.llama3-1-70b-instruct-v1:0");
    assert_eq!(auto("ca-central-1", "nova-pro"), "us.amazon.nova-pro-v1:0");
    // Nothing leaves the government's regions.
    assert_eq!(
        auto("us-gov-west-1", "anthropic.claude-opus-4-5-20251101-v1:0"),
        "anthropic.claude-opus-4-5-20251101-v1:0"
    );
}

#[test]
fn the_profile_of_the_model_is_found_behind_every_name() {
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
        assert_eq!(catalogue.resolve(name).profile.no_tool, NoTool::ChoiceField, "{name}");
    }
    let target = catalogue.resolve("mistral-7b");
    assert_eq!(target.profile.system, SystemPrompt::InUserTurn);
    assert_eq!(catalogue.resolve("who.knows-1").profile, Profile::default());
}

#[test]
fn aliases_of_the_operator_come_first_and_stand_for_any_name() {
    let aliases = [("nova-lite", "mistral-7b"), ("mine", "arn:aws:bedrock:r:1:imported-model/x")];
    let aliases = aliases.map(|(name, id)| (name.to_owned(), id.to_owned())).into();
    let settings = ModelSettings { aliases, ..ModelSettings::default() };
    let catalogue = Catalogue::new(settings, "us-east-1");
    assert_eq!(catalogue.resolve("nova-lite").model_id, "mistral.mistral-7b-instruct-v0:2");
    assert_eq!(catalogue.resolve("mine").model_id, "arn:aws:bedrock:r:1:imported-model/x");
}

#[test]
fn ended_short_names_are_remapped_only_if_told_so() {
    let name = "claude-3-5-sonnet";
    let send = catalogue("eu-west-1", CrossRegion::Auto);
    assert_eq!(send.resolve(name).model_id, "eu.anthropic.claude-3-5-sonnet-20241022-v2:0");
    let notes = send.resolve(name).notes();
    assert_eq!(notes.successor.as_deref(), Some("eu.anthropic.claude-sonnet-5-5"));
    assert_eq!((notes.has_ended, notes.end_of_life.as_deref()), (true, Some("2026-07-30")));

    let settings = ModelSettings { eol_aliases: EolAliases::Remap, ..ModelSettings::default() };
    let remap = Catalogue::new(settings, "eu-west-1");
    assert_eq!(remap.resolve(name).model_id, "eu.anthropic.claude-sonnet-5-5");
    assert_eq!(remap.resolve("command-r").model_id, "cohere.command-r-v1:0", "no successor");
    assert_eq!(remap.resolve("nova-lite").model_id, "eu.amazon.nova-lite-v1:0", "alive");
    let full = "anthropic.claude-3-haiku-20240307-v1:0";
    assert_eq!(remap.resolve(full).model_id, full, "a full id says what it means");
}

#[test]
fn a_detour_stays_in_the_geography_and_is_remembered() {
    let auto = catalogue("ap-southeast-2", CrossRegion::Auto);
    let target = auto.resolve("who.knows-1");
    assert_eq!(target.detour().as_deref(), Some("au.who.knows-1"), "nothing is known of it");
    let arn = "arn:aws:bedrock:ap-southeast-2::foundation-model/amazon.nova-lite-v1:0";
    assert_eq!(auto.resolve(arn).model_id, arn);
    assert_eq!(auto.resolve(arn).detour().as_deref(), Some("apac.amazon.nova-lite-v1:0"));
    target.remember("au.who.knows-1");
    let again = auto.resolve("who.knows-1");
    assert_eq!(again.model_id, "au.who.knows-1");
    assert_eq!(again.detour(), None, "one detour is enough");

    assert_eq!(auto.resolve("us.who.knows-1").detour(), None, "the caller chose");
    assert_eq!(
        auto.resolve("meta.llama3-3-70b-instruct-v1:0").detour(),
        None,
        "only offered elsewhere"
    );
    assert_eq!(catalogue("us-east-1", CrossRegion::Never).resolve("who.knows-1").detour(), None);
    assert_eq!(catalogue("cn-north-1", CrossRegion::Auto).resolve("who.knows-1").detour(), None);
}

#[test]
fn another_region_is_noticed() {
    let catalogue = catalogue("eu-west-1", CrossRegion::Auto);
    let target = catalogue.resolve("bedrock/us-west-2/nova-lite");
    assert_eq!(target.elsewhere(), Some(("us-west-2", "eu-west-1")));
    assert_eq!(catalogue.resolve("bedrock/eu-west-1/nova-lite").elsewhere(), None);
}
