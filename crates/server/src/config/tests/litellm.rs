//! Tests of LiteLLM's file: entries that become targets, entries that are skipped with a note, and
//! mistakes.

use std::num::{NonZeroU32, NonZeroU64};

use translate::Unsupported;

use super::super::*;
use super::Directory;
use bedrock::{AccountSecret, AccountSpec, Login, WebToken};
use routing::{Balance, Cooldown, Guardrail, GuardrailMode, Retries, Strategy, Weight};

fn load(directory: &Directory, yaml: &str) -> Config {
    Config::load(&directory.sources(yaml)).unwrap_or_else(|problems| panic!("{problems}"))
}

fn place<'c>(config: &'c Config, name: &str) -> &'c AccountSpec {
    &config.models[name].targets[0].place
}

#[test]
fn the_example_has_no_problems() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/litellm.example.yaml");
    let directory = Directory::new("litellm-example");
    let sources =
        Sources { file: Some(example), directory: directory.0.clone(), ..Sources::default() };
    let config = Config::load(&sources).unwrap_or_else(|problems| panic!("{problems}"));
    let group = &config.models["my-claude-model"];
    let regions: Vec<_> =
        group.targets.iter().map(|target| target.place.region.as_deref()).collect();
    assert_eq!(regions, [Some("us-west-2"), Some("us-east-1")]);
    assert!(!config.models.contains_key("gpt-4o"));
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
    let keys = &config.models["keys"].targets;
    assert_eq!((keys.len(), keys[0].weight, keys[1].weight), (2, Weight(300), Weight(1000)));
    assert_eq!((keys[1].rpm, keys[1].tpm), (NonZeroU32::new(5), NonZeroU64::new(6)));
    assert_eq!((keys[0].order, keys[1].order), (u32::MAX, 1), "those without come last");
    let strategy = |name: &str| config.models[name].balance.strategy;
    assert_eq!((strategy("keys"), strategy("role")), (Strategy::Order, Strategy::Weighted));
    let login = Login::Keys {
        access_key_id: "AKID".to_owned(),
        secret_access_key: AccountSecret::new("shh"),
        session_token: Some(AccountSecret::new("t")),
    };
    assert_eq!(keys[0].place.login, Some(login));
    assert_eq!(keys[1].place, AccountSpec::in_region("eu-west-1"));
    let role = place(&config, "role").role.clone().unwrap();
    assert_eq!((role.external_id.as_deref(), role.session_name.as_deref()), (Some("e"), Some("s")));
    assert_eq!(role.sts_endpoint.as_deref(), Some("https://sts.local"));
    let base = &config.models["role"].targets[0].overrides.base_model;
    assert_eq!(base.as_deref(), Some("nova-lite"));
    let web = place(&config, "web").role.clone().unwrap();
    assert_eq!(web.token, Some(WebToken::File("/var/token".into())));
    let profile = place(&config, "profile");
    assert_eq!(profile.login, Some(Login::Profile("p".to_owned())));
    assert_eq!(profile.endpoint_url.as_deref(), Some("https://vpce.local/x"));
    assert_eq!(place(&config, "bearer").login, Some(Login::Bearer(AccountSecret::new("k"))));
    let guardrail = Guardrail { id: "g".into(), version: "1".into(), mode: GuardrailMode::Default };
    assert_eq!(config.models["bearer"].guardrail, Some(guardrail));
    assert_eq!(place(&config, "unset"), &AccountSpec::default());
    assert_eq!(config.models["*"].targets[0].model, "*");
    assert_eq!(config.models["other"], config.models["bearer"]);
    assert_eq!(config.models["hidden"].targets.len(), 2);
    assert_eq!(config.unsupported_params, Unsupported::Drop);
    assert!(config.models.values().all(|group| group.unsupported == Unsupported::Drop));
    let notes = config.notes.join("\n");
    for expected in [
        "skipped, because only Bedrock is called here: gpt-3.5-turbo (no provider that is known here), claude-direct (anthropic)",
        "ignored, because it has no effect here yet: model_info.mode",
        "ignored, because nothing is known of it: litellm_settings.frobnicate",
        "model_list[6].litellm_params.aws_access_key_id is to come from NOT_SET, which is not set: left out",
    ] {
        assert!(notes.contains(expected), "{expected:?} in {notes}");
    }
    assert_eq!(config.master_key, Some(MasterKey::Key(AccountSecret::new("sk-1234"))));
    assert!(!notes.contains("OPENAI_API_KEY"), "what is skipped needs nothing: {notes}");
}

