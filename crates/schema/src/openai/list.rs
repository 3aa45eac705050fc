//! Lists whose first element decides the type of the others: OpenAI accepts several types of list
//! in one field, and a mixed one fails at the first other element.

use serde::Deserialize;
use serde::de::SeqAccess;

/// The complete list, after its first element has been read.
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
