//! Encrypted reasoning of models other than Anthropic's. It goes to the client under a prefix with its
//! format, so that it returns only to models that can read it.

use std::borrow::Cow;

use crate::Profile;
use crate::profile::Replay;

const PREFIX: &str = "outcrop.";

/// The format to seal encrypted reasoning with; `None` where the data pass as they are.
pub(super) fn format(profile: &Profile) -> Option<String> {
    (profile.replay == Replay::Redacted).then(|| profile.thoughts_format.clone())
}

/// The data in the client's form.
pub(super) fn sealed<'d>(data: &'d str, format: Option<&str>) -> Cow<'d, str> {
    match format {
        Some(format) => Cow::Owned(format!("{PREFIX}{format}.{data}")),
        None => Cow::Borrowed(data),
    }
}

/// The data for a model of this profile; `None` if they are another family's.
pub(super) fn opened<'d>(data: &'d str, profile: &Profile) -> Option<&'d str> {
    let sealed = data.strip_prefix(PREFIX).and_then(|rest| rest.rsplit_once('.'));
    match (sealed, format(profile)) {
        (Some((format, data)), Some(own)) if format == own => Some(data),
        (None, None) => Some(data),
        (Some(_), _) | (None, Some(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encrypted_reasoning_returns_to_its_own_family_only() {
        let of = |replay, format: &str| Profile {
            replay,
            thoughts_format: format.to_owned(),
            ..Profile::default()
        };
        let (gpt, claude) = (of(Replay::Redacted, "g.1"), of(Replay::Signed, "c"));
        let sent = sealed("AA==", format(&gpt).as_deref()).into_owned();
        assert_eq!(sent, "outcrop.g.1.AA==");
        assert_eq!(opened(&sent, &gpt), Some("AA=="));
        assert_eq!(opened(&sent, &claude), None);
        assert_eq!(opened(&sent, &of(Replay::Redacted, "g.2")), None);
        assert_eq!(sealed("AA==", format(&claude).as_deref()), "AA==");
        assert_eq!(opened("AA==", &claude), Some("AA=="));
        assert_eq!(opened("AA==", &gpt), None);
    }
}
