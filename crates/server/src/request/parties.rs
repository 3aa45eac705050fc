//! The parties that a call is accounted to besides its key: the end user and the tags, from headers and body; and the
//! caller's own ids and metadata, which are kept with its row. None of them can set cost, key, team or user.

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use translate::Invalid;

/// Headers that name the end user; the first that is not empty counts.
static END_USER: [HeaderName; 2] = [
    HeaderName::from_static("x-litellm-end-user-id"),
    HeaderName::from_static("x-litellm-customer-id"),
];
/// Headers with the caller's own id of a conversation.
static SESSION: [HeaderName; 2] = [
    HeaderName::from_static("x-litellm-session-id"),
    HeaderName::from_static("x-litellm-trace-id"),
];
static METADATA: HeaderName = HeaderName::from_static("x-litellm-spend-logs-metadata");
/// Longest id of an end user, in bytes.
const ID: usize = 256;
/// Longest metadata, in bytes.
const METADATA_LIMIT: usize = 4 * 1024;
/// Most tags of a call, and the longest, in bytes.
const TAGS: usize = 20;
const TAG: usize = 64;

/// The parties of one call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Parties {
    /// The end user.
    pub(crate) end_user: Option<String>,
    /// Tags.
    pub(crate) tags: Vec<String>,
    /// The caller's id of the conversation.
    pub(crate) session: Option<String>,
    /// The caller's metadata, a JSON object.
    pub(crate) metadata: Option<String>,
}

impl Parties {
    /// Those of the headers. `end_user` names the operator's own headers for end users.
    ///
    /// # Errors
    /// The id of the end user is too long, or has control characters.
    pub(crate) fn of(headers: &HeaderMap, end_user: &[String]) -> Result<Self, Invalid> {
        let text = |value: Option<&HeaderValue>| {
            let value = value?.to_str().ok()?.trim();
            (!value.is_empty()).then(|| value.to_owned())
        };
        let mut parties = Self {
            session: SESSION
                .iter()
                .find_map(|name| text(headers.get(name)))
                .filter(|id| id.len() <= ID),
            metadata: text(headers.get(&METADATA)).filter(|text| is_object(text)),
            ..Self::default()
        };
        for name in &END_USER {
            parties.acts_for(text(headers.get(name)), name.as_str())?;
        }
        for name in end_user {
            // The parameter of a refusal is a name known at compile time.
            parties.acts_for(text(headers.get(name)), "user")?;
        }
        Ok(parties)
    }

    /// Adds the end user that `param` names, unless one is known.
    ///
    /// # Errors
    /// The id is too long, or has control characters.
    pub(crate) fn acts_for(
        &mut self,
        end_user: Option<String>,
        param: &'static str,
    ) -> Result<(), Invalid> {
        let Some(id) = end_user.filter(|_| self.end_user.is_none()) else { return Ok(()) };
        if id.len() > ID || id.chars().any(char::is_control) {
            let message =
                format!("The id of an end user has at most {ID} bytes and no control characters.");
            return Err(Invalid::value(param, message));
        }
        self.end_user = Some(id);
        Ok(())
    }

    /// Requires an end user.
    ///
    /// # Errors
    /// None is known.
    pub(crate) fn require_end_user(&self) -> Result<(), Invalid> {
        if self.end_user.is_some() {
            return Ok(());
        }
        let message = "This gateway counts calls by end user: name one in user, metadata.user_id or the header x-litellm-end-user-id.";
        Err(Invalid::value("user", message))
    }

    /// Adds tags; those beyond twenty, and those of more than 64 bytes, are left out.
    pub(crate) fn add_tags<'t>(&mut self, tags: impl Iterator<Item = &'t str>) {
        for tag in tags.filter(|tag| !tag.is_empty() && tag.len() <= TAG) {
            if self.tags.len() < TAGS && self.tags.iter().all(|known| known != tag) {
                self.tags.push(tag.to_owned());
            }
        }
    }
}

fn is_object(text: &str) -> bool {
    text.len() <= METADATA_LIMIT
        && serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text).is_ok()
}

#[cfg(test)]
mod tests {

    use super::*;

    fn of(pairs: &[(&'static str, &str)]) -> Result<Parties, Invalid> {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        Parties::of(&pairs.iter().map(pair).collect(), &["x-tenant".to_owned()])
    }

    #[test]
    fn headers_name_the_end_user_before_the_body_does() {
        let mut parties = of(&[
            ("x-litellm-customer-id", "second"),
            ("x-litellm-end-user-id", " first "),
            ("x-litellm-spend-logs-metadata", r#"{"cost": 0}"#),
            ("x-litellm-trace-id", "t-1"),
        ])
        .unwrap();
        parties.acts_for(Some("third".to_owned()), "user").unwrap();
        assert_eq!(parties.end_user.as_deref(), Some("first"));
        assert_eq!(parties.metadata.as_deref(), Some(r#"{"cost": 0}"#));
        assert_eq!(parties.session.as_deref(), Some("t-1"));
        let long = "x".repeat(ID + 1);
        assert!(Parties::default().acts_for(Some(long), "user").is_err());
        assert!(Parties::default().acts_for(Some("a\nb".to_owned()), "user").is_err());
        assert_eq!(of(&[("x-litellm-spend-logs-metadata", "[1]")]).unwrap(), Parties::default());
    }

    #[test]
    fn headers_of_the_operator_come_after_those_that_always_count() {
        let of = |pairs| of(pairs).unwrap().end_user;
        assert_eq!(of(&[("x-tenant", "t-1")]).as_deref(), Some("t-1"));
        let both = [("x-tenant", "t-1"), ("x-litellm-customer-id", "c-1")];
        assert_eq!(of(&both).as_deref(), Some("c-1"));
    }

    #[test]
    fn tags_are_bounded_and_each_counted_once() {
        let mut parties = Parties::default();
        let many: Vec<String> = (0..30).map(|at| format!("t{at}")).collect();
        parties.add_tags(["a", "a", "", &"x".repeat(TAG + 1)].into_iter());
        parties.add_tags(many.iter().map(String::as_str));
        assert_eq!((parties.tags.len(), parties.tags[0].as_str()), (TAGS, "a"));
    }
}
