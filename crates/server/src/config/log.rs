//! The section on the log.

use super::provenance::{Show, ValueOrigin};
use super::reader::ConfigReader;
use super::section::Section;
use super::yaml_tree::Value;
use super::{Config, Problem, Sources, parsers};
use crate::log::LogFormat;

/// The variable that sets the format.
const FORMAT: &str = "OUTCROP_LOG_FORMAT";
const FORMATS: parsers::Expected = "text or json";

/// Settings of the log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LogSettings {
    pub(crate) format: LogFormat,
}

impl Show for LogFormat {
    fn show(&self) -> String {
        match self {
            Self::Text => "text".to_owned(),
            Self::Json => "json".to_owned(),
        }
    }
}

/// Reads every key of the section.
pub(super) fn read(root: &mut Section<'_>, log: &mut LogSettings) {
    root.section("log", |section| section.set("format", &mut log.format, format));
}

/// Applies the environment.
pub(super) fn apply(config: &mut Config, sources: &Sources, reading: &mut ConfigReader) {
    let Some((name, value)) = sources.first_set(&[FORMAT]) else { return };
    match named(value.trim()) {
        Some(format) => {
            let origin = ValueOrigin::Environment(name.to_owned());
            reading.provenance.tell("log.format", format.show(), origin);
            config.log.format = format;
        }
        None => {
            let message = format!("{name} is not {FORMATS}");
            reading.problems.add(Problem::general(message, "write json for one object a line"));
        }
    }
}

fn format(value: &Value) -> Result<LogFormat, parsers::Expected> {
    parsers::text(value).ok().as_deref().and_then(named).ok_or(FORMATS)
}

fn named(name: &str) -> Option<LogFormat> {
    match name {
        "text" => Some(LogFormat::Text),
        "json" => Some(LogFormat::Json),
        _ => None,
    }
}
