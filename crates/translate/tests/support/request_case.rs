//! A fixture that holds a request and, where needed, a profile and Converse's response.

use serde::Deserialize;
use serde_json::value::RawValue;
use translate::Profile;

#[derive(Deserialize)]
pub(crate) struct Case<'a> {
    #[serde(default)]
    pub(crate) profile: Profile,
    #[serde(borrow)]
    pub(crate) request: &'a RawValue,
    #[serde(borrow)]
    #[allow(dead_code, reason = "streams have events instead")]
    pub(crate) response: Option<&'a RawValue>,
}
