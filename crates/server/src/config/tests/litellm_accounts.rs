//! Tests of LiteLLM's keys for accounts: each sets one of Outcrop's, or a note says why not.

use access::ledger::FailMode;
use access::{Nanodollars, WrittenSpan};

use super::super::*;
use super::Directory;
use crate::disconnect::OnDisconnect;
use bedrock::AccountSecret;

const LIST: &str = "\
model_list:
- { model_name: a, litellm_params: { model: bedrock/a.b, default_api_key_rpm_limit: 5, max_budget: 3 } }
- { model_name: a, litellm_params: { model: bedrock/a.c, default_api_key_rpm_limit: 4, default_api_key_tpm_limit: 9 } }
router_settings: { model_group_alias: { other: a } }
";
const KEY: &str = "sk-a-master-key-of-more-than-32-characters";

fn read(name: &str, yaml: &str) -> Result<Config, Problems> {
    let directory = Directory::new(&format!("litellm-accounts-{name}"));
    let mut sources = directory.sources(&format!("{LIST}{yaml}"));
    sources.environment.insert("DATABASE".to_owned(), "postgres://of-a-variable/db".to_owned());
    Config::load(&sources)
}

fn load(name: &str, yaml: &str) -> Config {
    read(name, yaml).unwrap_or_else(|problems| panic!("{problems}"))
}

fn dollars(text: &str) -> Option<Nanodollars> {
    Nanodollars::parse(text)
}

#[test]
fn general_settings_set_the_store_end_users_and_limits() {
    let yaml = format!(
        "\
general_settings:
  master_key: {KEY}
  database_url: os.environ/DATABASE
  database_connection_pool_limit: 1
  database_connection_timeout: \"60\"
  allow_requests_on_db_unavailable: true
  cancel_on_disconnect: true
  enforce_user_param: true
  user_header_name: X-Older
  user_header_mappings:
  - {{ header_name: X-Tenant, litellm_user_role: customer }}
  - {{ header_name: X-Person, litellm_user_role: internal_user }}
  global_max_parallel_requests: 100
  max_parallel_requests: 7
  custom_auth: null
  disable_spend_logs: true
  proxy_batch_write_at: 10
  enforced_params: [user]
"
    );
    let config = load("general", &yaml);
    assert_eq!(config.database_url, Some(AccountSecret::new("postgres://of-a-variable/db")));
    let access = &config.access;
    assert_eq!((access.database.connections, access.database.timeout.as_secs()), (2, 60));
    assert_eq!(access.fail_mode, FailMode::Open);
    assert_eq!(access.on_disconnect, OnDisconnect::Cancel);
    assert!(access.require_end_user);
    assert_eq!(access.end_user_headers, ["x-tenant"]);
    assert_eq!(access.gateway.max_parallel_requests, Some(100));
    assert_eq!(access.every_key.max_parallel_requests, Some(7));
    let rates =
        |map: &Option<BTreeMap<String, u64>>| map.clone().unwrap().into_iter().collect::<Vec<_>>();
    let of = |rate| vec![("a".to_owned(), rate), ("other".to_owned(), rate)];
    assert_eq!(rates(&access.every_key.model_rpm_limit), of(4), "the least of both entries");
    assert_eq!(rates(&access.every_key.model_tpm_limit), of(9));
    let notes = config.notes.join("\n");
    for expected in [
        "user_header_mappings[1] is ignored, because a call's user is that of its key here",
        "ignored, because rows of calls are what budgets are counted from: general_settings.disable_spend_logs",
        "there is no such job here",
        "this version does not enforce it: the limit is open: general_settings.enforced_params, litellm_params.max_budget",
    ] {
        assert!(notes.contains(expected), "{expected:?} in {notes}");
    }
    let told: Vec<_> =
        config.provenance.iter().filter(|told| told.key == "access.fail_mode").collect();
    assert_eq!((told.len(), told[0].value.as_str()), (1, "open"));
    assert!(told[0].origin.to_string().ends_with(":10"), "{}", told[0].origin);
    let older = load("older", "general_settings: { user_header_name: X-Older }\n");
    assert_eq!(older.access.end_user_headers, ["x-older"]);
}

