//! Tests of LiteLLM's file: entries, credentials, guardrails, included files and values as LiteLLM
//! reads them.

use super::super::*;
use super::Directory;
use bedrock::{AccountSecret, AccountSpec, FirstByte, Login};
use routing::{Guardrail, GuardrailMode, TargetSettings};

const NOVA: &str = "bedrock/us.amazon.nova-lite-v1:0";
const ROLE: &str = "arn:aws:iam::123456789012:role/team";

fn load_with(directory: &Directory, yaml: &str, environment: &[(&str, &str)]) -> Config {
    let mut sources = directory.sources(yaml);
    let pairs = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    sources.environment.extend(pairs);
    Config::load(&sources).unwrap_or_else(|problems| panic!("{problems}"))
}

fn load(directory: &Directory, yaml: &str) -> Config {
    load_with(directory, yaml, &[])
}

fn refused(directory: &Directory, yaml: &str) -> String {
    Config::load(&directory.sources(yaml)).unwrap_err().to_string()
}

fn target<'c>(config: &'c Config, name: &str) -> &'c TargetSettings {
    &config.models[name].targets[0]
}

fn keys(id: &str) -> Login {
    Login::Keys {
        access_key_id: id.to_owned(),
        secret_access_key: AccountSecret::new("s"),
        session_token: None,
    }
}

fn entry(params: &str) -> String {
    format!("model_list:\n- model_name: m\n  litellm_params: {{ model: \"{NOVA}\", {params} }}\n")
}

#[test]
fn model_id_is_called_and_model_sets_the_behaviour() {
    const ARN: &str = "arn:aws:bedrock:eu-central-1:1:application-inference-profile/abc";
    let directory = Directory::new("litellm-model-id");
    let config = load(&directory, &entry(&format!("model_id: \"{ARN}\"")));
    assert_eq!(target(&config, "m").model, format!("bedrock/{ARN}"));
    assert_eq!(target(&config, "m").overrides.base_model.as_deref(), Some(NOVA));
    assert_eq!(
        target(&config, "m").place,
        AccountSpec::in_region("eu-central-1"),
        "the ARN's own region"
    );
    let told = entry(&format!("model_id: \"{ARN}\", aws_region_name: us-east-1"));
    assert_eq!(target(&load(&directory, &told), "m").place, AccountSpec::in_region("us-east-1"));
}

#[test]
fn imported_models_behave_like_their_family() {
    const ARN: &str = "arn:aws:bedrock:us-east-1:1:imported-model/abc";
    let directory = Directory::new("litellm-family");
    let yaml = format!(
        "model_list:\n- model_name: m\n  litellm_params: {{ model: bedrock/us-west-2/llama/{ARN} }}\n"
    );
    let config = load(&directory, &yaml);
    assert_eq!(target(&config, "m").model, format!("bedrock/us-west-2/{ARN}"));
    assert_eq!(target(&config, "m").place, AccountSpec::in_region("us-west-2"));
    let base = target(&config, "m").overrides.base_model.as_deref();
    assert!(base.is_some_and(|base| base.starts_with("meta.llama")), "{base:?}");
}

#[test]
fn other_surfaces_are_skipped_and_named() {
    let directory = Directory::new("litellm-surfaces");
    let yaml = format!(
        "model_list:\n- {{ model_name: a, litellm_params: {{ model: bedrock/mantle/x.y }} }}\n- {{ model_name: b, litellm_params: {{ model: \"{NOVA}\" }} }}\n"
    );
    let config = load(&directory, &yaml);
    assert_eq!(config.models.keys().collect::<Vec<_>>(), ["b"]);
    assert!(config.notes.join("\n").contains("not served: a (mantle)"), "{:?}", config.notes);
}

