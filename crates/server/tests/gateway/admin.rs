//! The admin API as clients call it: golden answers, fields, scopes, and the habits of programs that use it.

mod console;
mod console_screens;
mod fields;
mod golden;
mod keys;
mod models;
mod people;
#[path = "../../../access/tests/accounts/postgres.rs"]
#[allow(dead_code)]
mod postgres;
mod programs;
mod scopes;
mod spend;
mod spend_reports;
mod spend_scope;
mod viewers;

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use access::Accounts;
use access::accounts::AccountSettings;
use access::store::{SqlOptions, SqlStore};
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use super::rig::{Received, Rig};

/// The master key of these tests.
pub(crate) const MASTER: &str = "sk-master-of-the-admin-tests-0123456789";

/// A gateway with accounts in a folder of its own.
pub(crate) struct Admin {
    pub(crate) rig: Rig,
    folder: Folder,
}

/// A folder that goes with its test.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("outcrop-admin-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A leftover in the system's own temporary folder does no harm.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// An answer of the admin API.
pub(crate) struct Told {
    pub(crate) status: u16,
    pub(crate) body: Value,
    pub(crate) received: Received,
}

impl Admin {
    /// A gateway whose accounts are in SQLite.
    pub(crate) async fn start() -> Self {
        Self::with("").await
    }

    /// A gateway whose accounts are in a database.
    pub(crate) async fn on(database: &str) -> Self {
        Self::with(&format!("database_url: '{database}'\n")).await
    }

    /// The same, with more YAML.
    pub(crate) async fn with(yaml: &str) -> Self {
        let folder = Folder::new();
        let yaml = format!("master_key: {MASTER}\ndata_dir: {}\n{yaml}", folder.0.display());
        let rig: Pin<Box<dyn Future<Output = Rig>>> =
            Box::pin(async move { Rig::start(&yaml).await });
        Self { rig: rig.await, folder }
    }

    pub(crate) async fn stop(self) {
        self.rig.stop().await;
    }

    /// A request with the master key.
    pub(crate) async fn ask(&self, line: &str, body: Value) -> Told {
        self.ask_as(MASTER, line, body).await
    }

    /// A request with a key; `line` is method and path.
    pub(crate) async fn ask_as(&self, key: &str, line: &str, body: Value) -> Told {
        let bearer = format!("Bearer {key}");
        self.ask_with(&[("authorization", &bearer)], line, body).await
    }

    /// A request with these headers. A null body is none.
    pub(crate) async fn ask_with(&self, headers: &[(&str, &str)], line: &str, body: Value) -> Told {
        let (method, path) = line.split_once(' ').unwrap();
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let bytes = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        let received = self.rig.send_with(headers, method, path, bytes).await;
        let body = serde_json::from_slice(&received.body)
            .unwrap_or_else(|_| json!(String::from_utf8_lossy(&received.body)));
        Told { status: received.status, body, received }
    }

    /// The accounts of the gateway, opened a second time, for what the admin API does not do.
    pub(crate) async fn accounts(&self) -> Arc<Accounts> {
        let url = format!("sqlite:{}", self.folder.0.join("outcrop.db").display());
        let store = Arc::new(SqlStore::connect(&url, &SqlOptions::default()).await.unwrap());
        Accounts::open(store, AccountSettings::default()).await.unwrap()
    }

    /// Makes a key with these fields and returns the answer.
    pub(crate) async fn key(&self, fields: Value) -> Value {
        self.ask("POST /key/generate", fields).await.fine()
    }
}

impl Told {
    /// The body of an answer that must be a success.
    #[track_caller]
    pub(crate) fn fine(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        self.body
    }

    /// The error of an answer that must have this status.
    #[track_caller]
    pub(crate) fn refused(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        let error = self.body["error"].clone();
        assert_eq!(error["code"], status.to_string(), "{}", self.body);
        let says_gone = self.body.to_string().contains("not found");
        assert_eq!(says_gone, status == 404, "{}", self.body);
        error
    }
}

/// The text of a member.
#[track_caller]
pub(crate) fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_else(|| panic!("{name} in {value}"))
}
