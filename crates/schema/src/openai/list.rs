//! Lists whose first element decides what the others must be: OpenAI takes several kinds of list in one
//! field, and a mixed one fails at the stranger.

use serde::Deserialize;
use serde::de::SeqAccess;

/// The whole list, of which the first element has been read.
pub(super) fn rest<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(
    first: T,
    mut seq: A,
) -> Result<Vec<T>, A::Error> {
    let mut all = vec![first];
    while let Some(next) = seq.next_element()? {
        all.push(next);
    }
    Ok(all)
}
