//! Problems of a configuration: all of them, each with its line and its remedy.

use std::fmt;
use std::path::{Path, PathBuf};

/// One problem of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// File and line (from 1), if known.
    pub place: Option<(PathBuf, u64)>,
    /// Description of the problem, with the key.
    pub message: String,
    /// The change that solves it.
    pub remedy: String,
}

impl Problem {
    /// A problem without a line.
    pub(crate) fn general(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { place: None, message: message.into(), remedy: remedy.into() }
    }

    /// A problem at a line of a file.
    pub(crate) fn at(
        file: &Path,
        line: u64,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { place: Some((file.to_owned(), line)), ..Self::general(message, remedy) }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((file, line)) = &self.place {
            write!(f, "{}:{line}: ", file.display())?;
        }
        f.write_str(&self.message)?;
        if self.remedy.is_empty() { Ok(()) } else { write!(f, "; {}", self.remedy) }
    }
}

/// All problems of a configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    pub(crate) fn of(problem: Problem) -> Self {
        Self(vec![problem])
    }

    pub(crate) fn add(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    /// Returns `value` if there are no problems.
    pub(crate) fn or<T>(self, value: T) -> Result<T, Self> {
        let Self(mut problems) = self;
        if problems.is_empty() {
            return Ok(value);
        }
        problems.sort_by_key(|problem| problem.place.as_ref().map_or(u64::MAX, |(_, line)| *line));
        Err(Self(problems))
    }

    /// The problems in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        let noun = if count == 1 { "problem" } else { "problems" };
        write!(f, "outcrop: {count} configuration {noun}:")?;
        for problem in &self.0 {
            write!(f, "\n  {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
