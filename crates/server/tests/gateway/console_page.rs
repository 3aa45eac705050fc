//! The operator's page: its files and their headers, the listeners that have it, and the routes that it calls.

use std::net::SocketAddr;

use bytes::Bytes;
use http::Method;
use serde_json::json;

use super::keys::{MASTER, key};
use super::rig::{Received, Rig};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

async fn get(rig: &Rig, path: &str, headers: &[(&str, &str)]) -> Received {
    rig.send_with(headers, Method::GET, path, Bytes::new()).await
}

#[actix_rt::test]
async fn the_page_is_public_and_strict() {
    let rig = Rig::start(MASTER).await;
    let page = get(&rig, "/console/", &[]).await;
    assert_eq!(page.status, 200);
    for (name, value) in [
        ("content-type", "text/html; charset=utf-8"),
        ("content-security-policy", POLICY),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("cache-control", "no-cache"),
        ("vary", "accept-encoding"),
    ] {
        assert_eq!(page.header(name), Some(value), "{name}");
    }
    assert!(page.header("permissions-policy").unwrap().contains("camera=()"));
    let tag = page.header("etag").unwrap().to_owned();
    let again = get(&rig, "/console/index.html", &[("if-none-match", &tag)]).await;
    assert_eq!((again.status, again.body.len()), (304, 0));
    let other = get(&rig, "/console/", &[("if-none-match", "\"other\"")]).await;
    assert_eq!(other.status, 200);
    let packed = get(&rig, "/console/js/main.js", &[("accept-encoding", "br, gzip;q=0.5")]).await;
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    let plain = get(&rig, "/console/js/main.js", &[]).await;
    assert_eq!(plain.header("content-encoding"), None);
    assert!(packed.body.len() * 2 < plain.body.len());
    let moved = get(&rig, "/console", &[]).await;
    assert_eq!((moved.status, moved.header("location")), (308, Some("/console/")));
    for path in ["/console/none.js", "/console/../console/none", "/console/js/%2e%2e/main.js"] {
        assert_eq!(get(&rig, path, &[]).await.status, 404, "{path}");
    }
    assert_eq!(rig.send_with(&[], Method::POST, "/console/", Bytes::new()).await.status, 405);
    rig.stop().await;
}

#[actix_rt::test]
async fn names_of_others_are_misdirected() {
    let rig = Rig::start(MASTER).await;
    for (host, status) in [("evil.example", 421), ("localhost", 200), ("127.0.0.1", 200)] {
        assert_eq!(get(&rig, "/console/", &[("host", host)]).await.status, status, "{host}");
    }
    // A link from another site leads here; a request of its pages for data does not.
    let site = [("sec-fetch-site", "cross-site")];
    assert_eq!(get(&rig, "/console/", &site).await.status, 200);
    let bearer = [("sec-fetch-site", "cross-site"), ("authorization", "Bearer sk-master")];
    assert_eq!(get(&rig, "/outcrop/session", &bearer).await.status, 403);
    rig.stop().await;
}

#[actix_rt::test]
async fn keys_have_the_rights_of_their_role() {
    let rig =
        Rig::start(&format!("{MASTER}admin: {{ read_only_key: sk-viewer, console_idle: 60 }}\n"))
            .await;
    let of_key = key(&rig, json!({})).await;
    for (sent, role, can_change) in [
        ("sk-master", "administrator", true),
        ("sk-viewer", "reader", false),
        (of_key.as_str(), "own records", false),
    ] {
        let bearer = format!("Bearer {sent}");
        let told = get(&rig, "/outcrop/session", &[("authorization", &bearer)]).await;
        assert_eq!(told.header("cache-control"), Some("no-store"));
        let told = told.json();
        assert_eq!((&told["role"], &told["can_change"]), (&json!(role), &json!(can_change)));
        assert_eq!(told["idle_minutes"], 1.0);
    }
    assert_eq!(get(&rig, "/outcrop/session", &[]).await.status, 401);
    let wrong = [("authorization", "Bearer sk-wrong")];
    assert_eq!(get(&rig, "/outcrop/session", &wrong).await.status, 401);
    rig.stop().await;
}

/// A free port, for a moment.
fn free() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[actix_rt::test]
async fn the_page_is_where_the_admin_api_is() {
    let long = "master_key: sk-master-that-is-long-enough-for-strangers\n";
    let admin = free();
    let outside = format!("listen: 0.0.0.0:0\n{long}");
    for (yaml, beside_models, alone) in [
        (MASTER.to_owned(), 200, None),
        (format!("{MASTER}admin: {{ console: false }}\n"), 401, None),
        (format!("{outside}admin: {{ on_data_port: true }}\n"), 401, None),
        (format!("{outside}admin: {{ on_data_port: true, console: true }}\n"), 200, None),
        (format!("{outside}admin: {{ listen: '{admin}' }}\n"), 401, Some(200)),
        (format!("{outside}admin: {{ listen: '{admin}', console: false }}\n"), 401, Some(401)),
        // Without a master key there is no admin API.
        (String::new(), 404, None),
    ] {
        let rig = Rig::start(&yaml).await;
        assert_eq!(get(&rig, "/console/", &[]).await.status, beside_models, "{yaml}");
        let page = get(&rig, "/", &[]).await;
        let is_linked = String::from_utf8_lossy(&page.body).contains("/console/");
        assert_eq!(is_linked, beside_models == 200, "{yaml}");
        if let Some(status) = alone {
            let base = format!("http://{admin}");
            assert_eq!(get(&rig, &format!("{base}/console/"), &[]).await.status, status, "{yaml}");
            let evil = [("host", "evil.example")];
            let forged = get(&rig, &format!("{base}/key/list"), &evil).await;
            assert_eq!(forged.status, 403, "a name of others reaches the admin API");
            // The page's calls of models, with a key as anywhere.
            let chat = format!("{base}/v1/chat/completions");
            let json = [("content-type", "application/json")];
            let called = rig.send_with(&json, Method::POST, &chat, "{}".into()).await.status;
            assert_eq!(called, 401);
        }
        rig.stop().await;
    }
}
