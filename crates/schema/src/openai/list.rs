//! Fields that take a text or a list. In some, the first element of the list decides the type of the
//! others: OpenAI accepts several types of list in one field, and a mixed one fails at the first
//! other element.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};

use crate::Str;

/// A value that is written as a text or as a list.
pub(super) trait TextOrList<'de>: Sized {
    /// The forms, for errors.
    const EXPECTED: &'static str;

    /// The value of a text.
    fn of_text(text: Str<'de>) -> Self;

    /// Reads the value from a list.
    fn of_list<A: SeqAccess<'de>>(seq: A) -> Result<Self, A::Error>;
}

/// Reads a value in either form.
pub(super) fn text_or_list<'de, T: TextOrList<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    deserializer.deserialize_any(Either(PhantomData))
}

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

struct Either<T>(PhantomData<T>);

impl<'de, T: TextOrList<'de>> Visitor<'de> for Either<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<T, E> {
        Ok(T::of_text(text.into()))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        Ok(T::of_text(text.to_owned().into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<T, A::Error> {
        T::of_list(seq)
    }
}
