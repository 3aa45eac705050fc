//! What the screens of an operator's page read: the first screen, the list of requests, one request, the models.

use serde_json::{Value, json};

use super::golden::expect;
use super::spend::{NOVA, SONNET, SONNET_BASE, key, spent};
use super::{Admin, text};

const RANGE: &str = "from=2026-11-26&to=2026-11-27";

fn ids(page: &Value) -> Vec<&str> {
    page["rows"].as_array().unwrap().iter().map(|row| text(row, "id")).collect()
}

#[actix_rt::test]
async fn requests_are_pages_by_a_cursor() {
    let spent = spent().await;
    let get = async |query: &str| spent.get(&format!("/outcrop/requests?{query}")).await;
    let all = get(&format!("{RANGE}&facets=true")).await;
    assert_eq!(ids(&all), ["0193d", "0193c", "0193b", "0193a"]);
    expect(
        &json!({"next": null, "searched": null, "delayed": false, "zone": "UTC",
            "sums": {"spend_nano": "1250000035", "requests": 4, "failed": 1, "floor": true}}),
        &all,
    );
    let token = &spent.batch.record.token;
    expect(
        &json!({"id": "0193a", "at": "2026-11-26T09:14:03.120Z", "state": "settled", "status": 200, "code": null,
            "key": {"id": token, "label": "billing-batch"}, "team": {"id": "t-finance", "label": "finance"},
            "user": "u-1", "end_user": "tenant-42", "model_asked": "sonnet", "model": SONNET,
            "region": "eu-west-1", "input": 1000, "output": 41, "cache_read": 150, "cache_write": 50,
            "cost_nano": "1250000000", "ttft_ms": 200, "total_ms": 1680, "attempts": 1, "count": 1, "scope": null}),
        &all["rows"][3],
    );
    expect(&json!({"id": "0193d", "cost_nano": null}), &all["rows"][0]);
    expect(
        &json!({"id": "0193c", "state": "voided", "code": "throttled", "cost_nano": "0"}),
        &all["rows"][1],
    );
    let facets = &all["facets"];
    assert_eq!(facets["key"][0]["requests"], 2);
    assert_eq!(facets["team"], json!([{"id": "t-finance", "label": "finance", "requests": 2}]));
    assert_eq!(
        facets["end_user"],
        json!([{"id": "tenant-42", "label": "tenant-42", "requests": 1}])
    );
    let first = get(&format!("{RANGE}&limit=3")).await;
    assert_eq!(ids(&first), ["0193d", "0193c", "0193b"]);
    let rest = get(&format!("{RANGE}&limit=3&before={}", text(&first, "next"))).await;
    assert_eq!((ids(&rest), &rest["next"]), (vec!["0193a"], &Value::Null));
    for (query, expected) in [
        (format!("key={token}"), vec!["0193b", "0193a"]),
        ("team=t-finance".to_owned(), vec!["0193b", "0193a"]),
        ("user=u-1".to_owned(), vec!["0193b", "0193a"]),
        ("end_user=tenant-42".to_owned(), vec!["0193a"]),
        (format!("model={SONNET_BASE}"), vec!["0193a"]),
        (format!("model={NOVA}"), vec!["0193c", "0193b"]),
        ("status=failure".to_owned(), vec!["0193c"]),
        ("status=success".to_owned(), vec!["0193d", "0193b", "0193a"]),
        ("status=refused".to_owned(), vec![]),
        ("code=throttled".to_owned(), vec!["0193c"]),
        ("tag=batch".to_owned(), vec!["0193a"]),
        ("session=s-1".to_owned(), vec!["0193a"]),
        ("region=us-east-1".to_owned(), vec![]),
        ("id=0193b".to_owned(), vec!["0193b"]),
    ] {
        assert_eq!(ids(&get(&format!("{RANGE}&{query}")).await), expected, "{query}");
    }
    for bad in ["status=x", "limit=201", "limit=0", "before=x", "tz=Mars/X", "from=soon"] {
        let line = format!("GET /outcrop/requests?{bad}");
        let told = spent.admin.ask(&line, Value::Null).await;
        assert!([400, 422].contains(&told.status), "{bad}: {}", told.status);
    }
    // Others see what is theirs.
    let line = format!("GET /outcrop/requests?{RANGE}");
    let own = spent.admin.ask_as(spent.other.secret.reveal(), &line, Value::Null).await.fine();
    assert_eq!(ids(&own), ["0193d", "0193c"]);
    let csv = spent.admin.ask(&format!("GET /outcrop/requests.csv?{RANGE}"), Value::Null).await;
    let csv = String::from_utf8(csv.received.body.to_vec()).unwrap();
    assert_eq!(csv.lines().count(), 5);
    assert!(
        csv.contains(&format!("0193b,2026-11-26T23:30:00Z,settled,,{token},billing-batch,")),
        "{csv}"
    );
    assert!(csv.contains(",0.000000035,200,1680,1\r\n"), "{csv}");
    spent.admin.stop().await;
}

