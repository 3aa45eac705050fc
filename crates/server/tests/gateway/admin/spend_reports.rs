//! Reports of spend, tables, and activity by day.

use serde_json::{Value, json};

use super::golden::expect;
use super::spend::{DAYS, NOVA, SONNET, SONNET_BASE, spent};
use super::text;

#[actix_rt::test]
async fn reports_group_by_each_dimension() {
    let spent = spent().await;
    let token = &spent.batch.record.token;
    let report =
        async |by: &str| spent.get(&format!("/global/spend/report?{DAYS}&group_by={by}")).await;
    let part = json!({"model": SONNET_BASE, "api_key": token, "spend": 1.25, "total_tokens": 1241});
    let nova = json!({"model": "amazon.nova-lite-v1:0", "api_key": token, "spend": 0.000000035,
        "total_tokens": 1241});
    let teams = report("team").await;
    assert_eq!(
        teams[0],
        json!({"group_by_day": "2026-11-26T00:00:00Z", "teams": [{"team_name": "finance",
        "team_id": "t-finance", "total_spend": 1.250000035, "metadata": [part, nova]}]})
    );
    assert_eq!(teams[1]["teams"][0]["team_name"], Value::Null);
    assert_eq!(spent.get(&format!("/global/spend/report?{DAYS}")).await, teams);
    assert_eq!(
        report("customer").await,
        json!([
            {"group_by_day": "2026-11-26T00:00:00Z", "customers":
             [{"customer": "tenant-42", "total_spend": 1.25, "metadata": [part]}]},
            {"group_by_day": "2026-11-27T00:00:00Z", "customers": []},
        ])
    );
    expect(
        &json!([{"users": [{"user": "u-1", "total_spend": 1.250000035}]}, {"users": [{"user": null}]}]),
        &report("user").await,
    );
    expect(
        &json!([{"tags": [{"tag": "=sum", "total_spend": 1.25}, {"tag": "batch", "total_spend": 1.25}],
                 "metadata": {"overlapping": true}}]),
        &report("tag").await,
    );
    expect(
        &json!([{"models": [{"model": SONNET_BASE}, {"model": "amazon.nova-lite-v1:0"}]}, {"models":
            [{"model": "amazon.nova-lite-v1:0"}, {"model": "made.by-us"}]}]),
        &report("model").await,
    );
    expect(
        &json!([{"group_by_day": "2026-11-26T00:00:00Z", "total_spend": 1.250000035, "metadata": [part, nova]},
                {"group_by_day": "2026-11-27T00:00:00Z", "total_spend": 0.0}]),
        &report("day").await,
    );
    let keys = report("api_key").await;
    assert_eq!(
        keys[0],
        json!({"api_key": token, "key_alias": "billing-batch", "total_cost": 1.250000035,
        "total_input_tokens": 2400, "total_output_tokens": 82, "model_details": [
            {"model": SONNET_BASE, "total_cost": 1.25, "total_input_tokens": 1200, "total_output_tokens": 41},
            {"model": "amazon.nova-lite-v1:0", "total_cost": 0.000000035, "total_input_tokens": 1200,
             "total_output_tokens": 41}]})
    );
    for filter in [
        format!("api_key={token}"),
        "team_id=t-finance".to_owned(),
        "internal_user_id=u-1".to_owned(),
    ] {
        let keys =
            spent.get(&format!("/global/spend/report?{DAYS}&group_by=api_key&{filter}")).await;
        assert_eq!(keys.as_array().map(Vec::len), Some(1), "{filter}");
    }
    // A deleted key keeps its name.
    spent.admin.ask("POST /key/delete", json!({"keys": [token]})).await.fine();
    assert_eq!(report("api_key").await, keys);
    let told = spent.admin.ask("GET /global/spend/report?group_by=team", Value::Null).await;
    assert_eq!(told.body["detail"], json!({"error": "Please provide start_date and end_date"}));
    told.refused(400);
    let odd = format!("GET /global/spend/report?{DAYS}&group_by=odd");
    spent.admin.ask(&odd, Value::Null).await.refused(400);
    spent.admin.stop().await;
}

