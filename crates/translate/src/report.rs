//! The fields that a translation could not honour, and the policy for them. By default the list
//! goes back to the caller (as a header), because a silent drop is a bug that cannot be seen.

use std::borrow::Cow;

use crate::Invalid;

/// Most names kept. More would not inform the caller, and a request with thousands must not cost
/// more.
const LIMIT: usize = 64;

/// Longest name kept, in bytes: the caller may have chosen it.
const NAME: usize = 100;

/// Names of request fields that had no effect, each once, in the order of their discovery; the
/// first 64.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    ignored: Vec<String>,
    lost_thoughts: Option<LostReasoning>,
}

/// Consequence of lost past reasoning that a tool turn needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LostReasoning {
    /// Reasoning is off in this call.
    Dropped,
    /// The model reasons anew, without its past reasoning.
    Forgotten,
}

/// Policy for a field that cannot be honoured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unsupported {
    /// The request is sent without it, and the caller is told its name.
    #[default]
    Warn,
    /// The request is sent without it.
    Drop,
    /// The request is refused.
    Reject,
}

impl Unsupported {
    /// The policy of this name.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "warn" => Some(Self::Warn),
            "drop" => Some(Self::Drop),
            "reject" => Some(Self::Reject),
            _ => None,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Warn => "warn",
            Self::Drop => "drop",
            Self::Reject => "reject",
        }
    }
}

impl Report {
    /// Notes that `field` had no effect.
    pub fn ignore(&mut self, field: &str) {
        let field = &*shortened(field);
        if self.ignored.len() < LIMIT && !self.ignored.iter().any(|known| known == field) {
            self.ignored.push(field.to_owned());
        }
    }

    /// Notes that those of these fields which the request gives had no effect.
    pub(crate) fn ignore_given(&mut self, fields: impl IntoIterator<Item = (&'static str, bool)>) {
        for (field, is_given) in fields {
            if is_given {
                self.ignore(field);
            }
        }
    }

    /// Notes that each of these had no effect.
    pub(crate) fn ignore_all(&mut self, fields: &[&str]) {
        for field in fields {
            self.ignore(field);
        }
    }

    /// Adds the fields that had no effect in another translation of the same request.
    pub fn join(&mut self, other: &Self) {
        for field in &other.ignored {
            self.ignore(field);
        }
        self.lost_thoughts = self.lost_thoughts.or(other.lost_thoughts);
    }

    /// Notes that past reasoning is lost.
    pub(crate) fn lose_thoughts(&mut self, led_to: LostReasoning) {
        self.lost_thoughts = Some(led_to);
    }

    /// Notes that past reasoning is left out, whether or not the turn needs it.
    pub(crate) fn forget_thoughts(&mut self) {
        self.lost_thoughts.get_or_insert(LostReasoning::Forgotten);
    }

    /// Consequence of lost past reasoning, if any was needed.
    pub fn lost_thoughts(&self) -> Option<LostReasoning> {
        self.lost_thoughts
    }

    /// The fields that had no effect.
    pub fn ignored(&self) -> &[String] {
        &self.ignored
    }

    /// The report that the caller gets under a policy.
    ///
    /// # Errors
    /// A field had no effect, and the policy refuses that: `param` is the first such field, the
    /// message names them all.
    pub fn under(self, policy: Unsupported) -> Result<Self, Invalid> {
        match (policy, self.ignored.first()) {
            (Unsupported::Warn, _) | (Unsupported::Reject, None) => Ok(self),
            (Unsupported::Drop, _) => Ok(Self { ignored: Vec::new(), ..self }),
            (Unsupported::Reject, Some(first)) => {
                let message = format!(
                    "Unsupported parameters: {} cannot be honoured with this model as sent, and unsupported_params is reject. Leave them out, or send the header x-outcrop-unsupported-params: warn.",
                    self.names()
                );
                Err(Invalid::value(first.clone(), message).with_code("unsupported_parameter"))
            }
        }
    }

    /// The fields that had no effect, in quotes.
    fn names(&self) -> String {
        let mut names = String::new();
        for field in &self.ignored {
            let comma = if names.is_empty() { "" } else { ", " };
            names += comma;
            names += "'";
            names += field;
            names += "'";
        }
        names
    }
}

/// A name, cut to the limit.
fn shortened(name: &str) -> Cow<'_, str> {
    if name.len() <= NAME {
        return Cow::Borrowed(name);
    }
    Cow::Owned(format!("{}…", &name[..name.floor_char_boundary(NAME)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_reports_drops_or_refuses() {
        let mut report = Report::default();
        for policy in [Unsupported::Warn, Unsupported::Drop, Unsupported::Reject] {
            assert_eq!(Unsupported::parse(policy.name()), Some(policy));
            assert_eq!(report.clone().under(policy), Ok(Report::default()));
        }
        assert_eq!(Unsupported::parse("maybe"), None);
        report.ignore("seed");
        report.ignore("logprobs");
        assert_eq!(report.clone().under(Unsupported::Warn), Ok(report.clone()));
        assert_eq!(report.clone().under(Unsupported::Drop), Ok(Report::default()));
        report.ignore(&"\u{fc}".repeat(200));
        let refused = report.clone().under(Unsupported::Reject).unwrap_err();
        assert_eq!(
            (refused.param.as_deref(), refused.code),
            (Some("seed"), "unsupported_parameter")
        );
        assert!(refused.message.contains("'seed', 'logprobs', '\u{fc}"), "{}", refused.message);
        assert!(refused.message.len() < 600, "names are quoted in part");
        report.lose_thoughts(LostReasoning::Dropped);
        let left = report.under(Unsupported::Drop).unwrap();
        assert_eq!((left.ignored(), left.lost_thoughts()), (&[][..], Some(LostReasoning::Dropped)));
    }
}
