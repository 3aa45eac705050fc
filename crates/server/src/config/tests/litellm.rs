//! LiteLLM's file: what becomes targets, what is passed over and said, what is a mistake.

use super::super::*;
use super::Directory;
use crate::bedrock::{AccountSecret, Login, Place};
use crate::routing::{Guardrail, GuardrailMode, Weight};

fn load(directory: &Directory, yaml: &str) -> Config {
    Config::load(&directory.sources(yaml)).unwrap_or_else(|problems| panic!("{problems}"))
}

fn place<'c>(config: &'c Config, name: &str) -> &'c Place {
    &config.models.groups[name].targets[0].place
}

#[test]
fn the_example_is_read_without_a_mistake() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/litellm.example.yaml");
    let directory = Directory::new("litellm-example");
    let sources =
        Sources { file: Some(example), directory: directory.0.clone(), ..Sources::default() };
    let config = Config::load(&sources).unwrap_or_else(|problems| panic!("{problems}"));
    let group = &config.models.groups["my-claude-model"];
    let regions: Vec<_> =
        group.targets.iter().map(|target| target.place.region.as_deref()).collect();
    assert_eq!(regions, [Some("us-west-2"), Some("us-east-1")]);
    assert!(!config.models.groups.contains_key("gpt-4o"));
    assert!(config.notes.iter().any(|note| note.contains("gpt-4o (openai)")), "{:?}", config.notes);
}