#[test]
fn an_entrys_own_values_override_its_credential() {
    let directory = Directory::new("litellm-credentials");
    let list = format!(
        "credential_list:\n- credential_name: c\n  credential_values: {{ aws_access_key_id: A, aws_secret_access_key: s, aws_region_name: us-west-2 }}\n- credential_name: r\n  credential_values: {{ aws_role_name: '{ROLE}', aws_session_name: gw }}\n  credential_info: {{ description: d }}\n"
    );
    let config = load(&directory, &format!("{}{list}", entry("litellm_credential_name: c")));
    let place = &target(&config, "m").place;
    assert_eq!(
        place,
        &AccountSpec { login: Some(keys("A")), ..AccountSpec::in_region("us-west-2") }
    );
    let own = entry("litellm_credential_name: c, aws_region_name: eu-west-1");
    let config = load(&directory, &format!("{own}{list}"));
    assert_eq!(target(&config, "m").place.region.as_deref(), Some("eu-west-1"));
    let config = load(&directory, &format!("{}{list}", entry("litellm_credential_name: r")));
    assert_eq!(target(&config, "m").place.role.as_ref().map(|role| role.arn.as_str()), Some(ROLE));
    let text = refused(&directory, &format!("{}{list}", entry("litellm_credential_name: other")));
    assert!(text.contains("no credential \"other\" in credential_list"), "{text}");
}

#[test]
fn an_entry_with_an_unknown_guardrail_is_not_served() {
    let directory = Directory::new("litellm-guardrails");
    let on = |id: &str, version: &str| Guardrail {
        id: id.to_owned(),
        version: version.to_owned(),
        mode: GuardrailMode::Default,
    };
    let guardrail = |params: &str, environment: &[(&str, &str)]| {
        let config = load_with(&directory, &entry(params), environment);
        config.models.get("m").map(|group| group.guardrail.clone())
    };
    let headers = "extra_headers: { X-Amzn-Bedrock-GuardrailIdentifier: os.environ/G, x-amzn-bedrock-guardrailversion: 2, X-Team: a }";
    assert_eq!(guardrail(headers, &[("G", "abc")]), Some(Some(on("abc", "2"))));
    assert_eq!(guardrail(headers, &[]), None, "an entry whose guardrail is not told is not served");
    assert_eq!(guardrail(headers, &[("G", " ")]), None);
    let config = "guardrailConfig: { guardrailIdentifier: abc }";
    assert_eq!(guardrail(config, &[]), Some(Some(on("abc", "DRAFT"))));
    assert_eq!(guardrail("guardrailConfig: { guardrailIdentifier: os.environ/G }", &[]), None);
    assert_eq!(guardrail("guardrailConfig: { guardrailVersion: 1 }", &[]), None);
    assert_eq!(guardrail("extra_headers: { X-Team: a }", &[]), Some(None));
    let unset = "guardrailConfig: { guardrailIdentifier: abc, guardrailVersion: os.environ/V }";
    assert_eq!(guardrail(unset, &[]), None, "a version that is told and not known");
    let two = format!("{config}, {headers}");
    let text = refused(&directory, &entry(&two.replace("os.environ/G", "other")));
    assert!(text.contains("name different guardrails"), "{text}");
}

#[test]
fn default_guardrails_apply_to_every_name() {
    let directory = Directory::new("litellm-default-guardrails");
    let list = |params: &str| {
        format!("{}guardrails:\n- guardrail_name: g\n  litellm_params: {{ {params} }}\n", entry(""))
    };
    let bedrock = "guardrail: bedrock, mode: during_call, guardrailIdentifier: abc, guardrailVersion: DRAFT, default_on: true";
    let config = load(&directory, &list(bedrock));
    let on =
        Guardrail { id: "abc".into(), version: "DRAFT".into(), mode: GuardrailMode::Mandatory };
    assert_eq!(config.models["m"].guardrail, Some(on));
    let off = bedrock.replace("default_on: true", "default_on: false");
    let config = load(&directory, &list(&off));
    assert_eq!(config.models["m"].guardrail, None);
    for params in [
        bedrock.replace("guardrail: bedrock", "guardrail: lakera"),
        bedrock.replace("guardrailIdentifier: abc, ", ""),
        bedrock.replace("guardrailIdentifier: abc", "guardrailIdentifier: os.environ/NOT_SET"),
    ] {
        let text = refused(&directory, &list(&params));
        assert!(text.contains("guardrails[0]"), "{params}: {text}");
    }
}

#[test]
fn only_listed_names_are_served_unless_the_file_says_otherwise() {
    let directory = Directory::new("litellm-only");
    let config = load(&directory, &entry(""));
    assert_eq!(config.models_only, Unlisted::Refused);
    let own = "outcrop:\n  models_only: false\n  native: { root: true }\n  listen: 127.0.0.1:1\n";
    let config = load(&directory, &format!("{}{own}", entry("")));
    assert_eq!(config.models_only, Unlisted::Served);
    assert!(config.native.root);
    assert_eq!(config.listen.port(), 1);
    let text = refused(&directory, &format!("{}outcrop: {{ lisen: 1 }}\n", entry("")));
    assert!(text.contains("lisen is not a key; did you mean listen?"), "{text}");
}

