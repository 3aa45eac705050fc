//! What a translation could not honour. The list goes back to the caller (as a header), because a
//! field that is dropped in silence is a bug nobody can see.

/// More names than these tell nobody anything; a request with thousands must not cost more.
const LIMIT: usize = 64;

/// Names of request fields that had no effect, each once, in the order they were met; the first 64.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    ignored: Vec<String>,
    lost_thoughts: Option<LostThoughts>,
}

/// What the loss of past thoughts, which a tool turn needs, has led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LostThoughts {
    /// Thinking is off in this call.
    Dropped,
    /// The model thinks anew, without what it thought before.
    Forgotten,
}

impl Report {
    /// Notes that `field` had no effect.
    pub fn ignore(&mut self, field: &str) {
        if self.ignored.len() < LIMIT && !self.ignored.iter().any(|known| known == field) {
            self.ignored.push(field.to_owned());
        }
    }

    /// Notes that each of these had no effect.
    pub(crate) fn ignore_all(&mut self, fields: &[&str]) {
        for field in fields {
            self.ignore(field);
        }
    }

    /// Notes that past thoughts are lost.
    pub(crate) fn lose_thoughts(&mut self, led_to: LostThoughts) {
        self.lost_thoughts = Some(led_to);
    }

    /// What the loss of past thoughts has led to, if any were needed.
    pub fn lost_thoughts(&self) -> Option<LostThoughts> {
        self.lost_thoughts
    }

    /// The fields that had no effect.
    pub fn ignored(&self) -> &[String] {
        &self.ignored
    }
}
