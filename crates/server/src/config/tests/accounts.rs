//! Tests of the settings of accounts: limits that the configuration gives, and rules for new records.

use access::{Limits, Nanodollars, WrittenSpan};

use super::super::*;
use super::Directory;

fn load(yaml: &str) -> Result<Config, Problems> {
    let directory = Directory::new(&format!("accounts-{}", yaml.len()));
    Config::load(&directory.sources(yaml))
}

fn dollars(text: &str) -> Option<Nanodollars> {
    Nanodollars::parse(text)
}

#[test]
fn limits_and_rules_are_read() {
    let config = load(
        "\
master_key: sk-a-master-key-of-more-than-32-characters
access:
  end_user_headers: [X-Tenant, x-user]
  require_end_user: true
  database: { connections: 3, timeout: 0.5 }
  gateway: { max_budget: 100.5, budget_duration: 30d, max_parallel_requests: 7 }
  every_key: { rpm_limit: 60, model_tpm_limit: { sonnet: 1000 } }
  unknown_end_users: { max_budget: 1, budget_id: small }
  tags: { batch: { max_budget: 5, budget_duration: monthly } }
admin:
  key_defaults: { max_budget: 10, models: [nova-lite], tags: [a] }
  key_bounds: { max_budget: 20, duration: 90d, tpm_limit: 0 }
  team_defaults: { rpm_limit: 5, team_member_budget: 2 }
  user_defaults: { user_role: internal_user, max_budget: 3 }
",
    )
    .unwrap_or_else(|problems| panic!("{problems}"));
    let access = &config.access;
    assert_eq!(access.end_user_headers, ["x-tenant", "x-user"]);
    assert!(access.require_end_user);
    assert_eq!(access.database.connections, 3);
    assert_eq!(access.database.timeout, Duration::from_millis(500));
    let gateway = Limits {
        max_budget: dollars("100.5"),
        budget_duration: WrittenSpan::parse("30d"),
        max_parallel_requests: Some(7),
        ..Limits::default()
    };
    assert_eq!(access.gateway, gateway);
    assert_eq!(access.every_key.rpm_limit, Some(60));
    assert_eq!(access.every_key.model_tpm_limit.as_ref().unwrap()["sonnet"], 1000);
    assert_eq!(access.unknown_end_users.own().max_budget, dollars("1"));
    assert_eq!(access.unknown_end_users.budget_id.as_deref(), Some("small"));
    assert_eq!(access.tags["batch"].budget_duration, WrittenSpan::parse("monthly"));
    let admin = &config.admin;
    assert_eq!(
        format!("{:?}", admin.key_defaults),
        r#"{"max_budget":10,"models":["nova-lite"],"tags":["a"]}"#
    );
    assert_eq!(admin.key_bounds.max_budget, dollars("20"));
    assert_eq!(admin.key_bounds.duration, WrittenSpan::parse("90d"));
    assert_eq!(admin.key_bounds.tpm_limit, Some(0));
    assert_eq!(format!("{:?}", admin.team_defaults), r#"{"rpm_limit":5,"team_member_budget":2}"#);
    let origin = config.provenance.origin("access.gateway.max_budget").unwrap();
    assert!(origin.to_string().ends_with(":6"), "{origin}");
}

#[test]
fn values_that_could_not_be_kept_are_problems() {
    let problems = load(
        "\
master_key: sk-a-master-key-of-more-than-32-characters
access:
  end_user_headers: [x-api-key]
  database: { connections: 1 }
  gateway: { max_budget: -1, budget_duration: 0d, rpm_limit: 1.5 }
  tags: { a: { max_budget: many } }
admin:
  key_defaults: { max_budget: -1, tpm_limt: 5, key_alias: a, models: nova }
  key_bounds: { duration: soon }
  team_defaults: { team_member_budget: x, team_alias: a }
  user_defaults: { user_role: emperor }
",
    )
    .unwrap_err();
    let text = problems.to_string();
    for expected in [
        "access.end_user_headers: a list is not names of headers that hold no key",
        "access.database.connections: 1 is not a whole number from 2",
        "access.gateway.max_budget: -1 is not a number of dollars from 0",
        "access.gateway.budget_duration: \"0d\" is not a window",
        "access.gateway.rpm_limit: 1.5 is not a whole number from 0",
        "access.tags.a.max_budget: \"many\" is not a number of dollars",
        "admin.key_defaults.max_budget: max_budget cannot be negative",
        "admin.key_defaults.tpm_limt: no such field is known here",
        "admin.key_defaults.key_alias: a field of one key alone",
        "admin.key_defaults.models: invalid type",
        "admin.key_bounds.duration: \"soon\" is not a time",
        "admin.team_defaults.team_member_budget: invalid type",
        "admin.team_defaults.team_alias: a field of one team alone",
        "admin.user_defaults.user_role: unknown variant",
    ] {
        assert!(text.contains(expected), "{expected:?} in {text}");
    }
    assert_eq!(problems.iter().count(), 14, "{text}");
}

#[test]
fn limits_that_no_accounts_would_count_are_a_problem() {
    for limits in [
        "gateway: { max_budget: 1 }",
        "unknown_end_users: { budget_id: small }",
        "tags: { a: { rpm_limit: 1 } }",
    ] {
        let problems = load(&format!("access: {{ {limits} }}\n")).unwrap_err().to_string();
        assert!(problems.contains("without a master key no calls are counted"), "{problems}");
        let key = "sk-a-master-key-of-more-than-32-characters";
        assert!(load(&format!("access: {{ {limits} }}\nmaster_key: {key}\n")).is_ok(), "{limits}");
    }
}
