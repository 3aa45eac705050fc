//! Access to `/metrics`, by key and by listener.

use http::Method;
use serde_json::json;

use crate::keys::{MASTER, key};
use crate::rig::Rig;

async fn status(rig: &Rig, path: &str, key: Option<&str>) -> u16 {
    let bearer = key.map(|key| format!("Bearer {key}"));
    let headers: Vec<_> = bearer.iter().map(|key| ("authorization", key.as_str())).collect();
    rig.send_with(&headers, Method::GET, path, "".into()).await.status
}

#[actix_rt::test]
async fn beside_the_models_metrics_are_for_the_operator() {
    let rig = Rig::start(&format!("{MASTER}admin: {{ read_only_key: sk-viewer }}\n")).await;
    let of_key = key(&rig, json!({})).await;
    assert_eq!(status(&rig, "/metrics", None).await, 401);
    assert_eq!(status(&rig, "/metrics", Some("sk-unknown")).await, 401);
    assert_eq!(status(&rig, "/metrics", Some(&of_key)).await, 403);
    assert_eq!(status(&rig, "/metrics", Some("sk-master")).await, 200);
    assert_eq!(status(&rig, "/metrics", Some("sk-viewer")).await, 200);
    rig.stop().await;
}

#[actix_rt::test]
async fn a_listener_of_their_own_serves_metrics_and_probes_alone() {
    let rig = Rig::start(&format!("{MASTER}telemetry: {{ listen: '127.0.0.1:0' }}\n")).await;
    let base = format!("http://{}", rig.telemetry.unwrap());
    for path in ["/metrics", "/livez", "/readyz", "/health"] {
        // The search for credentials may still be under way.
        let status = status(&rig, &format!("{base}{path}"), None).await;
        assert!(status == 200 || status == 503 && path != "/metrics", "{path}: {status}");
    }
    for path in ["/v1/models", "/key/list", "/", "/bedrock/foundation-models"] {
        assert_eq!(status(&rig, &format!("{base}{path}"), Some("sk-master")).await, 404, "{path}");
    }
    rig.stop().await;
}