#[actix_rt::test]
async fn a_request_has_all_that_is_kept_of_it() {
    let spent = spent().await;
    let one = spent.get("/outcrop/requests/0193a").await;
    expect(
        &json!({"id": "0193a", "ended_at": "2026-11-26T09:14:04.800Z", "model_group": "sonnet", "reach": "eu",
            "tier": "standard", "session": "s-1", "ip": "10.0.0.7", "tags": ["batch", "=sum"],
            "metadata": {"ticket": 7}, "cache_write_5m": 30, "cache_write_1h": 20, "reserved_nano": "10000000",
            "price_row": "sonnet/eu/standard@2026-11-01", "price_source": "listed", "parts": null, "budgets": [],
            "content_kept": false}),
        &one,
    );
    spent.admin.ask("GET /outcrop/requests/none", Value::Null).await.refused(404);
    // A call of another key does not exist for this one.
    let line = "GET /outcrop/requests/0193a";
    spent.admin.ask_as(spent.other.secret.reveal(), line, Value::Null).await.refused(404);
    spent.admin.stop().await;
}

#[actix_rt::test]
async fn the_first_screen_is_one_answer() {
    let spent = spent().await;
    let told = spent.get(&format!("/outcrop/overview?{RANGE}")).await;
    expect(
        &json!({
            "activity": {"total": {"spend_nano": "1250000035", "requests": 4}, "floor": true},
            "top": {"models": [{"id": SONNET_BASE, "spend_nano": "1250000000", "requests": 1, "floor": false}, {}, {}],
                    "keys": [{"id": &spent.batch.record.token, "label": "billing-batch"}, {}],
                    "end_users": [{"id": "tenant-42"}]},
            "durations": {"calls": 3, "sampled": false, "total_p50": 1680, "total_p95": 1680, "ttft_p95": 200},
            "previous_durations": {"calls": 0, "total_p50": null},
            "budgets": [], "budgets_cut": false, "refusals": [],
            "gateway": {"store": "SQLite", "store_away": false, "fail_mode": "closed", "can_change": true},
        }),
        &told,
    );
    let narrow = spent.get(&format!("/outcrop/overview?{RANGE}&tag=batch")).await;
    assert_eq!(narrow["activity"]["total"]["requests"], 1);
    assert_eq!(narrow["activity"]["delayed"], false);
    assert_eq!(narrow["durations"]["calls"], 1);
    spent.admin.stop().await;
}

#[actix_rt::test]
async fn refusals_tell_the_scope_that_refused() {
    let admin = Admin::start().await;
    let poor = key(&admin, json!({"key_alias": "poor", "max_budget": 0.0})).await;
    let narrow = key(&admin, json!({"key_alias": "narrow", "models": ["nova-micro"]})).await;
    let hello = json!({"model": "nova-lite", "messages": [{"role": "user", "content": "Hello"}]});
    let call = async |key: &str| {
        admin.ask_as(key, "POST /v1/chat/completions", hello.clone()).await.status
    };
    assert_eq!(call(poor.secret.reveal()).await, 429);
    assert_eq!(call(poor.secret.reveal()).await, 429);
    assert_eq!(call(narrow.secret.reveal()).await, 403);
    let page = admin.ask("GET /outcrop/requests?status=refused", Value::Null).await.fine();
    let rows = page["rows"].as_array().unwrap();
    let of = |label: &str| rows.iter().find(|row| row["key"]["label"] == label).unwrap();
    expect(
        &json!({"state": "refused", "status": 429, "code": "insufficient_quota", "model_asked": "nova-lite",
            "cost_nano": "0", "count": 2,
            "scope": {"kind": "key", "id": &poor.record.token, "label": "poor"}}),
        of("poor"),
    );
    let reason = text(&of("poor")["scope"], "reason");
    assert!(reason.contains("0.0 spent") && reason.contains("of 0.0"), "{reason}");
    expect(
        &json!({"status": 403, "code": "403", "scope": {"kind": "key", "label": "narrow"}}),
        of("narrow"),
    );
    // By its id, as the caller saw it.
    let id = text(of("narrow"), "id").to_owned();
    let one = admin.ask(&format!("GET /outcrop/requests/{id}"), Value::Null).await.fine();
    expect(&json!({"state": "refused", "content_kept": false}), &one);
    let overview = admin.ask("GET /outcrop/overview", Value::Null).await.fine();
    assert_eq!(
        overview["refusals"][0],
        json!({"scope": "key", "code": "insufficient_quota", "count": 2})
    );
    expect(&json!([{"kind": "key", "label": "poor", "max_nano": "0"}]), &overview["budgets"]);
    // They are no calls: no sum counts them, and no key is in them.
    assert_eq!(overview["activity"]["total"]["requests"], 0);
    assert!(!page.to_string().contains(poor.secret.reveal()));
    admin.stop().await;
}

#[actix_rt::test]
async fn models_are_shown_with_health_and_price() {
    let yaml = "models: { house: { model: us.amazon.nova-lite-v1:0 } }\n";
    let admin = Admin::with(yaml).await;
    let hello = json!({"model": "house", "messages": [{"role": "user", "content": "Hello"}]});
    admin.ask("POST /v1/chat/completions", hello).await.fine();
    let models = admin.ask("GET /outcrop/models", Value::Null).await.fine();
    let house = &models["names"][0];
    expect(
        &json!({"name": "house", "configured": true, "mode": "chat",
            "targets": [{"model": NOVA, "state": "healthy", "calls": 1, "failed": 0,
                "price": {"source": "listed"}, "lifecycle": {"status": "active"}}]}),
        house,
    );
    let input = text(&house["targets"][0]["price"], "input");
    assert!(input.parse::<f64>().unwrap() > 0.0, "{input}");
    assert!(models["names"].as_array().unwrap().len() <= 200);
    let found = admin.ask("GET /outcrop/models?search=HOUSE", Value::Null).await.fine();
    assert_eq!(found["names"].as_array().unwrap().len(), 1);
    admin.stop().await;
}