#[test]
fn litellm_settings_set_budgets_and_rules_of_records() {
    let yaml = format!(
        "\
general_settings: {{ master_key: {KEY} }}
litellm_settings:
  max_budget: 100
  budget_duration: 30d
  max_end_user_budget: 0.5
  max_end_user_budget_id: small
  budget_exceeded_status_code: 400
  timezone: Europe/Berlin
  tag_budget_config:
    batch: {{ max_budget: 5, budget_duration: 1d }}
    other: {{ budget_limit: 6, time_period: 7d, rpm_limit: 8 }}
  default_key_generate_params: {{ max_budget: 1.5, models: [a], duration: 28d }}
  upperbound_key_generate_params: {{ max_budget: 10, budget_duration: 10d, duration: 30d, max_parallel_requests: 1000, tpm_limit: 1000, rpm_limit: 60 }}
  default_internal_user_params: {{ user_role: internal_user, budget_duration: 7d, available_teams: [t] }}
  max_internal_user_budget: 4
  internal_user_budget_duration: 1mo
  default_team_params: {{ rpm_limit: 6 }}
  default_team_settings: [{{ team_id: t, max_budget: 50, success_callback: [langfuse] }}]
  redact_user_api_key_info: true
"
    );
    let config = load("module", &yaml);
    let Config { access, admin, .. } = &config;
    assert_eq!(access.gateway.max_budget, dollars("100"));
    assert_eq!(access.gateway.budget_duration, WrittenSpan::parse("30d"));
    assert_eq!(access.unknown_end_users.max_budget, dollars("0.5"));
    assert_eq!(access.unknown_end_users.budget_id.as_deref(), Some("small"));
    assert_eq!(access.budget_exceeded_status.0, 400);
    assert_eq!(admin.budget_timezone, "Europe/Berlin");
    assert_eq!(access.tags["batch"].max_budget, dollars("5"));
    assert_eq!(access.tags["other"].max_budget, dollars("6"));
    assert_eq!(access.tags["other"].budget_duration, WrittenSpan::parse("7d"));
    assert_eq!(access.tags["other"].rpm_limit, Some(8));
    let shown = |defaults: &RecordDefaults| format!("{defaults:?}");
    assert_eq!(shown(&admin.key_defaults), r#"{"max_budget":1.5,"models":["a"],"duration":"28d"}"#);
    let bounds = &admin.key_bounds;
    assert_eq!((bounds.max_budget, bounds.rpm_limit), (dollars("10"), Some(60)));
    assert_eq!((bounds.tpm_limit, bounds.max_parallel_requests), (Some(1000), Some(1000)));
    assert_eq!(bounds.duration, WrittenSpan::parse("30d"));
    assert_eq!(bounds.budget_duration, WrittenSpan::parse("10d"));
    let users = r#"{"user_role":"internal_user","budget_duration":"7d","max_budget":4.0}"#;
    assert_eq!(shown(&admin.user_defaults), users);
    assert_eq!(shown(&admin.team_defaults), r#"{"rpm_limit":6,"max_budget":50.0}"#);
    let notes = config.notes.join("\n");
    assert!(
        notes.contains("has no effect here yet: default_team_settings.success_callback"),
        "{notes}"
    );
    for none in ["0", "0.0", "-1"] {
        let free = load("free", &format!("litellm_settings: {{ max_budget: {none} }}\n"));
        assert_eq!(free.access.gateway.max_budget, None, "{none}");
    }
}

#[test]
fn what_would_not_guard_ends_the_start() {
    let yaml = format!(
        "\
general_settings:
  master_key: {KEY}
  custom_auth: my_auth.user_api_key_auth
  custom_key_generate: my_auth.generate
  user_header_mappings: [{{ header_name: x-api-key, litellm_user_role: customer }}]
  database_connection_pool_limit: many
litellm_settings:
  max_budget: lots
  budget_exceeded_status_code: 402
  upperbound_key_generate_params: {{ tpd_limit: 5 }}
  default_key_generate_params: {{ enforced_params: [user] }}
  default_team_params: {{ max_budget: lots }}
outcrop: {{ access: {{ fail_mode: closed }} }}
"
    );
    let problems = read("guards", &yaml).unwrap_err();
    let text = problems.to_string();
    for expected in [
        ":7: general_settings.custom_auth names Python",
        ":8: general_settings.custom_key_generate names Python",
        "user_header_mappings[0].header_name: \"x-api-key\" is not names of headers that hold no key",
        "general_settings.database_connection_pool_limit: \"many\" is not a whole number",
        "litellm_settings.max_budget: \"lots\" is not a number of dollars",
        "litellm_settings.budget_exceeded_status_code: 402 is not 429, 422 or 400",
        "upperbound_key_generate_params.tpd_limit is not a key",
        "default_key_generate_params.enforced_params: no such field is known here",
        "default_team_params.max_budget: invalid type",
    ] {
        assert!(text.contains(expected), "{expected:?} in {text}");
    }
    assert_eq!(problems.iter().count(), 9, "{text}");
    let limits = read("no-key", "litellm_settings: { max_budget: 1 }\n").unwrap_err().to_string();
    assert!(limits.contains("access.gateway limits calls, and without a master key"), "{limits}");
    let twice = "general_settings: { enforce_user_param: true }\noutcrop: { access: { require_end_user: false } }\n";
    let twice = read("twice", twice).unwrap_err().to_string();
    let expected = "general_settings.enforce_user_param and outcrop.access.require_end_user say the same thing twice";
    assert!(twice.contains(expected), "{twice}");
    let list = "model_list: [{ model_name: 'a*', litellm_params: { model: bedrock/*, default_api_key_rpm_limit: 1 } }]\n";
    let directory = Directory::new("litellm-accounts-pattern");
    let pattern = Config::load(&directory.sources(list)).unwrap_err().to_string();
    assert!(pattern.contains("limits the keys of a*, whose names cannot be told"), "{pattern}");
}

#[test]
fn variables_of_the_file_name_the_store_and_the_key() {
    let yaml = format!(
        "environment_variables: {{ DATABASE_URL: postgres://of-the-file/db, LITELLM_MASTER_KEY: {KEY}, LITELLM_SALT_KEY: s }}\n"
    );
    let config = load("variables", &yaml);
    assert_eq!(config.database_url, Some(AccountSecret::new("postgres://of-the-file/db")));
    assert_eq!(config.master_key, Some(MasterKey::Key(AccountSecret::new(KEY))));
    let notes = config.notes.join("\n");
    let expected =
        "pepper of Outcrop's own (OUTCROP_KEY_PEPPER): environment_variables.LITELLM_SALT_KEY";
    assert!(notes.contains(expected), "{notes}");
    let yaml = format!(
        "{yaml}general_settings: {{ database_url: postgres://of-the-settings/db, master_key: sk-another }}\n"
    );
    let config = load("variables-and-keys", &yaml);
    assert_eq!(config.database_url, Some(AccountSecret::new("postgres://of-the-settings/db")));
    assert_eq!(config.master_key, Some(MasterKey::Key(AccountSecret::new("sk-another"))));
    let directory = Directory::new("litellm-accounts-environment");
    let mut sources = directory.sources(&format!("{LIST}{yaml}"));
    sources
        .environment
        .insert("DATABASE_URL".to_owned(), "postgres://of-the-process/db".to_owned());
    let config = Config::load(&sources).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(config.database_url, Some(AccountSecret::new("postgres://of-the-process/db")));
}
