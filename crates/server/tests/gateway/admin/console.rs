//! The activity endpoint of an operator's page: buckets in the reader's zone, the largest series, the rest.

use access::ledger::ScopeKind;
use serde_json::{Value, json};

use super::golden::expect;
use super::spend::{NOVA, SONNET_BASE, spent};

const RANGE: &str = "from=2026-11-26&to=2026-11-27";

#[actix_rt::test]
async fn activity_is_one_answer_for_a_screen() {
    let spent = spent().await;
    let told = spent.admin.ask(&format!("GET /outcrop/activity?{RANGE}"), Value::Null).await;
    assert_eq!(told.received.header("cache-control"), Some("no-store"));
    let told = told.fine();
    expect(
        &json!({
            "buckets": ["2026-11-26T00:00:00Z", "2026-11-27T00:00:00Z"],
            "series": [
                {"id": SONNET_BASE, "label": SONNET_BASE, "spend_nano": ["1250000000", "0"], "requests": [1, 0],
                 "tokens": [1241, 0]},
                {"id": "amazon.nova-lite-v1:0", "spend_nano": ["35", "0"], "requests": [1, 1]},
                {"id": "made.by-us", "spend_nano": ["0", "0"], "requests": [0, 1]},
            ],
            "other": {"spend_nano": ["0", "0"], "requests": [0, 0], "tokens": [0, 0]},
            "total": {"spend_nano": "1250000035", "requests": 4, "failed": 1, "tokens": 4964},
            "previous": {"spend_nano": "0", "requests": 0}, "floor": true, "unpriced": 1, "estimated": 0,
            "as_of": "<time>", "zone": "UTC", "group": "model", "approximate": false, "overlapping": false,
        }),
        &told,
    );
    spent.admin.stop().await;
}

#[actix_rt::test]
async fn buckets_are_the_readers_and_series_few() {
    let spent = spent().await;
    let get = async |query: &str| spent.get(&format!("/outcrop/activity?{query}")).await;
    // The second call is of the next day in Paris.
    let paris = get(&format!("{RANGE}&tz=Europe/Paris&group=status")).await;
    expect(
        &json!({"buckets": ["2026-11-25T23:00:00Z", "2026-11-26T23:00:00Z"], "zone": "Europe/Paris",
            "series": [{"id": "success", "spend_nano": ["1250000000", "35"], "requests": [1, 2]},
                       {"id": "failure", "requests": [0, 1]}]}),
        &paris,
    );
    let kathmandu = get(&format!("{RANGE}&tz=Asia/Kathmandu&group=region")).await;
    expect(
        &json!({"approximate": true, "total": {"requests": 4}, "buckets": ["2026-11-25T19:00:00Z", "2026-11-26T19:00:00Z"],
            "series": [{"id": "eu-west-1", "requests": [1, 3]}]}),
        &kathmandu,
    );
    let hours =
        get("from=2026-11-26T23:10:00Z&to=2026-11-27T01:00:00Z&bucket=hour&group=key").await;
    expect(
        &json!({"buckets": ["2026-11-26T23:00:00Z", "2026-11-27T00:00:00Z"],
            "series": [{"id": spent.batch.record.token, "label": "billing-batch", "requests": [1, 0]},
                       {"label": spent.other.record.key_name, "requests": [0, 1]}],
            "previous": {"requests": 0}}),
        &hours,
    );
    let top = get(&format!("{RANGE}&group=model&top=1")).await;
    expect(
        &json!({"series": [{"id": SONNET_BASE}], "other": {"spend_nano": ["35", "0"], "requests": [1, 2]}}),
        &top,
    );
    let tags = get(&format!("{RANGE}&group=tag")).await;
    expect(
        &json!({"overlapping": true, "total": {"requests": 4}, "series": [{"id": "=sum"}, {"id": "batch"}]}),
        &tags,
    );
    for (group, id, label) in [
        ("team", "t-finance", "finance"),
        ("user", "u-1", "u-1"),
        ("end_user", "tenant-42", "tenant-42"),
    ] {
        let series = get(&format!("{RANGE}&group={group}")).await["series"][0].clone();
        assert_eq!((&series["id"], &series["label"]), (&json!(id), &json!(label)));
    }
    for model in [SONNET_BASE, super::spend::SONNET] {
        assert_eq!(get(&format!("{RANGE}&model={model}")).await["total"]["requests"], 1);
    }
    assert_eq!(get(&format!("{RANGE}&model={NOVA}&team=t-finance")).await["total"]["requests"], 1);
    let later = get("from=2026-11-28&to=2026-11-29").await;
    expect(&json!({"total": {"requests": 0}, "previous": {"requests": 4}, "series": []}), &later);
    for query in
        ["tz=Mars/X", "bucket=week", "group=colour", "from=soon", "from=1990-01-01&bucket=hour"]
    {
        let line = format!("GET /outcrop/activity?{query}");
        spent.admin.ask(&line, Value::Null).await.refused(400);
    }
    // Others see what is theirs.
    let line = format!("GET /outcrop/activity?{RANGE}&group=key");
    let own = spent.admin.ask_as(spent.other.secret.reveal(), &line, Value::Null).await.fine();
    expect(&json!({"total": {"requests": 2}, "series": [{}]}), &own);
    assert_eq!(ScopeKind::Key.as_str(), own["group"]);
    spent.admin.stop().await;
}
