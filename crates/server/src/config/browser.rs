//! `allowed_hosts` and `cors`: the host names the gateway accepts, and the web pages that may call it.

use super::parsers::{self, Expected};
use super::problems::Problem;
use super::provenance::{Show, ValueOrigin};
use super::reader::ConfigReader;
use super::section::Section;
use super::yaml_tree::{Node, Value};
use super::{Config, Sources};
use crate::browser::cors::{self, Origins};
use crate::browser::host::{AllowedHosts, HostPattern};

const HOSTS: Expected = "a list of names or addresses without a port, such as [gateway.example.com, \"*.team.svc.cluster.local\"], or [\"*\"] for any";
const ORIGINS: Expected = "a list of origins as browsers write them, such as [https://chat.example.com, http://localhost:3000], or [\"*\"] for every page there is (null is no origin: any page can have it)";

/// Reads both sections.
pub(super) fn read(root: &mut Section<'_>, config: &mut Config) {
    root.set("allowed_hosts", &mut config.allowed_hosts, hosts);
    let line = root.line("cors").unwrap_or(1);
    root.section("cors", |section| {
        section.set("origins", &mut config.cors.origins, origins);
        section.set("credentials", &mut config.cors.credentials, parsers::boolean);
    });
    if config.cors.credentials && config.cors.origins == Origins::Any {
        let message = "cors.credentials cannot go with every origin".to_owned();
        root.reading.complain(line, message, "list the origins, or leave credentials false");
        config.cors.credentials = false;
    }
    if config.cors.origins == Origins::Any {
        let note = "cors.origins is *: any web page that somebody opens in this network can call Bedrock through this gateway";
        root.reading.notes.push(note.to_owned());
    }
}

/// Reads both from the environment, as lists separated by commas.
pub(super) fn apply(config: &mut Config, sources: &Sources, reading: &mut ConfigReader) {
    told(
        ("OUTCROP_ALLOWED_HOSTS", "allowed_hosts"),
        &mut config.allowed_hosts,
        hosts,
        sources,
        reading,
    );
    let origins_of = &mut config.cors.origins;
    told(("OUTCROP_CORS_ORIGINS", "cors.origins"), origins_of, origins, sources, reading);
}

fn told<T: Show>(
    (variable, key): (&'static str, &str),
    place: &mut T,
    read: impl Fn(&Value) -> Result<T, Expected>,
    sources: &Sources,
    reading: &mut ConfigReader,
) {
    let Some((_, text)) = sources.first_set(&[variable]) else { return };
    match read(&split(text)) {
        Ok(value) => {
            *place = value;
            reading.provenance.tell(
                key,
                place.show(),
                ValueOrigin::Environment(variable.to_owned()),
            );
        }
        Err(expected) => {
            let message = format!("{variable} cannot be {text:?}");
            reading
                .problems
                .add(Problem::general(message, format!("give {expected}, with commas")));
        }
    }
}

/// Splits names separated by commas into a list.
fn split(text: &str) -> Value {
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    let node = |name: &str| Node { value: Value::Text(name.to_owned()), line: 0 };
    Value::List(names.map(node).collect())
}

fn hosts(value: &Value) -> Result<AllowedHosts, Expected> {
    let patterns = each(value, HostPattern::parse).ok_or(HOSTS)?;
    Ok(AllowedHosts::new(patterns))
}

fn origins(value: &Value) -> Result<Origins, Expected> {
    let texts = each(value, |text| Some(text.to_owned())).ok_or(ORIGINS)?;
    if texts.iter().any(|text| text == "*") {
        return if texts.len() == 1 { Ok(Origins::Any) } else { Err(ORIGINS) };
    }
    let read: Option<Vec<String>> = texts.iter().map(|text| cors::parse(text)).collect();
    read.map(Origins::Listed).ok_or(ORIGINS)
}

/// Parses the texts of a list, or the one text of an environment variable.
fn each<T>(value: &Value, read: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    match value {
        Value::List(items) => items
            .iter()
            .map(|item| match &item.value {
                Value::Text(text) => read(text),
                _ => None,
            })
            .collect(),
        Value::Text(text) => match split(text) {
            list @ Value::List(_) => each(&list, read),
            _ => None,
        },
        _ => None,
    }
}

impl Show for AllowedHosts {
    fn show(&self) -> String {
        let names: Vec<_> = self.iter().map(|pattern| pattern.text().show()).collect();
        format!("[{}]", names.join(", "))
    }
}

impl Show for Origins {
    fn show(&self) -> String {
        match self {
            Self::Any => "[\"*\"]".to_owned(),
            Self::Listed(origins) => {
                let origins: Vec<_> = origins.iter().map(Show::show).collect();
                format!("[{}]", origins.join(", "))
            }
        }
    }
}