#[test]
fn all_aws_parameters_are_honoured() {
    let directory = Directory::new("litellm-aws");
    let yaml = r#"
model_list:
- model_name: keys
  litellm_params: { model: bedrock/a.b, aws_region_name: us-west-2, aws_access_key_id: AKID, aws_secret_access_key: os.environ/SECRET, aws_session_token: t, weight: 0.3 }
- model_name: keys
  litellm_params: { model: bedrock/eu-west-1/a.b, rpm: 5, tpm: 6, order: 1 }
- model_name: role
  litellm_params: { model: bedrock/a.b, aws_role_name: "arn:aws:iam::1:role/r", aws_session_name: s, aws_external_id: e, aws_sts_endpoint: "https://sts.local" }
  model_info: { base_model: nova-lite, mode: chat }
- model_name: web
  litellm_params: { model: bedrock/a.b, aws_role_name: "arn:aws:iam::1:role/r", aws_web_identity_token: oidc/file//var/token }
- model_name: profile
  litellm_params: { model: amazon.nova-lite-v1:0, custom_llm_provider: bedrock, aws_profile_name: p, aws_bedrock_runtime_endpoint: "https://vpce.local/x" }
- model_name: bearer
  litellm_params: { model: bedrock_converse/a.b, api_key: k, guardrailConfig: { guardrailIdentifier: g, guardrailVersion: "1" } }
- model_name: unset
  litellm_params: { model: nova-lite, aws_access_key_id: os.environ/NOT_SET, aws_secret_access_key: os.environ/NOT_SET, aws_region_name: os.environ/NOT_SET }
- model_name: "*"
  litellm_params: { model: bedrock/* }
- model_name: gpt-3.5-turbo
  litellm_params: { model: gpt-3.5-turbo, api_key: os.environ/OPENAI_API_KEY }
- model_name: claude-direct
  litellm_params: { model: anthropic/claude-3-haiku-20240307, colour: red }
router_settings:
  routing_strategy: simple-shuffle
  model_group_alias: { other: bearer, hidden: { model: keys, hidden: true } }
litellm_settings: { drop_params: true, frobnicate: 1 }
general_settings: { master_key: sk-1234 }
"#;
    let mut sources = directory.sources(yaml);
    sources.environment.insert("SECRET".to_owned(), "shh".to_owned());
    let config = Config::load(&sources).unwrap_or_else(|problems| panic!("{problems}"));
    let keys = &config.models.groups["keys"].targets;
    assert_eq!((keys.len(), keys[0].weight, keys[1].weight), (2, Weight(300), Weight(1000)));
    let login = Login::Keys {
        access_key_id: "AKID".to_owned(),
        secret_access_key: AccountSecret::new("shh"),
        session_token: Some(AccountSecret::new("t")),
    };
    assert_eq!(keys[0].place.login, Some(login));
    assert_eq!(keys[1].place, Place::in_region("eu-west-1"));
    let role = place(&config, "role").role.clone().unwrap();
    assert_eq!((role.external_id.as_deref(), role.session_name.as_deref()), (Some("e"), Some("s")));
    assert_eq!(role.sts_endpoint.as_deref(), Some("https://sts.local"));
    let base = &config.models.groups["role"].targets[0].manner.base_model;
    assert_eq!(base.as_deref(), Some("nova-lite"));
    let web = place(&config, "web").role.clone().unwrap();
    assert_eq!(web.token_file, Some(PathBuf::from("/var/token")));
    let profile = place(&config, "profile");
    assert_eq!(profile.login, Some(Login::Profile("p".to_owned())));
    assert_eq!(profile.endpoint.as_deref(), Some("https://vpce.local/x"));
    assert_eq!(place(&config, "bearer").login, Some(Login::Bearer(AccountSecret::new("k"))));
    let guardrail = Guardrail { id: "g".into(), version: "1".into(), mode: GuardrailMode::Default };
    assert_eq!(config.models.groups["bearer"].guardrail, Some(guardrail));
    assert_eq!(place(&config, "unset"), &Place::default());
    assert_eq!(config.models.groups["*"].targets[0].model, "*");
    assert_eq!(config.models.groups["other"], config.models.groups["bearer"]);
    assert_eq!(config.models.groups["hidden"].targets.len(), 2);
    let notes = config.notes.join("\n");
    for expected in [
        "skipped, because only Bedrock is called here: gpt-3.5-turbo (no provider that is known here), claude-direct (anthropic)",
        "ignored, because it has no effect here yet: general_settings.master_key, litellm_params.order, litellm_params.rpm, litellm_params.tpm, litellm_settings.drop_params, model_info.mode, router_settings.routing_strategy",
        "ignored, because nothing is known of it: litellm_settings.frobnicate",
        "general_settings.master_key: keys are not checked yet",
        "model_list[6].litellm_params.aws_access_key_id is to come from NOT_SET, which is not set: left out",
    ] {
        assert!(notes.contains(expected), "{expected:?} in {notes}");
    }
    assert!(!notes.contains("OPENAI_API_KEY"), "what is skipped needs nothing: {notes}");
}

#[test]
fn what_cannot_be_honoured_is_a_mistake_with_its_line() {
    let directory = Directory::new("litellm-mistakes");
    let yaml = "model_list:\n- litellm_params: { model: bedrock/a.b }\n- model_name: b\n  litellm_params: { model: bedrock/a.b, aws_region_name: nowhere }\n- model_name: c\n  litellm_params: { model: bedrock/a.b, aws_role_name: admin }\n- model_name: d\n  litellm_params: { model: bedrock/a.b, aws_role_name: 'arn:aws:iam::1:role/r', aws_web_identity_token: oidc/google/x }\n- model_name: e\n  litellm_params: { custom_llm_provider: bedrock }\n- just text\nmodels: {}\nlisten: 127.0.0.1:1\n";
    let problems = Config::load(&directory.sources(yaml)).unwrap_err();
    let text = problems.to_string();
    for expected in [
        ":2: model_list[0].model_name is missing",
        ":4: model_list[1].litellm_params.aws_region_name cannot be text like this; give a region",
        ":6: model_list[2].litellm_params.aws_role_name cannot be text like this; give a role",
        ":8: model_list[3].litellm_params.aws_web_identity_token names no file",
        ":9: model_list[4].litellm_params.model is missing",
        ":11: model_list[5] is a section, and holds text",
        ":12: models stands beside model_list, which is LiteLLM's",
        ":13: listen stands beside model_list",
    ] {
        assert!(text.contains(expected), "{expected:?} in {text}");
    }
    assert_eq!(problems.iter().count(), 8, "{text}");
}

#[test]
fn the_same_names_in_our_shape_are_what_they_are_in_litellms() {
    let directory = Directory::new("litellm-same");
    let theirs = load(
        &directory,
        "model_list:\n- model_name: a\n  litellm_params: { model: bedrock/a.b, aws_region_name: us-west-2 }\n",
    );
    let ours = load(&directory, "models:\n  a: { model: bedrock/a.b, region: us-west-2 }\n");
    assert_eq!(theirs.models, ours.models);
}
