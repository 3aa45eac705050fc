//! Files: sent by form, listed, read whole and in part, deleted, and no business of other keys.

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use super::keys::{MASTER, key};
use super::rig::{Received, Rig};

pub(super) const BUCKET: &str = "files: { bucket: test-files }\n";

/// A form with these fields and a file.
pub(super) fn form(fields: &[(&str, &str)], content: &[u8]) -> Bytes {
    let mut body = Vec::new();
    for (name, value) in fields {
        let field =
            format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        body.extend_from_slice(field.as_bytes());
    }
    body.extend_from_slice(
        b"--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"lines.jsonl\"\r\nContent-Type: text/plain\r\n\r\n",
    );
    body.extend_from_slice(content);
    body.extend_from_slice(b"\r\n--B--\r\n");
    body.into()
}

pub(super) async fn send(rig: &Rig, key: &str, body: Bytes) -> Received {
    let bearer = format!("Bearer {key}");
    let headers =
        [("authorization", bearer.as_str()), ("content-type", "multipart/form-data; boundary=B")];
    rig.send_with(&headers, Method::POST, "/v1/files", body).await
}

pub(super) async fn ask(rig: &Rig, key: &str, method: Method, path: &str) -> Received {
    let bearer = format!("Bearer {key}");
    rig.send_with(&[("authorization", &bearer)], method, path, Bytes::new()).await
}

fn ids(list: &Value) -> Vec<&str> {
    list["data"].as_array().unwrap().iter().map(|file| file["id"].as_str().unwrap()).collect()
}

