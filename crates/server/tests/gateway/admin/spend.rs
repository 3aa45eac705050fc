//! Spend: rows, reports and activity of calls that are written into the ledger here.

use std::sync::Arc;

use access::accounts::NewKey;
use access::ledger::{Attribution, CallOutcome, CallState, Closing, Opening};
use access::{Accounts, KeyInput, Nanodollars, TeamInput, TeamRecord, UserRecord, UtcTime};
use serde_json::{Value, json};

use super::golden::expect;
use super::{Admin, text};

pub(crate) const SONNET: &str = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0";
pub(crate) const SONNET_BASE: &str = "anthropic.claude-sonnet-4-5-20250929-v1:0";
pub(crate) const NOVA: &str = "us.amazon.nova-lite-v1:0";
pub(crate) const DAYS: &str = "start_date=2026-11-26&end_date=2026-11-27";

/// A gateway with a team, keys and calls.
pub(crate) struct Spent {
    pub(crate) admin: Admin,
    /// The key `billing-batch` of the team `finance` and the user `u-1`.
    pub(crate) batch: NewKey,
    /// A key without team or user.
    pub(crate) other: NewKey,
}

pub(crate) fn accounts(admin: &Admin) -> &Arc<Accounts> {
    admin.rig.accounts.as_ref().unwrap()
}

pub(crate) async fn key(admin: &Admin, fields: Value) -> NewKey {
    let input: KeyInput = serde_json::from_value(fields).unwrap();
    accounts(admin).create_key(input, None, "test").await.unwrap()
}

/// A call of a key at a time, with its cost in dollars.
fn call(id: &str, key: &NewKey, (at, model, cost): (&str, &str, Option<&str>)) -> Closing {
    let record = &key.record;
    let at = UtcTime::parse(at).unwrap();
    let call = Opening {
        id: format!("0193{id}"),
        at,
        who: Attribution {
            key_id: record.id.clone(),
            token: record.token.clone(),
            team: record.team_id.clone(),
            user: record.user_id.clone(),
            ..Attribution::default()
        },
        call_type: "acompletion".to_owned(),
        model_asked: "sonnet".to_owned(),
        estimate: Some(Nanodollars::parse("0.01").unwrap()),
        ..Opening::default()
    };
    let outcome = CallOutcome {
        model: model.to_owned(),
        region: Some("eu-west-1".to_owned()),
        reach: Some("eu".to_owned()),
        tier: Some("standard".to_owned()),
        input: 1000,
        output: 41,
        cache_read: 150,
        cache_write_5m: 30,
        cache_write_1h: 20,
        cost: cost.map(|cost| Nanodollars::parse(cost).unwrap()),
        price_id: Some("sonnet/eu/standard@2026-11-01".to_owned()),
        price_source: Some("listed".to_owned()),
        status: 200,
        ttft_ms: Some(200),
        total_ms: 1680,
        attempts: 1,
        ..CallOutcome::default()
    };
    let state = CallState::Settled;
    Closing {
        call: Arc::new(call),
        at: at.plus(std::time::Duration::from_millis(1680)),
        state,
        outcome,
    }
}

fn change(closing: &mut Closing, of: impl FnOnce(&mut Opening)) {
    of(Arc::make_mut(&mut closing.call));
}