#[test]
fn values_that_cannot_be_honoured_are_problems_with_a_line() {
    let directory = Directory::new("litellm-mistakes");
    let yaml = "model_list:\n- litellm_params: { model: bedrock/a.b }\n- model_name: b\n  litellm_params: { model: bedrock/a.b, aws_region_name: nowhere }\n- model_name: c\n  litellm_params: { model: bedrock/a.b, aws_role_name: admin }\n- model_name: d\n  litellm_params: { model: bedrock/a.b, aws_role_name: 'arn:aws:iam::1:role/r', aws_web_identity_token: oidc/google/x }\n- model_name: e\n  litellm_params: { custom_llm_provider: bedrock }\n- just text\nmodels: {}\nlisten: 127.0.0.1:1\n";
    let problems = Config::load(&directory.sources(yaml)).unwrap_err();
    let text = problems.to_string();
    for expected in [
        ":2: model_list[0].model_name is missing",
        ":4: model_list[1].litellm_params.aws_region_name: \"nowhere\" is not a region",
        ":6: model_list[2].litellm_params.aws_role_name: \"admin\" is not a role",
        ":8: model_list[3].litellm_params.aws_web_identity_token leads to no token",
        ":9: model_list[4].litellm_params.model is missing",
        ":11: model_list[5] is a section, and holds text",
        ":12: models stands beside LiteLLM's keys; put it into a section called outcrop",
        ":13: listen stands beside LiteLLM's keys",
    ] {
        assert!(text.contains(expected), "{expected:?} in {text}");
    }
    assert_eq!(problems.iter().count(), 8, "{text}");
}

#[test]
fn both_formats_give_the_same_names() {
    let directory = Directory::new("litellm-same");
    let theirs = load(
        &directory,
        "model_list:\n- model_name: a\n  litellm_params: { model: bedrock/a.b, aws_region_name: us-west-2 }\n",
    );
    let ours = load(
        &directory,
        "models_only: true\nmodels:\n  a: { model: bedrock/a.b, region: us-west-2 }\n",
    );
    assert_eq!(theirs.models, ours.models);
}

const LIST: &str = "model_list:
- { model_name: a, litellm_params: { model: bedrock/a.b } }
- { model_name: b, litellm_params: { model: bedrock/a.c } }
- { model_name: c, litellm_params: { model: bedrock/a.d } }
- { model_name: gpt, litellm_params: { model: openai/gpt } }
";

#[test]
fn router_settings_map_to_routing() {
    let directory = Directory::new("litellm-router");
    let yaml = format!(
        "{LIST}router_settings:
  routing_strategy: latency-based-routing
  num_retries: 7
  retry_after: 3
  allowed_fails: 1
  cooldown_time: 90
  timeout: 40
  stream_timeout: 7.5
  max_fallbacks: 2
  model_group_alias: {{ other: a }}
  fallbacks: [{{ a: [gpt, b, {{ model: c, temperature: 1 }}, a] }}, {{ nobody: [a] }}]
  default_fallbacks: [c]
  context_window_fallbacks: [{{ b: [nova-pro, a] }}]
  redis_host: r
  client_ttl: 3600
  retry_policy: {{ DefaultRetries: 1 }}
  colour: red
litellm_settings:
  num_retries: 1
  content_policy_fallbacks: [{{ '*': b }}]
  request_timeout: 600
"
    );
    let config = Config::load(&directory.sources(&yaml)).unwrap();
    let provenance = &config.provenance;
    let seconds = Duration::from_secs;
    let balance = Balance {
        strategy: Strategy::Latency,
        retries: Retries {
            first_pause: seconds(3),
            longest_pause: seconds(3),
            ..Retries::default()
        },
        cooldown: Some(Cooldown {
            in_a_row: 2,
            open: seconds(90),
            longest: seconds(90),
            ..Cooldown::default()
        }),
        ..Balance::default()
    };
    assert_eq!(config.routing.balance(), balance);
    let group = |name: &str| &config.models[name];
    assert_eq!(group("b").balance, balance);
    assert_eq!(group("a").fallbacks.general, ["b", "c"], "two at most, and none that is not here");
    assert_eq!(group("other").fallbacks, group("a").fallbacks);
    assert_eq!(group("b").fallbacks.general, ["c"]);
    assert_eq!(group("b").fallbacks.context_window, ["a"]);
    assert!(group("a").fallbacks.context_window.is_empty());
    assert_eq!(group("c").fallbacks.content_policy, ["b"]);
    assert_eq!(config.routing.fallbacks.general, ["c"]);
    let timeouts = config.timeouts;
    assert_eq!(timeouts.first_byte, seconds(40));
    assert_eq!(timeouts.first_byte_stream, Duration::from_millis(7500));
    let notes = config.notes.join("\n");
    for expected in [
        "router_settings.num_retries is 7: held to 2",
        "router_settings.fallbacks.a names gpt, which is not here: left out",
        "router_settings.context_window_fallbacks.b names nova-pro, which is not here: left out",
        "router_settings.fallbacks.nobody: no such model_name here: left out",
        "router_settings.fallbacks: temperature of a fallback is ignored",
        "ignored, because connections are kept for as long as they are used: router_settings.client_ttl",
        "ignored, because the kind of a failure decides what is tried again",
        "ignored, because nothing is known of it: router_settings.colour",
    ] {
        assert!(notes.contains(expected), "{expected:?} in {notes}");
    }
    let told = |key: &str| {
        let told = provenance.iter().find(|told| told.key == key).unwrap();
        format!("{} {}", told.value, told.origin)
    };
    assert!(told("routing.strategy").starts_with("latency "), "{}", told("routing.strategy"));
    assert!(told("routing.strategy").ends_with("outcrop.yaml:7"), "{}", told("routing.strategy"));
    assert!(told("routing.retries.more").starts_with("2 "), "{}", told("routing.retries.more"));
}