#[actix_rt::test]
async fn tables_are_csv_without_formulas() {
    let spent = spent().await;
    let path = format!("GET /global/spend/report?{DAYS}");
    let csv = spent.admin.ask(&format!("{path}&format=csv"), Value::Null).await;
    assert_eq!(csv.received.header("content-type"), Some("text/csv; charset=utf-8"));
    let table = String::from_utf8(csv.received.body.to_vec()).unwrap();
    let (batch, other) = (&spent.batch.record.token, &spent.other.record.token);
    let expected = [
        "day,key_alias,token,team,user,end_user,tag,model,requests,input_tokens,output_tokens,cache_read_tokens,cache_write_tokens,spend_usd".to_owned(),
        format!("2026-11-26,billing-batch,{batch},finance,u-1,,,{NOVA},1,1000,41,150,50,0.000000035"),
        format!("2026-11-26,billing-batch,{batch},finance,u-1,tenant-42,,{SONNET},1,1000,41,150,50,1.25"),
        format!("2026-11-27,,{other},,,,,made.by-us,1,1000,41,150,50,0.0"),
        format!("2026-11-27,,{other},,,,,{NOVA},1,1000,41,150,50,0.0"),
    ];
    let mut lines: Vec<_> = table.trim_end().split("\r\n").collect();
    let mut expected: Vec<_> = expected.iter().map(String::as_str).collect();
    lines[1..].sort_unstable();
    expected[1..].sort_unstable();
    assert_eq!(lines, expected);
    let bearer = format!("Bearer {}", super::MASTER);
    let headers = [("authorization", bearer.as_str()), ("accept", "text/csv")];
    let tags = spent.admin.ask_with(&headers, &format!("{path}&group_by=tag"), Value::Null).await;
    let tags = String::from_utf8(tags.received.body.to_vec()).unwrap();
    assert!(tags.contains(&format!("tenant-42,'=sum,{SONNET},1")), "{tags}");
    spent.admin.ask(&format!("{path}&format=xml"), Value::Null).await.refused(400);
    spent.admin.stop().await;
}

#[actix_rt::test]
async fn daily_activity_is_cut_at_the_readers_midnight() {
    let spent = spent().await;
    let token = &spent.batch.record.token;
    let path = |zone: &str| format!("/user/daily/activity?{DAYS}&api_key={token}&timezone={zone}");
    let utc = spent.get(&path("0")).await;
    let metrics = json!({"spend": 1.250000035, "prompt_tokens": 2400, "completion_tokens": 82,
        "cache_read_input_tokens": 300, "cache_creation_input_tokens": 100, "total_tokens": 2482,
        "successful_requests": 2, "failed_requests": 0, "api_requests": 2});
    let of_key = json!({"metrics": metrics, "metadata": {"key_alias": "billing-batch", "team_id": "t-finance"}});
    let day = &utc["results"][0];
    assert_eq!((&day["date"], &day["metrics"]), (&json!("2026-11-26"), &metrics));
    assert_eq!(day["breakdown"]["api_keys"], json!({(token): of_key}));
    expect(
        &json!({"models": {(SONNET_BASE): {"metrics": {"spend": 1.25, "api_requests": 1}, "metadata": {},
                "api_key_breakdown": {(token): {"metadata": {"key_alias": "billing-batch"}}}}},
            "model_groups": {}, "providers": {"bedrock": {"metrics": metrics}}, "endpoints": {}, "entities": {},
            "mcp_servers": {}}),
        &day["breakdown"],
    );
    assert_eq!(
        utc["metadata"],
        json!({"total_spend": 1.250000035, "total_prompt_tokens": 2400, "total_completion_tokens": 82,
            "total_tokens": 2482, "total_api_requests": 2, "total_successful_requests": 2,
            "total_failed_requests": 0, "total_cache_read_input_tokens": 300,
            "total_cache_creation_input_tokens": 100, "page": 1, "total_pages": 1, "has_more": false})
    );
    // In Paris the second call is of the next day; the sum is the same.
    let paris = spent.get(&path("-60")).await;
    let dates: Vec<_> =
        paris["results"].as_array().unwrap().iter().map(|day| text(day, "date")).collect();
    assert_eq!(dates, ["2026-11-27", "2026-11-26"]);
    assert_eq!(paris["metadata"]["total_spend"], 1.250000035);
    let india = spent.get(&path("-330")).await;
    assert_eq!(india["metadata"]["approximate"], true);
    let page = spent.get(&format!("/user/daily/activity?{DAYS}&page_size=1&page=2")).await;
    assert_eq!(page["results"][0]["date"], "2026-11-26");
    expect(
        &json!({"metadata": {"total_api_requests": 4, "total_failed_requests": 1, "page": 2, "total_pages": 2,
            "has_more": false}}),
        &page,
    );
    let model = format!("/user/daily/activity/aggregated?{DAYS}&model={SONNET_BASE}");
    assert_eq!(spent.get(&model).await["metadata"]["total_api_requests"], 1);
    let tags = spent.get(&format!("/tag/daily/activity?{DAYS}&tags=batch,=sum")).await;
    expect(
        &json!({"results": [{"breakdown": {"entities": {"batch": {"metrics": {"spend": 1.25}}, "=sum": {}}}}],
            "metadata": {"total_spend": 2.5, "overlapping": true}}),
        &tags,
    );
    let teams = spent.get(&format!("/team/daily/activity?{DAYS}&team_ids=t-finance")).await;
    expect(
        &json!({"results": [{"breakdown": {"entities": {"t-finance":
            {"metrics": {"api_requests": 2}, "metadata": {"team_alias": "finance"}}}}}]}),
        &teams,
    );
    for path in ["customer", "end_user"] {
        let path = format!("/{path}/daily/activity?{DAYS}&end_user_ids=tenant-42");
        let customers = spent.get(&path).await;
        expect(
            &json!({"results": [{"breakdown": {"entities": {"tenant-42": {"metrics": {"spend": 1.25}}}}}],
                "metadata": {"total_api_requests": 1}}),
            &customers,
        );
    }
    spent.admin.ask("GET /user/daily/activity", Value::Null).await.refused(400);
    spent.admin.stop().await;
}

