//! Routes that read keys.

use access::accounts::KeyRef;
use serde::Serialize;

use super::answer::AdminAnswer;
use super::error::AdminRefusal;
use super::key_access::{self, KeyUse};
use super::key_fields::{named, shown};
use super::key_row::{KeyRow, KeyView};
use super::request::AdminRequest;

const INFO: &str = "/key/info";

/// The answer of `/key/info`.
#[derive(Debug, Serialize)]
struct KeyInfo<'k> {
    key: &'k str,
    info: KeyRow<'k>,
}

/// The answer of `/v2/key/info`.
#[derive(Debug, Serialize)]
struct KeyInfos<'k> {
    key: Vec<&'k str>,
    info: Vec<KeyRow<'k>>,
}

/// The answer of `/key/health`.
#[derive(Debug, Serialize)]
struct KeyHealth {
    key: &'static str,
    logging_callbacks: Option<()>,
}

/// `GET /key/info`: a key's row; without `key`, that of the calling key.
pub(super) async fn info(request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    let own = request.caller.holder().map(|holder| KeyRef::Id(holder.key.id.clone()));
    let sent = request.query.text("key");
    let key = match (sent, own) {
        (Some(text), _) => named(text)?,
        (None, Some(own)) => own,
        (None, None) => {
            // The master key has no row.
            return Err(AdminRefusal::not_found("Key not found in database").param("key"));
        }
    };
    let record = key_access::find(&request, &key, (KeyUse::Read, INFO)).await?;
    let view = KeyView::of(&request.accounts, record).await?;
    let key = shown(sent.unwrap_or_default(), &view.record);
    AdminAnswer::of(&KeyInfo { key, info: view.row(&request.accounts) })
}

/// `POST /v2/key/info`: rows of several keys; those that do not exist are left out.
pub(super) async fn info_of_many(mut request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    let keys: Vec<String> = request.body.require("keys")?;
    let (mut names, mut records) = (Vec::new(), Vec::new());
    for text in keys {
        let Some(key) = KeyRef::parse(&text) else { continue };
        match key_access::find(&request, &key, (KeyUse::Read, INFO)).await {
            Ok(record) => {
                names.push(text);
                records.push(record);
            }
            Err(refusal) if refusal.is_missing() => {}
            Err(refusal) => return Err(refusal),
        }
    }
    let views = KeyView::of_all(&request.accounts, records).await?;
    let named = names.iter().zip(&views).map(|(text, view)| shown(text, &view.record));
    let info = views.iter().map(|view| view.row(&request.accounts));
    AdminAnswer::of(&KeyInfos { key: named.collect(), info: info.collect() })
}

/// `POST /key/health`: says that the calling key works. Other keys did not come this far.
pub(super) async fn health(_request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    AdminAnswer::of(&KeyHealth { key: "healthy", logging_callbacks: None })
}