#[test]
fn litellm_settings_fill_in_router_settings() {
    let directory = Directory::new("litellm-module");
    let yaml = format!(
        "{LIST}litellm_settings: {{ num_retries: 0, allowed_fails: 9, fallbacks: [{{ a: [b] }}], request_timeout: 5 }}
router_settings: {{ routing_strategy: cost-based-routing, disable_cooldowns: true }}
"
    );
    let config = load(&directory, &yaml);
    let retries = Retries { more: 0, ..Retries::default() };
    let balance = Balance { retries, cooldown: None, ..Balance::default() };
    assert_eq!(config.models["a"].balance, balance);
    assert_eq!(config.models["a"].fallbacks.general, ["b"]);
    assert_eq!(config.timeouts.first_byte_stream, Duration::from_secs(5));
    let notes = config.notes.join("\n");
    let expected = "router_settings.routing_strategy: cost-based-routing is ignored, because";
    assert!(notes.contains(expected), "{notes}");
}

/// Every key of LiteLLM's router is either applied or listed as having no effect.
#[test]
fn every_key_of_litellms_router_is_known() {
    let directory = Directory::new("litellm-all");
    for key in ROUTER_KEYS {
        let yaml = format!("{LIST}router_settings: {{ {key}: null }}\n");
        let notes = load(&directory, &yaml).notes.join("\n");
        assert!(!notes.contains("nothing is known of it"), "{key}: {notes}");
    }
}

/// The arguments of `litellm.Router` in 1.106.2.
#[rustfmt::skip]
const ROUTER_KEYS: &[&str] = &[
    "model_list", "assistants_config", "search_tools", "guardrail_list", "redis_url", "redis_host", "redis_port",
    "redis_password", "redis_db", "cache_responses", "cache_kwargs", "caching_groups", "client_ttl",
    "polling_interval", "default_priority", "num_retries", "max_fallbacks", "timeout", "stream_timeout",
    "default_litellm_params", "default_max_parallel_requests", "set_verbose", "debug_level", "default_fallbacks",
    "fallbacks", "context_window_fallbacks", "content_policy_fallbacks", "model_group_alias",
    "enable_pre_call_checks", "enable_tag_filtering", "tag_filtering_match_any", "tag_routing_prefix", "plugins",
    "retry_after", "retry_policy", "model_group_retry_policy", "allowed_fails", "allowed_fails_policy",
    "cooldown_time", "disable_cooldowns", "routing_strategy", "optional_pre_call_checks", "routing_strategy_args",
    "routing_groups", "provider_budget_config", "alerting_config", "router_general_settings",
    "deployment_affinity_ttl_seconds", "model_group_affinity_config", "ignore_invalid_deployments",
    "enable_health_check_routing", "health_check_staleness_threshold", "health_check_ignore_transient_errors",
    "background_health_check_model_groups", "enable_weighted_failover", "fallback_access_check",
    "fallback_budget_check", "auto_router_capability_limit",
];
