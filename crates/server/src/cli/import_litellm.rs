//! `outcrop import-litellm`: the accounts of a LiteLLM database are taken over, and the report tells what is not as
//! it was.

use std::fmt::Write as _;
use std::process::ExitCode;

use access::import::{
    ImportMode, ImportNote, ImportOutcome, ImportProgress, ImportReport, ImportedRecord,
    LitellmDatabase, NoteEffect, SourceError, import_litellm,
};
use access::{KeyToken, RecordKind};
use clap::Args;
use serde_json::{Map, Value, json};

use super::accounts::{CommandError, Desk, StoreArgs, at_desk};
use super::progress::ProgressLine;
use super::table::{Align, Table};

/// Characters of a token that name a key.
const SHOWN_TOKEN: usize = 12;

/// Arguments of `outcrop import-litellm`.
#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// LiteLLM's PostgreSQL, as its DATABASE_URL names it.
    #[arg(value_name = "DATABASE_URL", env = "LITELLM_DATABASE_URL", hide_env_values = true)]
    database_url: String,
    /// Tells what would be done, and changes no account.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    store: StoreArgs,
}

/// Runs `outcrop import-litellm`. Rows that cannot be taken over are told, and are no failure.
pub(super) fn import(args: &ImportArgs) -> ExitCode {
    at_desk(&args.store, async |desk: &Desk| {
        let mode = if args.dry_run { ImportMode::DryRun } else { ImportMode::Apply };
        let source = LitellmDatabase::connect(&args.database_url).await;
        let source = source.map_err(|error| match error {
            SourceError::NoUrl => CommandError::Argument(error.to_string()),
            error => CommandError::Import(error.into()),
        })?;
        let mut line = ProgressLine::on_stderr();
        let mut tell = |progress: ImportProgress| {
            line.show(name_of(progress.kind), progress.done, progress.total);
        };
        let report = import_litellm(&desk.accounts, source, mode, &mut tell).await;
        line.clear();
        let report = report?;
        desk.answer(|| value(&report, mode), || text(&report, mode, &desk.place));
        Ok(())
    })
}

/// The plural of a kind.
const fn name_of(kind: RecordKind) -> &'static str {
    match kind {
        RecordKind::Key => "keys",
        RecordKind::Team => "teams",
        RecordKind::Member => "memberships",
        RecordKind::User => "users",
        RecordKind::Customer => "customers",
        RecordKind::Tag => "tags",
        RecordKind::Budget => "budgets",
    }
}

fn text(report: &ImportReport, mode: ImportMode, place: &str) -> String {
    let mut table = Table::new(&[
        ("KIND", Align::Left),
        ("NEW", Align::Right),
        ("PRESENT", Align::Right),
        ("SKIPPED", Align::Right),
    ]);
    for (kind, counts) in &report.counts {
        let [new, present, skipped] = [counts.new, counts.present, counts.skipped];
        let numbers = [new, present, skipped].map(|count| count.to_string());
        let [new, present, skipped] = numbers;
        table.add([name_of(*kind).to_owned(), new, present, skipped]);
    }
    let mut text = match mode {
        ImportMode::Apply => format!("taken over into {place}\n"),
        ImportMode::DryRun => format!("a dry run: no account is changed in {place}\n"),
    };
    text.push_str(&table.written());
    let effect = |effect: NoteEffect| {
        let of = move |record: &ImportedRecord| notes(record, effect);
        report.records.iter().flat_map(of).collect::<Vec<_>>()
    };
    section(&mut text, "NOT TAKEN OVER", report.records.iter().filter_map(skipped).collect());
    section(
        &mut text,
        "LIMITS OF LITELLM THAT ARE NOT ENFORCED HERE",
        effect(NoteEffect::NotEnforced),
    );
    section(&mut text, "NOT AS IT WAS", effect(NoteEffect::Changed));
    let gone = report.gone.iter().map(|key| {
        [format!("key {}", key.shown), first(&key.token), "outcrop keys revoke ends it".to_owned()]
    });
    section(&mut text, "GONE FROM LITELLM, AND STILL WORKING HERE", gone.collect());
    text
}

fn section(text: &mut String, heading: &str, rows: Vec<[String; 3]>) {
    if rows.is_empty() {
        return;
    }
    let columns = [(heading, Align::Left), ("FIELD", Align::Left), ("", Align::Left)];
    let columns = if heading.starts_with("GONE") || heading.starts_with("NOT TAKEN") {
        [columns[0], ("TOKEN", Align::Left), columns[2]]
    } else {
        columns
    };
    let mut table = Table::new(&columns);
    rows.into_iter().for_each(|row| table.add(row));
    // Writing to a String does not fail.
    let _ = write!(text, "\n{}", table.written());
}

/// The kind with the alias, or the id.
fn named(record: &ImportedRecord) -> String {
    let name = match (&record.alias, record.kind) {
        (Some(alias), _) => alias.clone(),
        (None, RecordKind::Key) => first(&record.id),
        (None, _) => record.id.clone(),
    };
    format!("{} {name}", record.kind.as_str())
}

fn first(token: &str) -> String {
    token.chars().take(SHOWN_TOKEN).collect()
}

fn skipped(record: &ImportedRecord) -> Option<[String; 3]> {
    let ImportOutcome::Skipped(reason) = &record.outcome else { return None };
    let token = KeyToken::parse(&record.id).filter(|_| record.kind == RecordKind::Key);
    let token = token.map_or_else(|| "-".to_owned(), |token| first(token.as_str()));
    Some([named(record), token, reason.clone()])
}

fn notes(record: &ImportedRecord, effect: NoteEffect) -> Vec<[String; 3]> {
    let with = |note: &&ImportNote| note.effect == effect;
    let row = |note: &ImportNote| [named(record), note.field.clone(), note.text.clone()];
    record.notes.iter().filter(with).map(row).collect()
}

fn value(report: &ImportReport, mode: ImportMode) -> Value {
    let counts = report.counts.iter().map(|(kind, counts)| {
        let counts = json!({
            "new": counts.new,
            "present": counts.present,
            "skipped": counts.skipped,
        });
        (name_of(*kind).to_owned(), counts)
    });
    let record = |record: &ImportedRecord| {
        let (outcome, reason) = match &record.outcome {
            ImportOutcome::New => ("new", None),
            ImportOutcome::Present => ("present", None),
            ImportOutcome::Skipped(reason) => ("skipped", Some(reason)),
        };
        let note = |note: &ImportNote| {
            json!({
                "field": note.field,
                "not_enforced": note.effect == NoteEffect::NotEnforced,
                "text": note.text,
            })
        };
        json!({
            "kind": record.kind.as_str(),
            "id": record.id,
            "alias": record.alias,
            "outcome": outcome,
            "reason": reason,
            "notes": record.notes.iter().map(note).collect::<Vec<_>>(),
        })
    };
    let gone = report.gone.iter();
    json!({
        "dry_run": mode == ImportMode::DryRun,
        "counts": counts.collect::<Map<_, _>>(),
        "records": report.records.iter().map(record).collect::<Vec<_>>(),
        "gone": gone.map(|key| json!({ "token": key.token, "name": key.shown })).collect::<Vec<_>>(),
    })
}
