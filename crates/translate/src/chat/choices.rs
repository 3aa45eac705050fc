//! Several answers to one request (`n` above 1): Converse returns one at a time, so it is called
//! several times. Every answer is translated separately; this module puts them together.

use schema::openai::chat::ChatCompletion;
use schema::openai::usage::Usage;

use super::usage::openai;
use crate::spent::Spent;

impl Spent {
    /// Writes the usage into an answer that took more than one call.
    pub fn tell(self, answer: &mut ChatCompletion) {
        if let Some(usage) = self.told() {
            answer.usage = usage;
        }
    }

    /// The usage in OpenAI's form.
    pub(crate) fn told(self) -> Option<Usage> {
        self.usage.map(|usage| Usage { cost: self.cost, ..openai(usage, self.thought) })
    }
}

/// Combines answers to one request into one: choices are numbered in the order given, and the usage
/// is the sum. `None` without answers.
pub fn gather(
    answers: impl IntoIterator<Item = ChatCompletion>,
    spent: Spent,
) -> Option<ChatCompletion> {
    let mut answers = answers.into_iter();
    let mut gathered = answers.next()?;
    gathered.choices.extend(answers.flat_map(|answer| answer.choices));
    for (index, choice) in (0..).zip(&mut gathered.choices) {
        choice.index = index;
    }
    spent.tell(&mut gathered);
    Some(gathered)
}
