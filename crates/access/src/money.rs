//! Money as integers. Prices are computed in picodollars elsewhere; what is stored, compared and summed here is
//! nanodollars, rounded once per ledger row.

use std::fmt;

use serde::{Deserialize, Serialize};

const DIGITS: u32 = 9;
const UNIT: i64 = 1_000_000_000;
const PICO_IN_NANO: i128 = 1000;
/// Longest text of an amount: a JSON number with an exponent may ask for many zeros.
const LONGEST: usize = 64;

/// An amount of US dollars, in units of 10^-9. Its text is a decimal without exponent.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Nanodollars(i64);

impl Nanodollars {
    /// No money.
    pub const ZERO: Self = Self(0);
    /// More than any budget: 9.2 billion dollars.
    pub const MAX: Self = Self(i64::MAX);

    /// An amount in nanodollars.
    pub const fn new(nano: i64) -> Self {
        Self(nano)
    }

    /// Rounds picodollars half up.
    pub fn from_picodollars(pico: i128) -> Self {
        let nano = pico.saturating_add(PICO_IN_NANO / 2).div_euclid(PICO_IN_NANO);
        Self(i64::try_from(nano).unwrap_or(if nano < 0 { i64::MIN } else { i64::MAX }))
    }

    /// Reads decimal text such as `25`, `0.004215` or `3.5e-8`, digits after the ninth rounded half up; absent if
    /// it is no number or does not fit.
    pub fn parse(text: &str) -> Option<Self> {
        let text = (text.len() <= LONGEST).then_some(text)?;
        let (mantissa, exponent) = match text.find(['e', 'E']) {
            Some(at) => (&text[..at], text[at + 1..].parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (negative, digits) = match mantissa.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, mantissa),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let figures = || whole.bytes().chain(fraction.bytes());
        if figures().count() == 0 || !figures().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let point = i32::try_from(whole.len()).ok()?.saturating_add(exponent);
        let keep = point.saturating_add(DIGITS.cast_signed());
        let mut nano = 0_i64;
        for (at, figure) in (0_i32..).zip(figures().chain(std::iter::repeat(b'0'))) {
            if at >= keep {
                let up = at == keep && figure >= b'5';
                nano = nano.checked_add(i64::from(up))?;
                break;
            }
            // Zeros behind a zero stay zero: a large exponent ends here.
            if nano == 0 && at > i32::try_from(LONGEST).ok()? {
                break;
            }
            nano = nano.checked_mul(10)?.checked_add(i64::from(figure - b'0'))?;
        }
        Some(Self(if negative { -nano } else { nano }))
    }

    /// Nanodollars.
    pub const fn nano(self) -> i64 {
        self.0
    }

    /// The sum, at most [`Nanodollars::MAX`].
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// Whether it is below zero.
    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }
}

impl fmt::Display for Nanodollars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (
            self.0.unsigned_abs() / UNIT.cast_unsigned(),
            self.0.unsigned_abs() % UNIT.cast_unsigned(),
        );
        let fraction = format!("{fraction:09}");
        let fraction = match fraction.trim_end_matches('0') {
            "" => "0",
            rest => rest,
        };
        write!(f, "{}{whole}.{fraction}", if self.0 < 0 { "-" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_exactly() {
        for (text, nano, shown) in [
            ("25", 25_000_000_000, "25.0"),
            ("10.0", 10_000_000_000, "10.0"),
            ("0.004215", 4_215_000, "0.004215"),
            ("0.1", 100_000_000, "0.1"),
            ("3.5e-8", 35, "0.000000035"),
            ("1e3", 1_000_000_000_000, "1000.0"),
            ("0.0000000005", 1, "0.000000001"),
            ("0.00000000049", 0, "0.0"),
            ("1e-40", 0, "0.0"),
            ("0e400", 0, "0.0"),
            ("-1.5", -1_500_000_000, "-1.5"),
            ("9223372036.854775807", i64::MAX, "9223372036.854775807"),
        ] {
            let read = Nanodollars::parse(text).unwrap();
            assert_eq!(read.nano(), nano, "{text}");
            assert_eq!(read.to_string(), shown, "{text}");
        }
        for text in ["", "-", ".", "1.2.3", "abc", "1e", "9223372036.9", "1e400", "NaN", "0x1"] {
            assert_eq!(Nanodollars::parse(text), None, "{text}");
        }
    }

    #[test]
    fn picodollars_round_half_up_once() {
        for (pico, nano) in [(35_000, 35), (35_499, 35), (35_500, 36), (0, 0), (-1, 0), (-1500, -1)]
        {
            assert_eq!(Nanodollars::from_picodollars(pico).nano(), nano, "{pico}");
        }
        assert_eq!(Nanodollars::from_picodollars(i128::MAX), Nanodollars::MAX);
    }
}
