//! Integers in clients' notations: some languages have one number type and write 100 as `100.0`.

use std::fmt;

use serde::de::{Deserializer, Error, Unexpected, Visitor};

/// The largest float up to which every integer is exact.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// An integer, or `None` where it is null or absent.
///
/// # Errors
/// The value is not a number, has a fraction, or does not fit.
pub(crate) fn optional<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<i64>, D::Error> {
    deserializer.deserialize_option(Whole)
}

struct Whole;

impl<'de> Visitor<'de> for Whole {
    type Value = Option<i64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an integer")
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Some(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        let fits = i64::try_from(value).ok();
        fits.map(Some).ok_or_else(|| E::invalid_value(Unexpected::Unsigned(value), &self))
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "it is whole, and every float up to there is exact"
    )]
    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        if value.fract() == 0.0 && value.abs() <= EXACT {
            return Ok(Some(value as i64));
        }
        Err(E::invalid_type(Unexpected::Float(value), &self))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    struct Holder {
        #[serde(default, deserialize_with = "super::optional")]
        n: Option<i64>,
    }

    #[test]
    fn whole_numbers_in_any_notation_are_integers() {
        for (json, expected) in [
            ("{}", None),
            (r#"{"n":null}"#, None),
            (r#"{"n":5}"#, Some(5)),
            (r#"{"n":-5}"#, Some(-5)),
            (r#"{"n":5.0}"#, Some(5)),
            (r#"{"n":1e3}"#, Some(1000)),
            (r#"{"n":-0.0}"#, Some(0)),
            (r#"{"n":9223372036854775807}"#, Some(i64::MAX)),
        ] {
            assert_eq!(serde_json::from_str::<Holder>(json).unwrap().n, expected, "{json}");
        }
        for json in [
            r#"{"n":5.5}"#,
            r#"{"n":"5"}"#,
            r#"{"n":true}"#,
            r#"{"n":1e300}"#,
            r#"{"n":9223372036854775808}"#,
            r#"{"n":[5]}"#,
        ] {
            let error = serde_json::from_str::<Holder>(json).unwrap_err().to_string();
            assert!(error.contains("expected an integer"), "{json}: {error}");
        }
    }
}
