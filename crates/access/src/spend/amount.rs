//! Exact amounts of money.

use std::fmt;

/// Digits after the point of an amount as it is kept.
const DIGITS: usize = 18;
/// Digits after the point of an amount as it is read. Three fewer than are kept, so that a millionth of a
/// price, or a price and a tenth of it, is exact.
const READ: usize = 15;
const DOLLAR: u128 = 10_u128.pow(18);
const NANODOLLAR: u128 = 10_u128.pow(9);

/// US dollars, 0 or more, as an integer of 10^-18 dollars. Sums and products are exact or fail.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(u128);

/// A text that is no amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an amount of dollars: digits, and after a point at most {READ} more")]
pub struct BadAmount {
    /// The text.
    pub text: String,
}

impl Amount {
    /// No money.
    pub const ZERO: Self = Self(0);

    /// Reads dollars as decimal text: `3`, `0.00875`.
    ///
    /// # Errors
    /// The text is no plain decimal number, or too long to be kept exactly.
    pub fn parse(text: &str) -> Result<Self, BadAmount> {
        let bad = || BadAmount { text: text.to_owned() };
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || fraction.len() > READ {
            return Err(bad());
        }
        let whole: u128 = whole.parse().map_err(|_| bad())?;
        let fraction: u128 = format!("{fraction:0<DIGITS$}").parse().map_err(|_| bad())?;
        let amount = whole.checked_mul(DOLLAR).and_then(|whole| whole.checked_add(fraction));
        amount.map(Self).ok_or_else(bad)
    }

    /// The amount in 10^-18 dollars.
    pub fn attodollars(self) -> u128 {
        self.0
    }

    /// The amount in 10^-9 dollars, halves rounded up: the resolution of stored rows. `None` above nine
    /// billion dollars, which a signed 64-bit column cannot hold.
    pub fn nanodollars(self) -> Option<i64> {
        let rounded = self.0.checked_add(NANODOLLAR / 2)? / NANODOLLAR;
        i64::try_from(rounded).ok()
    }

    /// The sum, unless it is too large.
    pub fn plus(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The amount this many times, unless it is too large.
    pub fn times(self, count: u64) -> Option<Self> {
        self.0.checked_mul(u128::from(count)).map(Self)
    }

    /// An equal share; `None` if it is not exact.
    pub fn shared(self, count: u64) -> Option<Self> {
        let count = u128::from(count);
        (self.0.checked_rem(count)? == 0).then(|| Self(self.0 / count))
    }
}

/// Formats dollars as plain decimal text, without trailing zeros: `0.0825`.
impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (self.0 / DOLLAR, self.0 % DOLLAR);
        if fraction == 0 {
            return write!(f, "{whole}");
        }
        let digits = format!("{fraction:0DIGITS$}");
        write!(f, "{whole}.{}", digits.trim_end_matches('0'))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_and_written_digit_for_digit() {
        for text in ["0", "3", "0.00875", "137.5", "0.000000000000001", "12345678901234567890"] {
            assert_eq!(Amount::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Amount::parse("007.10").unwrap().to_string(), "7.1");
        assert_eq!(Amount::parse("0.1").unwrap().attodollars(), 10_u128.pow(17));
    }

    #[test]
    fn texts_that_are_no_amounts_are_refused() {
        let long = "9".repeat(40);
        for text in [
            "",
            ".",
            "1.",
            ".5",
            "-1",
            "+1",
            "1e-6",
            "1,5",
            "NaN",
            " 1",
            "0.0000000000000001",
            &long,
        ] {
            let error = Amount::parse(text).unwrap_err();
            assert!(error.to_string().contains(text), "{error}");
        }
    }

    #[test]
    fn halves_of_a_nanodollar_are_rounded_up() {
        for (dollars, nano) in [
            ("0.000000035", 35),
            ("0.0000000005", 1),
            ("0.000000000499999", 0),
            ("9223372036.854775807", i64::MAX),
        ] {
            assert_eq!(Amount::parse(dollars).unwrap().nanodollars(), Some(nano), "{dollars}");
        }
        assert_eq!(Amount::parse("9223372036.8547758075").unwrap().nanodollars(), None);
    }

    #[test]
    fn arithmetic_is_exact_or_fails() {
        let most = Amount(u128::MAX);
        assert_eq!((most.plus(Amount(1)), most.times(2), most.nanodollars()), (None, None, None));
        assert_eq!(Amount(10).shared(4), None);
        assert_eq!(Amount(10).shared(0), None);
        assert_eq!(Amount(10).shared(5), Some(Amount(2)));
    }
}
