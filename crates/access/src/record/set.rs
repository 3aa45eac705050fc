//! Fields of an update: absent keeps, null clears, a value sets.

use serde::{Deserialize, Deserializer};

/// A field of a request. With `#[serde(default)]` a missing one is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Set<T> {
    /// The field was not sent.
    #[default]
    Keep,
    /// The field was sent as null.
    Clear,
    /// The field was sent with a value.
    To(T),
}

impl<T> Set<T> {
    /// The value that was sent.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::To(value) => Some(value),
            Self::Keep | Self::Clear => None,
        }
    }

    /// Whether the field was sent, as null or with a value.
    pub fn is_sent(&self) -> bool {
        !matches!(self, Self::Keep)
    }

    /// Merges into an optional field.
    pub(crate) fn merge(self, into: &mut Option<T>) {
        match self {
            Self::Keep => {}
            Self::Clear => *into = None,
            Self::To(value) => *into = Some(value),
        }
    }

    /// Merges into a field whose null is its default.
    pub(crate) fn merge_or_default(self, into: &mut T)
    where
        T: Default,
    {
        match self {
            Self::Keep => {}
            Self::Clear => *into = T::default(),
            Self::To(value) => *into = value,
        }
    }

    /// Converts the value that was sent.
    pub(crate) fn try_map<U, E>(
        self,
        convert: impl FnOnce(T) -> Result<U, E>,
    ) -> Result<Set<U>, E> {
        Ok(match self {
            Self::Keep => Set::Keep,
            Self::Clear => Set::Clear,
            Self::To(value) => Set::To(convert(value)?),
        })
    }
}

impl Set<String> {
    /// Takes an empty text as null, as forms send it.
    #[must_use]
    pub(crate) fn empty_is_null(self) -> Self {
        match self {
            Self::To(text) if text.is_empty() => Self::Clear,
            other => other,
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Set<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Self::Clear, Self::To))
    }
}
