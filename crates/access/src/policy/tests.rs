//! Lists of models, routes and what is handed on.

use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::record::{KeyInput, TeamRecord, UserRecord};
use crate::{Admission, Denied, Principal, UtcTime, admit};

fn holder(key: serde_json::Value, team: Option<&[&str]>) -> Holder {
    let mut record = KeyRecord::default();
    let input: KeyInput = serde_json::from_value(key).unwrap();
    record.apply(input, UtcTime::from_millis(0)).unwrap();
    let models = |models: &[&str]| models.iter().map(|model| (*model).to_owned()).collect();
    let team = team.map(|list| TeamRecord { models: models(list), ..TeamRecord::default() });
    Holder { key: record, team, ..Holder::default() }
}

fn admitted(holder: Holder) -> Admission {
    admit(Principal::Key(Arc::new(holder))).unwrap()
}

fn facts<'m>(names: &'m [&'m str], geographies: &'m [&'m str]) -> ModelFacts<'m> {
    ModelFacts { asked: names[0], names, geographies }
}

#[test]
fn patterns_match_whole_names() {
    for (pattern, name, expected) in [
        ("*", "anything", true),
        ("nova-*", "nova-lite", true),
        ("nova-*", "my-nova-lite", false),
        ("family/*", "family/a", true),
        ("*lite", "nova-lite", true),
        ("a*b*c", "a-b-b-c", true),
        ("a*b*c", "a-c", false),
        ("ab*ba", "aba", false),
        ("sonnet", "sonnet-5", false),
        ("", "", true),
    ] {
        assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
    }
}

#[test]
fn a_users_models_are_those_of_keys_without_a_team() {
    let none = UserRecord { models: vec!["no-default-models".to_owned()], ..UserRecord::default() };
    for (team, expected) in [(None, false), (Some(&["sonnet"][..]), true)] {
        let holder = Holder { user: Some(none.clone()), ..holder(json!({}), team) };
        let granted = admitted(holder).check_model(&facts(&["sonnet"], &["eu"])).is_ok();
        assert_eq!(granted, expected);
    }
}

#[test]
fn a_model_needs_the_grant_of_every_level() {
    for (key, team, names, refusing) in [
        (json!({}), None, &["sonnet"][..], None),
        (json!({"models": ["sonnet"]}), None, &["sonnet"], None),
        (json!({"models": ["sonnet"]}), None, &["opus"], Some(ScopeKind::Key)),
        (json!({"models": ["base-id"]}), None, &["eu.base-id", "base-id"], None),
        (
            json!({"models": ["sonnet", "opus"]}),
            Some(&["sonnet"][..]),
            &["opus"],
            Some(ScopeKind::Team),
        ),
        (json!({"models": ["all-team-models"]}), Some(&["sonnet"]), &["sonnet"], None),
        (
            json!({"models": ["all-team-models"]}),
            Some(&["sonnet"]),
            &["opus"],
            Some(ScopeKind::Team),
        ),
        (json!({"models": ["all-team-models"]}), None, &["sonnet"], Some(ScopeKind::Key)),
        (json!({"models": ["all-proxy-models"]}), None, &["sonnet"], None),
        (json!({"models": ["no-default-models"]}), None, &["sonnet"], Some(ScopeKind::Key)),
    ] {
        let admission = admitted(holder(key.clone(), team));
        let found = admission.check_model(&facts(names, &["eu"])).err();
        let expected = refusing.map(|level| Denied::Model { model: names[0].to_owned(), level });
        assert_eq!(found, expected, "{key} {team:?} {names:?}");
    }
}

#[test]
fn geographies_operations_and_blocks_are_refused_by_level() {
    let limited = json!({"allowed_geographies": ["eu"], "allowed_operations": ["Converse"]});
    let admission = admitted(holder(limited, None));
    assert_eq!(admission.check_model(&facts(&["sonnet"], &["eu"])), Ok(()));
    let elsewhere = admission.check_model(&facts(&["sonnet"], &["global"]));
    let level = ScopeKind::Key;
    assert_eq!(elsewhere, Err(Denied::Geography { geography: "global".into(), level }));
    assert_eq!(admission.check_operation("Converse"), Ok(()));
    let operation = "StartAsyncInvoke".to_owned();
    assert_eq!(admission.check_operation(&operation), Err(Denied::Operation { operation, level }));
    let blocked = holder(json!({"blocked": true}), None);
    assert_eq!(admit(Principal::Key(Arc::new(blocked))).err(), Some(Denied::Blocked { level }));
}

#[test]
fn routes_follow_the_type_and_the_list() {
    use RouteGroup::{Information, Management, Models, Spend};
    for (key, granted) in [
        (json!({}), vec![Models, Information, Spend, Management]),
        (json!({"key_type": "llm_api"}), vec![Models]),
        (json!({"key_type": "management"}), vec![Information, Spend, Management]),
        (json!({"key_type": "read_only"}), vec![Information, Spend]),
        (json!({"allowed_routes": ["llm_api_routes"]}), vec![Models]),
        (json!({"allowed_routes": ["/x"], "key_type": "llm_api"}), vec![Models]),
        (json!({"allowed_routes": ["/y"]}), vec![]),
    ] {
        let admission = admitted(holder(key.clone(), None));
        for group in [Models, Information, Spend, Management] {
            let found = admission.check_route(CallRoute { name: "/x", group }).is_ok();
            assert_eq!(found, granted.contains(&group), "{key} {group:?}");
        }
    }
}

#[test]
fn aliases_are_the_keys_before_the_teams() {
    let mut holder = holder(json!({"aliases": {"a": "sonnet"}}), Some(&[]));
    let team = holder.team.as_mut().unwrap();
    team.model_aliases
        .extend([("a".to_owned(), "opus".to_owned()), ("b".to_owned(), "nova".to_owned())]);
    let admission = admitted(holder);
    assert_eq!(
        (admission.alias("a"), admission.alias("b"), admission.alias("c")),
        (Some("sonnet"), Some("nova"), None)
    );
}

#[test]
fn passthrough_routes_stand_for_what_is_below_them() {
    for (allowed, denied, path, expected) in [
        (json!(null), json!(null), "/bedrock/model/m/converse", true),
        (json!([]), json!(null), "/bedrock/model/m/converse", true),
        (json!(["/bedrock"]), json!(null), "/bedrock/model/m/converse", true),
        (json!(["/bedrock/model/*"]), json!(null), "/bedrock/model/m/converse", true),
        (json!(["/bedrock/model/*"]), json!(null), "/bedrock/models", false),
        (json!(["/vertex"]), json!(null), "/bedrock/model/m/converse", false),
        (json!(null), json!(["/bedrock/guardrail"]), "/bedrock/guardrail/g/version/1/apply", false),
        (json!(["/bedrock"]), json!(["/bedrock/model"]), "/bedrock/model/m/converse", false),
        (json!(["*"]), json!(null), "/bedrock/model/m/converse", true),
    ] {
        let fields =
            json!({"allowed_passthrough_routes": allowed, "denied_passthrough_routes": denied});
        let admission = admitted(holder(fields.clone(), None));
        assert_eq!(admission.check_passthrough(path).is_ok(), expected, "{fields} {path}");
    }
}

#[test]
fn a_key_hands_on_no_more_than_it_has() {
    let creator = json!({"models": ["nova-*", "sonnet"], "max_budget": 10, "rpm_limit": 60, "duration": "30d",
        "allowed_geographies": ["eu"], "team_id": "t", "guardrails": ["pii"], "tags": ["batch"],
        "allowed_s3_prefixes": ["s3://a/in"], "allow_media_fetch": false, "unsupported_params": "reject",
        "denied_passthrough_routes": ["/a"], "allowed_passthrough_routes": ["/a", "/b"], "strict_budget": true,
        "model_rpm_limit": {"sonnet": 5}, "budget_limits": [{"budget_duration": "1d", "max_budget": 2}],
        "model_max_budget": {"sonnet": {"budget_limit": 3, "time_period": "1d"}}, "metadata": {"end_user": "e"}});
    let fine = json!({"models": ["nova-lite", "no-default-models"], "max_budget": 10, "rpm_limit": 60, "duration": "30d",
        "allowed_geographies": ["eu"], "team_id": "t", "guardrails": ["pii", "more"], "tags": ["batch"],
        "allowed_s3_prefixes": ["s3://a/in/ana/"], "allow_media_fetch": false, "unsupported_params": "reject",
        "denied_passthrough_routes": ["/a"], "allowed_passthrough_routes": ["/b"], "strict_budget": true,
        "model_rpm_limit": {"sonnet": 4}, "budget_limits": [{"budget_duration": "1d", "max_budget": 2}],
        "model_max_budget": {"sonnet": {"budget_limit": 3, "time_period": "1d"}}, "metadata": {"end_user": "e"}});
    let creator = holder(creator, None);
    let judged = |change: serde_json::Value| {
        let mut fields = fine.clone();
        fields.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        within(&holder(fields, None).key, &creator).map_err(|refusal| refusal.param)
    };
    assert_eq!(judged(json!({})), Ok(()));
    for (change, param) in [
        (json!({"models": []}), "models"),
        (json!({"models": ["*"]}), "models"),
        (json!({"models": ["nova-lite", "opus"]}), "models"),
        (json!({"max_budget": null}), "max_budget"),
        (json!({"max_budget": 11}), "max_budget"),
        (json!({"budget_duration": "1d"}), "budget_duration"),
        (json!({"rpm_limit": null}), "rpm_limit"),
        (json!({"duration": null}), "duration"),
        (json!({"duration": "31d"}), "duration"),
        (json!({"allowed_geographies": ["eu", "us"]}), "allowed_geographies"),
        (json!({"allowed_geographies": null}), "allowed_geographies"),
        (json!({"allowed_s3_prefixes": ["s3://a/inner/"]}), "allowed_s3_prefixes"),
        (json!({"allowed_s3_prefixes": null}), "allowed_s3_prefixes"),
        (json!({"allow_media_fetch": null}), "allow_media_fetch"),
        (json!({"unsupported_params": "warn"}), "unsupported_params"),
        (json!({"team_id": "other"}), "team_id"),
        (json!({"guardrails": ["more"]}), "guardrails"),
        (json!({"tags": null}), "tags"),
        (json!({"denied_passthrough_routes": []}), "denied_passthrough_routes"),
        (json!({"allowed_passthrough_routes": null}), "allowed_passthrough_routes"),
        (json!({"allowed_passthrough_routes": ["/c"]}), "allowed_passthrough_routes"),
        (json!({"strict_budget": null}), "strict_budget"),
        (json!({"model_rpm_limit": null}), "model_rpm_limit"),
        (json!({"model_rpm_limit": {"sonnet": 6}}), "model_rpm_limit"),
        (json!({"budget_limits": null}), "budget_limits"),
        (json!({"budget_limits": [{"budget_duration": "1h", "max_budget": 2}]}), "budget_limits"),
        (
            json!({"model_max_budget": {"sonnet": {"budget_limit": 4, "time_period": "1d"}}}),
            "model_max_budget",
        ),
        (json!({"metadata": {}}), "metadata"),
        (
            json!({"temp_budget_increase": 1, "temp_budget_expiry": "2026-12-01T00:00:00Z"}),
            "temp_budget_increase",
        ),
    ] {
        assert_eq!(judged(change.clone()), Err(param), "{change}");
    }
    let reader = holder(json!({"key_type": "llm_api"}), None);
    assert_eq!(within(&KeyRecord::default(), &reader).unwrap_err().param, "allowed_routes");
}
