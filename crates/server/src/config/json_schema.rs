//! The section on JSON answers: validation and repair.

use super::parsers::Expected;
use super::provenance::Show;
use super::section::Section;
use super::yaml_tree::Value;
use crate::json_schema::{OnMismatch, Repair, StructuredSettings};

/// Reads every key of the section.
pub(super) fn read(root: &mut Section<'_>, settings: &mut StructuredSettings) {
    root.section("structured_output", |section| {
        section.set("repair", &mut settings.repair, repair);
        section.set("on_mismatch", &mut settings.on_mismatch, on_mismatch);
    });
}

fn repair(value: &Value) -> Result<Repair, Expected> {
    match value {
        Value::Text(text) if text == "once" => Ok(Repair::Once),
        Value::Text(text) if text == "objects" => Ok(Repair::Objects),
        Value::Text(text) if text == "off" => Ok(Repair::Off),
        // YAML 1.1 reads `off` as false.
        Value::Bool(false) => Ok(Repair::Off),
        _ => Err("objects, off or once"),
    }
}

fn on_mismatch(value: &Value) -> Result<OnMismatch, Expected> {
    match value {
        Value::Text(text) if text == "pass" => Ok(OnMismatch::Pass),
        Value::Text(text) if text == "refuse" => Ok(OnMismatch::Refuse),
        _ => Err("pass or refuse"),
    }
}

impl Show for Repair {
    fn show(&self) -> String {
        match self {
            Self::Off => "off",
            Self::Objects => "objects",
            Self::Once => "once",
        }
        .to_owned()
    }
}

impl Show for OnMismatch {
    fn show(&self) -> String {
        match self {
            Self::Pass => "pass",
            Self::Refuse => "refuse",
        }
        .to_owned()
    }
}
