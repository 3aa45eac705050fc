//! Spend by caller: administrators see all, others what is theirs.

use access::accounts::NewKey;
use access::{Nanodollars, UserRecord};
use serde_json::{Value, json};

use super::spend::{DAYS, accounts, key, spent};
use super::text;

#[actix_rt::test]
async fn callers_see_their_own_spend() {
    let spent = spent().await;
    let viewer = json!({"user_role": "proxy_admin_viewer"});
    let mut record = UserRecord::new("u-viewer").unwrap();
    let now = accounts(&spent.admin).now();
    record.apply(serde_json::from_value(viewer).unwrap(), now).unwrap();
    accounts(&spent.admin).create(record, "test").await.unwrap();
    let viewer = key(&spent.admin, json!({"user_id": "u-viewer"})).await;
    let lead = key(&spent.admin, json!({"user_id": "u-lead"})).await;
    let total = async |key: &NewKey, filter: &str| {
        let line = format!("GET /spend/logs/v2?{DAYS}&{filter}");
        let told = spent.admin.ask_as(key.secret.reveal(), &line, Value::Null).await;
        match told.status {
            200 => told.body["total"].to_string(),
            status => status.to_string(),
        }
    };
    let (batch, other) = (&spent.batch.record.token, &spent.other.record.token);
    for (key, filter, expected) in [
        (&viewer, String::new(), "4"),
        (&lead, String::new(), "2"),
        (&lead, "team_id=t-finance".to_owned(), "2"),
        (&lead, "team_id=t-other".to_owned(), "403"),
        (&lead, "user_id=u-1".to_owned(), "403"),
        (&lead, format!("api_key={batch}"), "2"),
        (&lead, format!("api_key={other}"), "403"),
        (&lead, "api_key=master".to_owned(), "0"),
        (&spent.batch, String::new(), "2"),
        // A key of a team is not its user elsewhere.
        (&spent.batch, "user_id=u-1".to_owned(), "403"),
        (&spent.batch, "team_id=t-finance".to_owned(), "403"),
        (&spent.other, String::new(), "2"),
        (&spent.other, "request_id=0193a".to_owned(), "0"),
        (&spent.other, format!("api_key={batch}"), "403"),
        (&spent.other, "key_alias=billing-batch".to_owned(), "0"),
    ] {
        assert_eq!(total(key, &filter).await, expected, "{filter}");
    }
    let as_key = async |key: &NewKey, path: &str| {
        let line = format!("GET {path}");
        spent.admin.ask_as(key.secret.reveal(), &line, Value::Null).await
    };
    for path in [
        "/global/spend",
        "/global/spend/keys",
        "/global/spend/models",
        "/global/spend/teams",
        "/global/spend/tags",
        "/global/spend/provider",
        "/global/spend/logs",
        &format!("/global/spend/report?{DAYS}"),
        &format!("/global/activity?{DAYS}"),
        &format!("/global/activity/model?{DAYS}"),
        &format!("/tag/daily/activity?{DAYS}"),
        &format!("/customer/daily/activity?{DAYS}"),
        &format!("/end_user/daily/activity?{DAYS}"),
    ] {
        for key in [&spent.batch, &lead] {
            let error = as_key(key, path).await.refused(403);
            assert_eq!(text(&error, "type"), "auth_error");
        }
        as_key(&viewer, path).await.fine();
    }
    let reset = "POST /global/spend/reset";
    for key in [&viewer, &lead] {
        let body = json!({"confirm": true});
        spent.admin.ask_as(key.secret.reveal(), reset, body).await.refused(403);
    }
    let own = as_key(&spent.batch, &format!("/user/daily/activity?{DAYS}")).await.fine();
    assert_eq!(own["metadata"]["total_api_requests"], 2);
    let other = as_key(&spent.other, &format!("/user/daily/activity?{DAYS}&user_id=u-1")).await;
    other.refused(403);
    for (key, path, rows) in [
        (&spent.batch, "/key/spend/report", 1),
        (&spent.batch, "/user/spend/report", 1),
        (&lead, "/team/spend/report", 1),
        (&lead, "/key/spend/report", 0),
        (&spent.other, "/team/spend/report", 1),
    ] {
        let report = as_key(key, &format!("{path}?{DAYS}")).await.fine();
        assert_eq!(report.as_array().map(Vec::len), Some(rows), "{path}");
    }
    let tags = as_key(&spent.other, "/spend/tags").await.fine();
    assert_eq!(tags, json!([]));
    let keys = as_key(&spent.batch, "/spend/keys").await.fine();
    assert_eq!(keys.as_array().map(Vec::len), Some(1));
    spent.admin.stop().await;
}

#[actix_rt::test]
async fn a_reset_of_spend_is_confirmed_and_noted() {
    let spent = spent().await;
    let accounts = accounts(&spent.admin);
    let limits = &spent.batch.record.limits;
    let (kind, id) = (access::ledger::ScopeKind::Key, spent.batch.record.id.as_str());
    accounts.set_spend(kind, id, limits, Nanodollars::parse("7").unwrap()).await.unwrap();
    let line = "POST /global/spend/reset";
    spent.admin.ask(line, Value::Null).await.refused(400);
    assert_eq!(accounts.spend_of(kind, id, limits).await.unwrap().spend.to_string(), "7.0");
    let told = spent.admin.ask(line, json!({"confirm": true})).await.fine();
    assert_eq!(told["status"], "success");
    assert_eq!(accounts.spend_of(kind, id, limits).await.unwrap().spend, Nanodollars::ZERO);
    let entry = accounts.store().audit(1).await.unwrap().remove(0);
    assert_eq!((entry.action.as_str(), entry.actor.as_str()), ("spend.reset", "default_user_id"));
    spent.admin.stop().await;
}
