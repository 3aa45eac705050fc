//! Tools that Bedrock runs itself: a request may ask for them, and the model's calls of them stay
//! internal. The client sees their effects, never the calls.

use std::borrow::Cow;

use schema::converse::tool::SystemTool;

use crate::Profile;

/// The service's tool for a tool of this type, if the model has it.
pub(super) fn hosted(kind: &str, profile: &Profile) -> Option<SystemTool<'static>> {
    let own = [&profile.web_search_tool, &profile.code_tool].into_iter().flatten();
    let by_name = own.into_iter().find(|name| *name == kind);
    let tool = by_name.or_else(|| match kind {
        kind if kind.starts_with("web_search") => profile.web_search_tool.as_ref(),
        kind if kind.starts_with("code_interpreter") || kind.starts_with("code_execution") => {
            profile.code_tool.as_ref()
        }
        _ => None,
    });
    tool.map(|name| SystemTool { name: Cow::Owned(name.clone()) })
}