#[test]
fn included_files_are_merged_and_lists_joined() {
    let directory = Directory::new("litellm-include");
    let other = "model_list:\n- model_name: other\n  litellm_params: { model: bedrock/a.b }\nlitellm_settings: { num_retries: 0 }\n";
    let path = directory.write("other.yaml", other);
    let main = "include:\n- other.yaml\nlitellm_settings: { num_retries: 2 }\n";
    let config = load(&directory, main);
    assert_eq!(config.models.keys().collect::<Vec<_>>(), ["other"]);
    assert_eq!(config.routing.retries.more, 0, "the included file comes later");
    assert!(config.read_files.contains(&path), "a change of it is a reason to read again");
    let config = load(&directory, &format!("{}include: [other.yaml]\n", entry("")));
    assert_eq!(config.models.keys().collect::<Vec<_>>(), ["m", "other"]);
    directory.write("other.yaml", "include: [outcrop.yaml]\nmodel_list:\n- just text\n");
    let text = refused(&directory, main);
    assert!(text.contains("other.yaml:3: model_list[0]"), "{text}");
    let text = refused(&directory, "include: [missing.yaml]\n");
    assert!(text.contains("missing.yaml cannot be read"), "{text}");
}

#[test]
fn a_litellm_file_is_recognised_without_a_model_list() {
    let directory = Directory::new("litellm-empty");
    let config = load(&directory, "general_settings: { store_model_in_db: true }\n");
    assert!(config.notes.join("\n").contains("no model of Bedrock's is listed"));
    assert_eq!(config.models_only, Unlisted::Refused);
}

#[test]
fn environment_variables_set_the_gateways_account() {
    let directory = Directory::new("litellm-environment");
    let variables = "environment_variables: { AWS_ACCESS_KEY_ID: A, AWS_SECRET_ACCESS_KEY: os.environ/S, AWS_REGION_NAME: us-west-2, OTHER: 1 }\n";
    let yaml = format!("{}{variables}", entry(""));
    let config = load_with(&directory, &yaml, &[("S", "s"), ("AWS_ACCESS_KEY_ID", "outer")]);
    let expected = AccountSpec { login: Some(keys("A")), ..AccountSpec::in_region("us-west-2") };
    assert_eq!(config.account, expected);
    assert!(config.notes.join("\n").contains("environment_variables.OTHER"), "{:?}", config.notes);
}

#[test]
fn litellms_variables_fill_in_missing_values() {
    let directory = Directory::new("litellm-variables");
    let role = [("AWS_ROLE_NAME", ROLE), ("AWS_SESSION_NAME", "gw"), ("AWS_EXTERNAL_ID", "e")];
    let config = load_with(&directory, &entry(""), &role);
    let own = config.account.role.as_ref().unwrap();
    assert_eq!((own.arn.as_str(), own.session_name.as_deref()), (ROLE, Some("gw")));
    assert_eq!(own.external_id.as_deref(), Some("e"));
    let params = "aws_access_key_id: A, aws_secret_access_key: s";
    let config = load_with(&directory, &entry(params), &role);
    assert!(target(&config, "m").place.role.is_some(), "taken on with the entry's keys");
    let config = load_with(&directory, &entry(""), &[("AWS_PROFILE_NAME", "team")]);
    assert_eq!(config.account.login, Some(Login::Profile("team".to_owned())));
}

#[test]
fn litellm_values_are_read_as_in_python() {
    let directory = Directory::new("litellm-values");
    let yaml = format!(
        "{}router_settings: {{ num_retries: \"2\", timeout: \"600\", retry_after: \"5\", cooldown_time: 0 }}\nlitellm_settings: {{ drop_params: \"True\", request_timeout: 999999 }}\n",
        entry("rpm: \"100\", tpm: 0, order: 1.0, timeout: 1, stream_timeout: 0.5, api_key: \"\"")
    );
    let config = load(&directory, &yaml);
    let target = target(&config, "m");
    assert_eq!(target.rpm.map(std::num::NonZeroU32::get), Some(100));
    assert_eq!((target.tpm, target.order, &target.place.login), (None, 1, &None));
    let (unary, stream) = (Some(Duration::from_secs(1)), Some(Duration::from_millis(500)));
    assert_eq!(target.place.first_byte, FirstByte { unary, stream });
    assert_eq!(config.routing.cooldown, None);
    assert_eq!(config.routing.retries.more, 2);
    assert_eq!(config.timeouts.first_byte, Duration::from_secs(600));
    assert_eq!(config.unsupported_params, Unsupported::Drop);
    let config = load(&directory, &format!("{}router_settings: {{ timeout: 0 }}\n", entry("")));
    assert_eq!(config.timeouts, TimeLimits::default());
}

