//! What a translation could not honour. The list goes back to the caller (as a header), because a
//! field that is dropped in silence is a bug nobody can see.

/// More names than these tell nobody anything; a request with thousands must not cost more.
const LIMIT: usize = 64;

/// Names of request fields that had no effect, each once, in the order they were met; the first 64.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    ignored: Vec<String>,
}

impl Report {
    /// Notes that `field` had no effect.
    pub fn ignore(&mut self, field: &str) {
        if self.ignored.len() < LIMIT && !self.ignored.iter().any(|known| known == field) {
            self.ignored.push(field.to_owned());
        }
    }

    /// The fields that had no effect.
    pub fn ignored(&self) -> &[String] {
        &self.ignored
    }
}
