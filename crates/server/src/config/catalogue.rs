//! `catalogue:`, an operator's rows of models: each has the format of `config/models.toml` and
//! overrides the row of its name or family.

use toml::{Table, Value as Toml};

use super::model_overrides;
use super::section::Section;
use super::yaml_tree::{Key, Node};
use routing::catalogue::{BadRow, OperatorRows};

/// The key of a row that holds profile fields.
const PROFILE: &str = "profile";

/// Reads and checks every row.
pub(super) fn read(root: &mut Section<'_>, rows: &mut OperatorRows) {
    let mut read = Vec::new();
    let mut lines = Vec::new();
    for (key, node) in root.map("catalogue").unwrap_or_default() {
        let path = format!("catalogue.{}", key.name);
        if let Err(wrong) = OperatorRows::judge_name(&key.name) {
            let remedy = "name a model as Bedrock does, or its beginning and a *";
            root.reading.complain(key.line, format!("{path} {wrong}"), remedy);
            continue;
        }
        let mut row = Table::new();
        for (key, node) in root.entries_of(&path, node).unwrap_or_default() {
            entry(root, &path, (key, node), &mut row);
        }
        lines.push((key.name.clone(), key.line));
        read.push((key.name, row));
    }
    match OperatorRows::over(read) {
        Ok(read) => *rows = read,
        Err(BadRow { row, error }) => {
            let line = lines.iter().find(|(name, _)| *name == row).map_or(1, |(_, line)| *line);
            let message = format!("catalogue.{row}: {error}");
            let remedy = "let it be like a row of config/models.toml, or one of yours";
            root.reading.complain(line, message, remedy);
        }
    }
}

/// Reads one key of a row; a profile is read field by field.
fn entry(root: &mut Section<'_>, path: &str, (key, node): (Key, Node), row: &mut Table) {
    let path = format!("{path}.{}", key.name);
    if key.name != PROFILE {
        if let Some(value) = value(root, &path, node, |value| OperatorRows::judge(&key.name, value))
        {
            row.insert(key.name, value);
        }
        return;
    }
    let mut knobs = Table::new();
    for (knob, node) in root.entries_of(&path, node).unwrap_or_default() {
        let alone = |value: &Toml| Table::from_iter([(knob.name.clone(), value.clone())]);
        let judge = |value: &Toml| OperatorRows::judge(PROFILE, &alone(value).into());
        if let Some(value) = value(root, &format!("{path}.{}", knob.name), node, judge) {
            knobs.insert(knob.name, value);
        }
    }
    row.insert(key.name, knobs.into());
}

fn value(
    root: &mut Section<'_>,
    path: &str,
    node: Node,
    judge: impl Fn(&Toml) -> Result<(), String>,
) -> Option<Toml> {
    let line = node.line;
    let told = model_overrides::read(root, path, node)?;
    match judge(&told.value) {
        Ok(()) => {
            root.reading.provenance.tell(path, told.shown, told.origin);
            Some(told.value)
        }
        Err(error) => {
            model_overrides::complain(root, line, path, &error);
            None
        }
    }
}