#[test]
fn blank_variables_count_as_unset() {
    let directory = Directory::new("litellm-blank");
    let params = "aws_access_key_id: os.environ/ID, aws_secret_access_key: os.environ/SECRET, aws_session_token: os.environ/B, api_key: os.environ/B, api_base: os.environ/B, aws_role_name: os.environ/B, aws_profile_name: os.environ/B, aws_region_name: os.environ/B";
    let environment = [("ID", "A"), ("SECRET", "s"), ("B", "")];
    let config = load_with(&directory, &entry(params), &environment);
    assert_eq!(
        target(&config, "m").place,
        AccountSpec { login: Some(keys("A")), ..AccountSpec::default() }
    );
    assert!(config.notes.join("\n").contains("which is blank: left out"), "{:?}", config.notes);
    let mut sources = directory.sources("region: os.environ/B\n");
    sources.environment.insert("B".to_owned(), String::new());
    let text = Config::load(&sources).unwrap_err().to_string();
    assert!(text.contains("region is to come from B, which is blank; set B"), "{text}");
}

#[test]
fn the_later_duplicate_is_used_and_other_providers_names_are_unchecked() {
    let directory = Directory::new("litellm-twice");
    let yaml = format!(
        "model_list:\n- model_name: m\n  litellm_params:\n    model: {NOVA}\n    aws_region_name: us-east-1\n    aws_region_name: us-west-2\n- model_name: 'x/*/y-*'\n  litellm_params: {{ model: 'openai/*' }}\n"
    );
    let config = load(&directory, &yaml);
    assert_eq!(target(&config, "m").place, AccountSpec::in_region("us-west-2"));
    let notes = config.notes.join("\n");
    assert!(notes.contains("line 6: aws_region_name stands on line 5 too"), "{notes}");
}

#[test]
fn prices_of_an_entry_replace_those_of_the_catalogue() {
    use access::spend::{Part, Price};

    let directory = Directory::new("prices-of-an-entry");
    let yaml = |params: &str, information: &str| {
        format!("{}  model_info: {{ {information} }}\n", entry(params))
    };
    let price = |params: &str, information: &str| {
        let config = load(&directory, &yaml(params, information));
        target(&config, "m").overrides.price.clone()
    };
    let per_million = |price: &Price, tokens: u64, part| {
        let (_, rates) = price.step(tokens);
        rates.of(part).map(|rate| rate.listed(part).unwrap().to_string())
    };
    assert_eq!(price("", "mode: chat"), None);
    let stated = price(
        "input_cost_per_token: 0.000003, output_cost_per_token: 1.5e-05, cache_read_input_token_cost: \"3e-07\", input_cost_per_token_above_200k_tokens: 0.000006",
        "input_cost_per_token: 9",
    );
    let stated = stated.unwrap();
    for (tokens, part, expected) in [
        (1, Part::Input, Some("3")),
        (1, Part::Output, Some("15")),
        (1, Part::CacheRead, Some("0.3")),
        // Not stated: what other tokens of the prompt cost.
        (1, Part::CacheWrite, Some("3")),
        (1, Part::CacheWrite1h, Some("3")),
        (1, Part::Image, None),
        (200_000, Part::Input, Some("3")),
        (200_001, Part::Input, Some("6")),
        (200_001, Part::Output, Some("15")),
    ] {
        let found = per_million(&stated, tokens, part);
        assert_eq!(found.as_deref(), expected, "{part:?} of {tokens}");
    }
    let informed = price("", "output_cost_per_image: 0.04").unwrap();
    assert_eq!(per_million(&informed, 1, Part::OutputImage).as_deref(), Some("0.04"));
    for wrong in ["input_cost_per_token: -1", "input_cost_per_token: cheap"] {
        let refusal = refused(&directory, &yaml(wrong, ""));
        assert!(refusal.contains("input_cost_per_token"), "{refusal}");
    }
}