#[actix_rt::test]
async fn the_whole_gateway_is_summed() {
    let spent = spent().await;
    let token = &spent.batch.record.token;
    assert_eq!(spent.get("/global/spend").await, json!({"spend": 1.250000035, "max_budget": null}));
    assert_eq!(
        spent.get("/global/spend/keys?limit=1").await,
        json!([{"api_key": token, "key_alias": "billing-batch", "key_name": spent.batch.record.key_name,
                "total_spend": 1.250000035}])
    );
    expect(
        &json!([{"model": SONNET_BASE, "total_spend": 1.25}, {"model": "amazon.nova-lite-v1:0"}, {"model": "made.by-us"}]),
        &spent.get("/global/spend/models").await,
    );
    assert_eq!(
        spent.get(&format!("/global/spend/teams?{DAYS}")).await,
        json!({"daily_spend": [{"date": "2026-11-26", "finance": 1.250000035}], "teams": ["finance"],
               "total_spend_per_team": [{"team_id": "finance", "total_spend": 1.250000035}]})
    );
    expect(
        &json!({"spend_per_tag": [{"name": "=sum", "spend": 1.25, "log_count": 1}, {"name": "batch"}]}),
        &spent.get("/global/spend/tags").await,
    );
    assert_eq!(
        spent.get("/spend/tags").await[1],
        json!({"individual_request_tag": "batch", "log_count": 1, "total_spend": 1.25})
    );
    assert_eq!(
        spent.get("/global/spend/provider").await,
        json!([{"provider": "bedrock", "spend": 1.250000035}])
    );
    assert_eq!(
        spent.get(&format!("/global/spend/logs?{DAYS}")).await,
        json!([{"date": "2026-11-26", "spend": 1.250000035}, {"date": "2026-11-27", "spend": 0.0}])
    );
    assert_eq!(
        spent.get(&format!("/global/activity?{DAYS}")).await,
        json!({"daily_data": [{"date": "Nov 26", "api_requests": 2, "total_tokens": 2482},
                              {"date": "Nov 27", "api_requests": 2, "total_tokens": 2482}],
               "sum_api_requests": 4, "sum_total_tokens": 4964})
    );
    expect(
        &json!([{"model": "amazon.nova-lite-v1:0", "sum_api_requests": 2}, {"sum_api_requests": 1}, {}]),
        &spent.get(&format!("/global/activity/model?{DAYS}")).await,
    );
    let keys = spent.get("/spend/keys?limit=1").await;
    assert_eq!(keys.as_array().map(Vec::len), Some(1));
    spent.admin.stop().await;
}
