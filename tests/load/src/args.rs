//! Arguments in the form `--name value`.

use std::str::FromStr;

/// The arguments of a program, in order; a name may be repeated.
pub struct Args(Vec<(String, String)>);

impl Args {
    /// Reads pairs of a name and a value.
    ///
    /// # Errors
    /// A name without dashes or without a value.
    pub fn read(mut args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut pairs = Vec::new();
        while let Some(name) = args.next() {
            let name = name.strip_prefix("--").ok_or_else(|| format!("{name}: expected --name"))?;
            let value = args.next().ok_or_else(|| format!("--{name} has no value"))?;
            pairs.push((name.to_owned(), value));
        }
        Ok(Self(pairs))
    }

    /// All values of a name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// The value of a name, or `default`.
    ///
    /// # Errors
    /// The value is of another type.
    pub fn one<T: FromStr>(&self, name: &str, default: T) -> Result<T, String> {
        let Some(value) = self.all(name).last() else { return Ok(default) };
        value.parse().map_err(|_| format!("--{name} {value}: not of the expected type"))
    }

    /// The value of a name.
    ///
    /// # Errors
    /// There is none.
    pub fn required<'a>(&'a self, name: &'a str) -> Result<&'a str, String> {
        self.all(name).last().ok_or_else(|| format!("--{name} is missing"))
    }
}
