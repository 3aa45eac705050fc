//! `outcrop check`: the configuration as it would count, and who told each part of it. `outcrop schema`:
//! what editors need to help writing one.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{BAD_CONFIG, complain};
use crate::config::{Config, Loaded, Sources};

const SCHEMA: &str = include_str!("../../../../config/outcrop.schema.json");

/// A value that is longer than this does not push all origins aside.
const COLUMN: usize = 56;

/// What to check.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// YAML configuration file, in Outcrop's shape or LiteLLM's.
    #[arg(value_name = "FILE", env = "OUTCROP_CONFIG")]
    file: PathBuf,
    /// What would be ignored is a mistake too.
    #[arg(long)]
    strict: bool,
}

/// Prints the effective configuration; 2 if it cannot be used.
pub(super) fn check(args: &CheckArgs) -> ExitCode {
    match Config::read(&Sources::of_file(args.file.clone())) {
        Ok(loaded) => {
            print(&written(&loaded));
            if args.strict && !loaded.config.notes.is_empty() {
                complain("outcrop: --strict, and some of it would be ignored");
                return ExitCode::from(BAD_CONFIG);
            }
            ExitCode::SUCCESS
        }
        Err(problems) => {
            complain(&problems.to_string());
            ExitCode::from(BAD_CONFIG)
        }
    }
}

/// Prints the JSON Schema of our shape.
pub(super) fn schema() -> ExitCode {
    print(SCHEMA);
    ExitCode::SUCCESS
}

/// One key a line, with its origin behind it, and the notes at the end.
fn written(loaded: &Loaded) -> String {
    let mut text = String::new();
    for told in loaded.ledger.iter() {
        let line = format!("{}: {}", told.key, told.value);
        // Writing to a String does not fail.
        let _ = writeln!(text, "{line:<COLUMN$}  # {}", told.origin);
    }
    for note in &loaded.config.notes {
        let _ = writeln!(text, "# note: {note}");
    }
    text
}

fn print(text: &str) {
    // A reader that has seen enough is no failure.
    let _ = io::stdout().write_all(text.as_bytes());
}
