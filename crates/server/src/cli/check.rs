//! `outcrop check` prints the effective configuration with the source of each value. `outcrop schema`
//! prints the JSON Schema for editors.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{BAD_CONFIG, complain};
use crate::config::{Config, Sources, ValueOrigin};
use crate::startup::{self, ServeError};
use bedrock::{Settings, SetupError};
use routing::OpenError;

const SCHEMA: &str = include_str!("../../../../config/outcrop.schema.json");

/// Width of the value column; longer values do not shift the other origins.
const COLUMN: usize = 56;
/// In place of a region that is not told, so that everything else can be judged.
const STAND_IN: &str = "us-east-1";
/// Variables of AWS's SDKs without effect here.
const WITHOUT_EFFECT: [&str; 2] = ["AWS_RETRY_MODE", "AWS_MAX_ATTEMPTS"];

/// Arguments of `outcrop check`.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// YAML configuration file, in Outcrop's shape or LiteLLM's; else the one that a gateway would read here.
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// The same as FILE.
    #[arg(long, short, value_name = "FILE", conflicts_with = "file")]
    config: Option<PathBuf>,
    /// Takes notes for mistakes.
    #[arg(long)]
    strict: bool,
    /// Shows defaults too.
    #[arg(long)]
    all: bool,
    /// Judges the file alone, not the AWS set-up of this machine, nor TLS files.
    #[arg(long)]
    file_only: bool,
}

/// Prints the verdict and the effective configuration; 2 if a gateway would not start with it.
pub(super) fn check(args: &CheckArgs) -> ExitCode {
    let sources = Sources::of_file(args.file.as_deref().or(args.config.as_deref()));
    let subject = match &sources.file {
        Some(file) => file.display().to_string(),
        None => "the environment, without a file,".to_owned(),
    };
    let config = match judge(&sources, args.file_only) {
        Ok(config) => config,
        Err(problems) => {
            complain(&refusal(&subject, &problems));
            return ExitCode::from(BAD_CONFIG);
        }
    };
    let is_refused = args.strict && !config.notes.is_empty();
    let verdict = if is_refused { "is refused by --strict" } else { "can be used" };
    print(&written(&config, &format!("{subject} {verdict}"), args.all));
    if is_refused {
        complain(&format!("outcrop: {subject} is refused by --strict, because of the notes"));
        return ExitCode::from(BAD_CONFIG);
    }
    ExitCode::SUCCESS
}

/// Prints the JSON Schema of Outcrop's format.
pub(super) fn schema() -> ExitCode {
    print(SCHEMA);
    ExitCode::SUCCESS
}

/// One key per line, followed by its origin, with the notes at the end.
fn judge(sources: &Sources, file_only: bool) -> Result<Config, Vec<String>> {
    let mut config = Config::load(sources)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    if file_only {
        // Writing to a String cannot fail.
        return Ok(config);
    }
    let is_set =
        |name: &&str| sources.environment.get(*name).is_some_and(|value| !value.trim().is_empty());
    let idle = WITHOUT_EFFECT.iter().filter(|name| is_set(name));
    config.notes.extend(idle.map(|name| format!("{name} has no effect: routing.retries decides")));
    let runner = actix_rt::System::new();
    let rehearsed = runner.block_on(async {
        match startup::rehearse(config.clone(), &Settings::default()).await {
            Err(error) if wants_region(&error) => {
                config.notes.push(format!("here a gateway would not start: {error}"));
                let setup = Settings { region: Some(STAND_IN.to_owned()), ..Settings::default() };
                startup::rehearse(config, &setup).await
            }
            rehearsed => rehearsed,
        }
    });
    // Dropping a runtime waits for its blocking tasks, and a look-up of a name may hang.
    std::mem::forget(runner);
    match rehearsed {
        Ok((snapshot, flaws)) if flaws.is_empty() => Ok(snapshot.config),
        Ok((_, flaws)) => Err(flaws),
        Err(error) => Err(vec![error.to_string()]),
    }
}

/// Whether a region is all that is missing; the machine that the file is for may have one.
fn wants_region(error: &ServeError) -> bool {
    let ServeError::Account(error) = error else { return false };
    let (OpenError::Home(error)
    | OpenError::Moderation(error)
    | OpenError::Files(error)
    | OpenError::Target { error, .. }) = error;
    matches!(error, SetupError::NoRegion)
}

fn refusal(subject: &str, problems: &[String]) -> String {
    let count = counted(problems.len(), "problem");
    let mut text = format!("outcrop: {subject} cannot be used: {count}");
    for problem in problems {
        text.push_str("\n  ");
        text.push_str(problem);
    }
    text
}

/// The verdict, the notes, and then one key a line, with its origin behind it.
fn written(config: &Config, verdict: &str, all: bool) -> String {
    let names = counted(config.models.len(), "name");
    let notes = counted(config.notes.len(), "note");
    let mut text = format!("# {verdict}: {names}, {notes}\n");
    for note in &config.notes {
        // Writing to a String does not fail.
        let _ = writeln!(text, "# note: {note}");
    }
    let mut defaults = 0;
    for told in config.provenance.iter() {
        if told.origin == ValueOrigin::Default && !all {
            defaults += 1;
            continue;
        }
        let line = format!("{}: {}", told.key, told.value);
        let _ = writeln!(text, "{line:<COLUMN$}  # {}", told.origin);
    }
    if defaults > 0 {
        let _ = writeln!(
            text,
            "# not shown: {} left at the default (--all)",
            counted(defaults, "value")
        );
    }
    text
}

fn counted(count: usize, noun: &str) -> String {
    match count {
        0 => format!("no {noun}s"),
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    }
}

fn print(text: &str) {
    // It is no error if the reader of a pipe has closed it.
    let _ = io::stdout().write_all(text.as_bytes());
}
