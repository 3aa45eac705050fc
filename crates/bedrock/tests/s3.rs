//! Objects in the emulator's S3, which verifies every signature.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use bedrock::{
    Account, AccountKeys, AccountSecret, Bucket, Settings, Transport, WriteCondition, status_of,
};
use emulator::{Credentials, Options, Running};
use http::HeaderValue;

const LIMIT: usize = 64 * 1024 * 1024;

async fn emulated() -> Running {
    let credentials = Some(Credentials {
        access_key_id: "AKIDEXAMPLE".to_owned(),
        secret_access_key: "wJalr/secret".to_owned(),
        session_token: None,
    });
    emulator::start(Options { credentials, ..Options::default() }).await.unwrap()
}

async fn bucket(emulator: &Running, name: &str, secret: &str) -> Bucket {
    let account = Account::load(Settings {
        region: Some("eu-west-1".to_owned()),
        endpoint: Some(emulator.url()),
        keys: Some(AccountKeys::Static {
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret_access_key: AccountSecret::new(secret),
            session_token: None,
        }),
        ..Settings::default()
    });
    Bucket::new(Transport::new(&account.await.unwrap()), name, "pre fix/")
}

#[actix_rt::test]
async fn objects_of_any_key_are_written_read_listed_and_removed() {
    let emulator = emulated().await;
    let bucket = bucket(&emulator, "files", "wJalr/secret").await;
    let keys = ["a/b c.txt", "a/ü+&=?%20.txt", "a//d", "b"];
    for key in keys {
        let body = key.as_bytes().to_vec().into();
        bucket.write(key, body, &WriteCondition::Always).await.unwrap().unwrap();
    }
    for key in keys {
        assert_eq!(bucket.read(key, LIMIT).await.unwrap().unwrap().body, key);
        assert_eq!(bucket.size(key).await.unwrap(), Some(key.len() as u64));
    }
    let range = HeaderValue::from_static("bytes=2-4");
    let part = bucket.open(keys[0], Some(&range)).await.unwrap().unwrap();
    assert_eq!((part.status.as_u16(), &part.bytes(LIMIT).await.unwrap()[..]), (206, &b"b c"[..]));
    let mut sorted = keys[..3].to_vec();
    sorted.sort_unstable();
    assert_eq!(bucket.keys("a/", 10).await.unwrap(), sorted);
    assert_eq!(bucket.keys("a/", 1).await.unwrap(), sorted[..1]);
    assert_eq!(bucket.address("x"), "s3://files/pre fix/x");
    bucket.remove(keys[0]).await.unwrap();
    bucket.remove(keys[0]).await.unwrap();
    assert!(bucket.read(keys[0], LIMIT).await.unwrap().is_none());
    assert_eq!(bucket.size(keys[0]).await.unwrap(), None);
    assert!(bucket.read(keys[1], 3).await.is_err(), "longer than its reader wants");
    emulator.stop().await;
}

#[actix_rt::test]
async fn writes_whose_condition_fails_change_nothing() {
    let emulator = emulated().await;
    let bucket = bucket(&emulator, "files", "wJalr/secret").await;
    let write = async |text: &'static str, condition: &WriteCondition| {
        bucket.write("state", text.as_bytes().into(), condition).await.unwrap()
    };
    let other = WriteCondition::Matches("\"other\"".to_owned());
    assert_eq!(write("0", &other).await, None);
    let first = write("1", &WriteCondition::Absent).await.unwrap();
    assert_eq!(write("2", &WriteCondition::Absent).await, None);
    assert_eq!(write("3", &other).await, None);
    let read = bucket.read("state", LIMIT).await.unwrap().unwrap();
    assert_eq!((&read.body[..], &read.etag), (&b"1"[..], &first));
    let second = write("4", &WriteCondition::Matches(first.clone())).await.unwrap();
    assert_ne!(first, second);
    assert_eq!(write("5", &WriteCondition::Matches(first)).await, None);
    emulator.stop().await;
}

#[actix_rt::test]
async fn uploads_go_in_parts_and_leave_no_trace_when_aborted() {
    let emulator = emulated().await;
    let bucket = bucket(&emulator, "files", "wJalr/secret").await;
    let piece: Vec<u8> = (0..=255).cycle().take(700_001).collect();
    let mut upload = bucket.upload("large");
    for _ in 0..30 {
        upload.push(&piece).await.unwrap();
    }
    assert_eq!(upload.finish().await.unwrap(), 21_000_030);
    let whole = bucket.read("large", LIMIT).await.unwrap().unwrap().body;
    assert!(whole.chunks(piece.len()).all(|chunk| chunk == piece));
    let parts = emulator.journal().calls();
    assert_eq!(parts.iter().filter(|call| call.path.contains("partNumber=")).count(), 3);
    let mut aborted = bucket.upload("aborted");
    for _ in 0..13 {
        aborted.push(&piece).await.unwrap();
    }
    aborted.abort().await;
    assert_eq!(bucket.size("aborted").await.unwrap(), None);
    let mut short = bucket.upload("short");
    short.push(b"x").await.unwrap();
    assert_eq!(short.finish().await.unwrap(), 1);
    assert_eq!(bucket.size("short").await.unwrap(), Some(1));
    emulator.stop().await;
}

#[actix_rt::test]
async fn refusals_have_the_codes_of_s3() {
    let emulator = emulated().await;
    let stranger = bucket(&emulator, "files", "another").await;
    let refused = stranger.read("x", LIMIT).await.unwrap_err();
    assert_eq!(status_of(&refused), Some(403));
    assert!(refused.to_string().contains("InvalidSignature"), "{refused}");
    let missing = bucket(&emulator, "missing-files", "wJalr/secret").await;
    let refused = missing.read("x", LIMIT).await.unwrap_err();
    assert!(refused.to_string().contains("NoSuchBucket"), "{refused}");
    emulator.stop().await;
}
