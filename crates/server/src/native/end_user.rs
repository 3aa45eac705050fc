//! The end user of a native request: the member of `requestMetadata` that the operator names.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;

use crate::offload::Offload;
use crate::panic_guard::Panicked;

/// A body, as far as it states metadata.
#[derive(Deserialize)]
struct Stated {
    #[serde(rename = "requestMetadata")]
    metadata: Option<BTreeMap<String, String>>,
}

/// Reads the end user from a body, if the operator names a member.
///
/// # Errors
/// The work could not be done.
pub(crate) async fn of(
    member: Option<&str>,
    body: &Bytes,
    offload: &Offload,
) -> Result<Option<String>, Panicked> {
    let Some(member) = member.map(ToOwned::to_owned) else { return Ok(None) };
    let (length, body) = (body.len(), body.clone());
    let read = async move {
        let stated: Stated = serde_json::from_slice(&body).ok()?;
        stated.metadata?.remove(&member)
    };
    offload.run(length, read).await
}