#[actix_rt::test]
async fn a_file_is_kept_listed_read_and_deleted() {
    let rig = Rig::start(BUCKET).await;
    let content = b"{\"a\": 1}\r\n--A-\r\nmore";
    let sent = send(&rig, "", form(&[("purpose", "batch")], content)).await;
    let file = sent.json();
    assert_eq!(sent.status, 200, "{file}");
    let id = file["id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("file-"));
    assert_eq!(file["bytes"], content.len());
    assert_eq!((&file["filename"], &file["purpose"]), (&json!("lines.jsonl"), &json!("batch")));
    let other = [
        ("expires_after[anchor]", "created_at"),
        ("expires_after[seconds]", "3600"),
        ("purpose", "user_data"),
    ];
    let later = send(&rig, "", form(&other, b"x")).await.json();
    let kept = later["expires_at"].as_u64().unwrap() - later["created_at"].as_u64().unwrap();
    assert!((3600..3660).contains(&kept), "{later}");
    let later = later["id"].as_str().unwrap();
    let get = async |path: &str| ask(&rig, "", Method::GET, path).await;
    assert_eq!(get(&format!("/v1/files/{id}")).await.json(), file);
    assert_eq!(ids(&get("/v1/files").await.json()), [later, &id]);
    assert_eq!(ids(&get("/files?order=asc").await.json()), [&id, later]);
    assert_eq!(ids(&get("/v1/files?purpose=batch").await.json()), [&id]);
    let first = get("/v1/files?limit=1").await.json();
    assert_eq!((ids(&first), &first["has_more"]), (vec![later], &json!(true)));
    let rest = get(&format!("/v1/files?limit=1&after={later}")).await.json();
    assert_eq!((ids(&rest), &rest["has_more"]), (vec![id.as_str()], &json!(false)));
    let path = format!("/v1/files/{id}/content");
    let whole = get(&path).await;
    assert_eq!((whole.status, &whole.body[..]), (200, &content[..]));
    assert_eq!(whole.header("content-type"), Some("application/octet-stream"));
    for (range, status, expected) in
        [("bytes=2-4", 206, &content[2..5]), ("bytes=-4", 206, &b"more"[..])]
    {
        let part = rig.send_with(&[("range", range)], Method::GET, &path, Bytes::new()).await;
        assert_eq!((part.status, &part.body[..]), (status, expected), "{range}");
        assert!(part.header("content-range").unwrap().starts_with("bytes "));
    }
    let beyond = [("range", "bytes=99-")];
    let beyond = rig.send_with(&beyond, Method::GET, &path, Bytes::new()).await;
    assert_eq!(
        (beyond.status, &beyond.json()["error"]["code"]),
        (416, &json!("range_not_satisfiable"))
    );
    let gone = ask(&rig, "", Method::DELETE, &format!("/v1/files/{id}")).await;
    assert_eq!(gone.json(), json!({ "id": id, "object": "file", "deleted": true }));
    for path in [&path, &format!("/v1/files/{id}"), "/v1/files/file-../x", "/v1/files/none"] {
        assert_eq!(get(path).await.status, 404, "{path}");
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn a_long_file_goes_to_s3_in_parts() {
    let rig = Rig::start(BUCKET).await;
    let content: Vec<u8> = (0..=250).cycle().take(20_000_000).collect();
    let file = send(&rig, "", form(&[("purpose", "vision")], &content)).await.json();
    let path = format!("/v1/files/{}/content", file["id"].as_str().unwrap());
    let read = ask(&rig, "", Method::GET, &path).await;
    assert!(read.body == content, "the content is another");
    let calls = rig.emulator.journal().calls();
    assert_eq!(calls.iter().filter(|call| call.path.contains("partNumber=")).count(), 3);
    rig.stop().await;
}

#[actix_rt::test]
async fn forms_that_are_not_of_a_file_are_refused_and_leave_nothing() {
    let rig = Rig::start("files: { bucket: test-files, max_mib: 1 }\n").await;
    let long = vec![b'x'; 1024 * 1024 + 1];
    let batch = [("purpose", "batch")];
    let cut = form(&batch, b"x");
    let cut = cut.slice(..cut.len() - 12);
    let bodies = [
        (form(&[], b"x"), 400, "missing_required_parameter", "purpose"),
        (form(&[("purpose", "fine-tune")], b"x"), 400, "invalid_value", "purpose"),
        (form(&[("purpose", "batch"), ("odd", "1")], b"x"), 400, "invalid_value", "file"),
        (
            form(&[("purpose", "batch"), ("expires_after[anchor]", "created_at")], b"x"),
            400,
            "invalid_value",
            "expires_after",
        ),
        (form(&batch, &long), 413, "request_too_large", ""),
        (cut, 400, "invalid_body", ""),
        (
            Bytes::from_static(
                b"--B\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--B--",
            ),
            400,
            "missing_required_parameter",
            "file",
        ),
    ];
    for (body, status, code, param) in bodies {
        let refused = send(&rig, "", body).await;
        let error = &refused.json()["error"];
        assert_eq!((refused.status, &error["code"]), (status, &json!(code)), "{error}");
        assert_eq!(error["param"].as_str().unwrap_or_default(), param, "{error}");
    }
    let list = ask(&rig, "", Method::GET, "/v1/files").await.json();
    assert_eq!(list["data"], json!([]));
    rig.stop().await;
    let rig = Rig::start("").await;
    let refused = send(&rig, "", form(&batch, b"x")).await;
    let error = &refused.json()["error"];
    assert_eq!((refused.status, &error["code"]), (400, &json!("files_not_configured")));
    assert!(error["message"].as_str().unwrap().contains("files.bucket"), "{error}");
    rig.stop().await;
    let rig = Rig::start("files: { bucket: missing-files }\n").await;
    let refused = send(&rig, "", form(&batch, b"x")).await;
    assert_eq!(refused.json()["error"]["code"], "files_unavailable");
    rig.stop().await;
}

#[actix_rt::test]
async fn a_file_is_its_keys_alone() {
    let rig = Rig::start(&format!("{MASTER}{BUCKET}")).await;
    let (one, other) = (key(&rig, json!({})).await, key(&rig, json!({})).await);
    let file = send(&rig, &one, form(&[("purpose", "batch")], b"x")).await.json();
    let path = format!("/v1/files/{}", file["id"].as_str().unwrap());
    for (key, status) in [(one.as_str(), 200), (&other, 404), ("sk-master", 404), ("", 401)] {
        for (method, path) in
            [(Method::GET, path.clone()), (Method::GET, format!("{path}/content"))]
        {
            assert_eq!(ask(&rig, key, method, &path).await.status, status, "{path}");
        }
    }
    assert_eq!(ask(&rig, &other, Method::DELETE, &path).await.status, 404);
    assert_eq!(ask(&rig, &other, Method::GET, "/v1/files").await.json()["data"], json!([]));
    assert_eq!(ids(&ask(&rig, &one, Method::GET, "/v1/files").await.json()).len(), 1);
    rig.stop().await;
}

#[actix_rt::test]
async fn requests_of_each_api_name_files_by_their_ids() {
    let rig = Rig::start(&format!("{MASTER}{BUCKET}")).await;
    let (one, other) = (key(&rig, json!({})).await, key(&rig, json!({})).await);
    let png = b"\x89PNG\r\n\x1a\n0123456789";
    let body = form(&[("purpose", "vision")], png);
    let named = replaced(&body, b"lines.jsonl", b"picture.png");
    let file = send(&rig, &one, named).await.json();
    let id = file["id"].as_str().unwrap();
    let nova = "us.amazon.nova-lite-v1:0";
    let claude = "us.anthropic.claude-haiku-4-5-20251001-v1:0";
    let part = json!({ "type": "input_image", "file_id": id });
    let source = json!({ "type": "image", "source": { "type": "file", "file_id": id } });
    let requests = [
        (
            "/v1/responses",
            json!({ "model": nova, "input": [{ "role": "user", "content": [part] }] }),
        ),
        (
            "/v1/messages",
            json!({
                "model": claude, "max_tokens": 50, "messages": [{ "role": "user", "content": [source] }],
            }),
        ),
        (
            "/v1/chat/completions",
            json!({ "model": nova, "messages": [{ "role": "user", "content": [
            { "type": "text", "text": "Look" }, { "type": "file", "file": { "file_id": id } },
        ] }] }),
        ),
    ];
    let as_sent = "iVBORw0KGgowMTIzNDU2Nzg5";
    for (path, request) in requests {
        rig.emulator.journal().clear();
        let headers = [("authorization", format!("Bearer {one}"))];
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = rig.send_with(&headers, Method::POST, path, request.to_string().into()).await;
        assert_eq!(answer.status, 200, "{path} {}", answer.json());
        let calls = rig.emulator.journal().calls();
        let sent = calls.iter().find(|call| call.model_id.is_some()).unwrap();
        assert!(sent.body.to_string().contains(as_sent), "{path}: {}", sent.body);
        let bearer = format!("Bearer {other}");
        let headers = [("authorization", bearer.as_str())];
        let refused = rig.send_with(&headers, Method::POST, path, request.to_string().into()).await;
        assert_eq!(refused.status, 404, "another key's file");
    }
    rig.stop().await;
}

fn replaced(body: &[u8], from: &[u8], to: &[u8]) -> Bytes {
    let at = body.windows(from.len()).position(|window| window == from).unwrap();
    [&body[..at], to, &body[at + from.len()..]].concat().into()
}