pub(crate) async fn spent() -> Spent {
    let admin = Admin::start().await;
    let store = accounts(&admin);
    let mut team = TeamRecord::new("t-finance").unwrap();
    let lead = json!({"team_alias": "finance", "members_with_roles": [{"role": "admin", "user_id": "u-lead"}]});
    let lead: TeamInput = serde_json::from_value(lead).unwrap();
    team.apply(lead, store.now()).unwrap();
    store.create(team, "test").await.unwrap();
    for user in ["u-1", "u-lead"] {
        store.create(UserRecord::new(user).unwrap(), "test").await.unwrap();
    }
    let batch = json!({"key_alias": "billing-batch", "team_id": "t-finance", "user_id": "u-1", "tags": ["batch"]});
    let (batch, other) = (key(&admin, batch).await, key(&admin, json!({})).await);
    let mut first = call("a", &batch, ("2026-11-26T09:14:03.120Z", SONNET, Some("1.25")));
    change(&mut first, |call| {
        call.who.customer = Some("tenant-42".to_owned());
        call.who.tags = vec!["batch".to_owned(), "=sum".to_owned()];
        call.meta = Some(r#"{"ticket": 7}"#.to_owned());
        (call.session_id, call.ip) = (Some("s-1".to_owned()), Some("10.0.0.7".to_owned()));
    });
    first.outcome.model_group = Some("sonnet".to_owned());
    let second = call("b", &batch, ("2026-11-26T23:30:00Z", NOVA, Some("0.000000035")));
    let mut failed = call("c", &other, ("2026-11-27T00:30:00Z", NOVA, None));
    (failed.outcome.error_code, failed.outcome.status) = (Some("throttled".to_owned()), 429);
    failed.state = CallState::Voided;
    let unpriced = call("d", &other, ("2026-11-27T12:00:00Z", "made.by-us", None));
    store.store().close([first, second, failed, unpriced].into()).await.unwrap();
    Spent { admin, batch, other }
}

impl Spent {
    pub(crate) async fn get(&self, path: &str) -> Value {
        self.admin.ask(&format!("GET {path}"), Value::Null).await.fine()
    }
}

#[actix_rt::test]
async fn logs_are_sums_by_day_or_rows() {
    let spent = spent().await;
    let token = &spent.batch.record.token;
    let days = spent.get(&format!("/spend/logs?{DAYS}")).await;
    let expected = json!([
        {"startTime": "2026-11-26", "spend": 1.250000035, "users": {"u-1": 1.250000035},
         "models": {(SONNET_BASE): 1.25, "amazon.nova-lite-v1:0": 0.000000035}, (token): 1.250000035},
        {"startTime": "2026-11-27", "spend": 0.0, "users": {},
         "models": {"amazon.nova-lite-v1:0": 0.0, "made.by-us": 0.0}, (&spent.other.record.token): 0.0},
    ]);
    assert_eq!(days, expected);
    let empty = spent.get("/spend/logs?start_date=2026-10-01&end_date=2026-10-02").await;
    assert_eq!(
        empty,
        json!([{"startTime": "2026-10-01", "spend": 0.0, "users": {}, "models": {}},
               {"startTime": "2026-10-02", "spend": 0.0, "users": {}, "models": {}}])
    );
    // Money has no exponent: clients in shells compare texts.
    let raw = spent.admin.ask(&format!("GET /spend/logs?{DAYS}"), Value::Null).await;
    assert!(String::from_utf8_lossy(&raw.received.body).contains("0.000000035"));
    for (query, ids) in [
        ("".to_owned(), vec!["0193d", "0193c", "0193b", "0193a"]),
        (format!("?{DAYS}&summarize=false"), vec!["0193d", "0193c", "0193b", "0193a"]),
        (format!("?api_key={token}"), vec!["0193b", "0193a"]),
        (format!("?api_key={}", spent.batch.secret.reveal()), vec!["0193b", "0193a"]),
        ("?user_id=u-1".to_owned(), vec!["0193b", "0193a"]),
        ("?request_id=0193c".to_owned(), vec!["0193c"]),
        (format!("?request_id=0193c&{DAYS}"), vec!["0193c"]),
        (format!("?api_key={}", "0".repeat(64)), vec![]),
    ] {
        let rows = spent.get(&format!("/spend/logs{query}")).await;
        let found: Vec<_> =
            rows.as_array().unwrap().iter().map(|row| text(row, "request_id")).collect();
        assert_eq!(found, ids, "{query}");
    }
    spent.admin.stop().await;
}

#[actix_rt::test]
async fn a_row_has_litellms_members_and_ours() {
    let spent = spent().await;
    let page = spent.get(&format!("/spend/logs/v2?{DAYS}&request_id=0193a")).await;
    let token = &spent.batch.record.token;
    let row = json!({
        "request_id": "0193a", "call_type": "acompletion", "api_key": token, "spend": 1.25, "prompt_tokens": 1200,
        "completion_tokens": 41, "total_tokens": 1241, "startTime": "2026-11-26T09:14:03.120Z",
        "endTime": "2026-11-26T09:14:04.800Z", "completionStartTime": "2026-11-26T09:14:03.320Z",
        "request_duration_ms": 1680, "model": SONNET, "model_id": SONNET, "model_group": "sonnet",
        "custom_llm_provider": "bedrock", "api_base": null, "user": "u-1",
        "metadata": {
            "user_api_key": token, "user_api_key_alias": "billing-batch", "user_api_key_team_id": "t-finance",
            "user_api_key_team_alias": "finance", "user_api_key_user_id": "u-1", "spend_logs_metadata": {"ticket": 7},
            "usage_object": {"prompt_tokens": 1200, "completion_tokens": 41, "total_tokens": 1241,
                "cache_read_input_tokens": 150, "cache_creation_input_tokens": 50,
                "cache_creation": {"ephemeral_5m_input_tokens": 30, "ephemeral_1h_input_tokens": 20}},
            "cost_breakdown": {"total_cost": 1.25}, "error_information": null,
            "outcrop": {"region": "eu-west-1", "profile": SONNET, "reach": "eu", "service_tier": "standard",
                "price_row": "sonnet/eu/standard@2026-11-01", "price_date": "2026-11-01", "price_source": "listed",
                "estimated": false, "reserved": 0.01, "attempts": 1, "units": null},
        },
        "cache_hit": "False", "cache_key": null, "request_tags": ["batch", "=sum"], "team_id": "t-finance",
        "organization_id": null, "end_user": "tenant-42", "requester_ip_address": "10.0.0.7", "messages": {},
        "response": {}, "session_id": "s-1", "status": "success",
    });
    assert_eq!(
        page,
        json!({"data": [row], "total": 1, "page": 1, "page_size": 50, "total_pages": 1})
    );
    let failed = spent.get(&format!("/spend/logs/v2?{DAYS}&status_filter=failure")).await;
    expect(
        &json!({"data": [{"request_id": "0193c", "status": "failure", "spend": 0.0, "metadata":
            {"error_information": {"error_code": "throttled", "status": 429}}}], "total": 1}),
        &failed,
    );
    let unpriced = spent.get(&format!("/spend/logs/v2?{DAYS}&model=made.by-us")).await;
    expect(&json!({"data": [{"spend": null, "metadata": {"cost_breakdown": null}}]}), &unpriced);
    spent.admin.stop().await;
}

#[actix_rt::test]
async fn rows_are_filtered_sorted_and_paged() {
    let spent = spent().await;
    let token = &spent.batch.record.token;
    for (query, expected, total) in [
        ("page_size=1".to_owned(), "d", 4),
        ("page_size=3&page=2".to_owned(), "a", 4),
        ("page=9".to_owned(), "", 4),
        ("sort_by=spend".to_owned(), "abcd", 4),
        ("sort_by=startTime&sort_order=asc".to_owned(), "abcd", 4),
        ("sort_by=model&sort_order=asc".to_owned(), "adbc", 4),
        (format!("api_key={token}"), "ba", 2),
        ("team_id=t-finance".to_owned(), "ba", 2),
        ("user_id=u-1".to_owned(), "ba", 2),
        ("end_user=tenant-42".to_owned(), "a", 1),
        ("session_id=s-1".to_owned(), "a", 1),
        ("model_group=sonnet".to_owned(), "a", 1),
        (format!("model_id={NOVA}"), "cb", 2),
        ("key_alias=billing-batch".to_owned(), "ba", 2),
        ("key_alias=none".to_owned(), "", 0),
        ("error_code=throttled".to_owned(), "c", 1),
        ("status_filter=success".to_owned(), "dba", 3),
        ("min_spend=1".to_owned(), "a", 1),
        ("max_spend=0.5&min_spend=0".to_owned(), "cb", 2),
    ] {
        let page = spent.get(&format!("/spend/logs/v2?{DAYS}&{query}")).await;
        let rows = page["data"].as_array().unwrap();
        let ids: String = rows.iter().map(|row| &text(row, "request_id")[4..]).collect();
        assert_eq!((ids.as_str(), page["total"].as_i64()), (expected, Some(total)), "{query}");
    }
    let by_time = "/spend/logs/v2?start_date=2026-11-26%2023:00:00&end_date=2026-11-27T00:30:00Z";
    assert_eq!(spent.get(by_time).await["total"], 2);
    for (query, message) in [
        ("", "Please provide start_date and end_date"),
        ("?start_date=2026-11-26", "Please provide start_date and end_date"),
    ] {
        let told = spent.admin.ask(&format!("GET /spend/logs/v2{query}"), Value::Null).await;
        assert_eq!(told.body["detail"], json!({"error": message}));
        assert_eq!(text(&told.refused(400), "message"), message);
    }
    for query in ["sort_by=colour", "status_filter=odd", "min_spend=x", "sort_order=up"] {
        let line = format!("GET /spend/logs/v2?{DAYS}&{query}");
        spent.admin.ask(&line, Value::Null).await.refused(400);
    }
    for query in ["page_size=1001", "page=0", "page=x"] {
        let line = format!("GET /spend/logs/v2?{DAYS}&{query}");
        spent.admin.ask(&line, Value::Null).await.refused(422);
    }
    spent.admin.stop().await;
}

#[actix_rt::test]
async fn costs_are_calculated_by_the_price_list() {
    let admin = Admin::with("models: { cheap: us.amazon.nova-micro-v1:0 }\n").await;
    let cost = async |body: Value| admin.ask("POST /spend/calculate", body).await;
    let answered = json!({"completion_response": {"model": "cheap", "usage":
        {"prompt_tokens": 1000, "completion_tokens": 0}}});
    assert_eq!(cost(answered).await.fine(), json!({"cost": 0.000035}));
    let said =
        json!({"model": "cheap", "messages": [{"role": "user", "content": "x".repeat(4000)}]});
    assert_eq!(cost(said).await.fine(), json!({"cost": 0.000035}));
    let one = json!({"model": "cheap", "completion_response": {"usage": {"prompt_tokens": 1}}});
    let one = cost(one).await;
    assert_eq!(String::from_utf8_lossy(&one.received.body), r#"{"cost":0.000000035}"#);
    let unpriced = json!({"model": "made.by-us-v1:0", "messages": []});
    assert_eq!(text(&cost(unpriced).await.refused(400), "type"), "model_cost_map_missing");
    cost(json!({"model": "cheap"})).await.refused(400);
    cost(json!({"messages": []})).await.refused(422);
    let key = admin.key(json!({"models": ["other"]})).await;
    let body = json!({"model": "cheap", "messages": []});
    admin.ask_as(text(&key, "key"), "POST /spend/calculate", body).await.refused(403);
    admin.stop().await;
}
