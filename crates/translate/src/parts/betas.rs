//! Betas that a caller requests by name: those that the model accepts are added to the field it
//! reads them from; the others are reported, because one unknown beta makes the model refuse the
//! request.

use std::collections::HashSet;

use schema::converse::request::ConverseRequest;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::profile::Profile;
use crate::{Invalid, Report};

pub(crate) const BETAS: &str = "anthropic_beta";

/// Adds the betas requested in the body to the model's own fields.
///
/// # Errors
/// The field holds no names.
pub(crate) fn of_body(
    asked: Option<&RawValue>,
    fields: &mut Map<String, Value>,
    profile: &Profile,
    report: &mut Report,
) -> Result<(), Invalid> {
    let names = asked_names(asked)?;
    add(names.iter().map(String::as_str), BETAS, fields, profile, report);
    Ok(())
}

/// The names in the body's list, or in its text with commas.
///
/// # Errors
/// The field holds something else.
pub(crate) fn asked_names(asked: Option<&RawValue>) -> Result<Vec<String>, Invalid> {
    let complain = || {
        let message = "anthropic_beta is a list of names, or a text of names with commas between.";
        Invalid::value(BETAS, message).with_code("invalid_type")
    };
    let Some(asked) = asked else { return Ok(Vec::new()) };
    let asked: Value = serde_json::from_str(asked.get()).unwrap_or_default();
    let name = |name: &Value| name.as_str().map(ToOwned::to_owned).ok_or_else(complain);
    names(&asked).ok_or_else(complain)?.iter().map(name).collect()
}

/// Adds the betas requested in the header of this name to a translated request.
pub fn add_betas(
    body: &mut ConverseRequest<'_>,
    asked: &[String],
    header: &str,
    profile: &Profile,
    report: &mut Report,
) {
    let fields = &mut body.additional_model_request_fields;
    add(asked.iter().map(String::as_str), header, fields, profile, report);
}

fn add<'n>(
    names: impl Iterator<Item = &'n str>,
    asked_by: &str,
    fields: &mut Map<String, Value>,
    profile: &Profile,
    report: &mut Report,
) {
    for name in names {
        let is_taken = profile.betas.iter().any(|known| known == name)
            || profile.tool_stream_beta.as_deref() == Some(name);
        if !(is_taken && add_beta(fields, name)) {
            report.ignore(&format!("{asked_by}.{name}"));
        }
    }
}

/// Adds a beta to the caller's own, each once. Callers write a list, or names separated by commas.
/// Returns false if the caller's value is neither; it is then sent unchanged.
pub(crate) fn add_beta(fields: &mut Map<String, Value>, beta: &str) -> bool {
    let Some(asked) = fields.get(BETAS).map_or(Some(Vec::new()), names) else { return false };
    let mut known = HashSet::with_capacity(asked.len() + 1);
    let betas = asked.into_iter().chain([json!(beta)]).filter(|one| known.insert(one.clone()));
    let betas = betas.collect();
    fields.insert(BETAS.to_owned(), Value::Array(betas));
    true
}

/// Names in either of the callers' forms.
fn names(asked: &Value) -> Option<Vec<Value>> {
    match asked {
        Value::Null => Some(Vec::new()),
        Value::Array(betas) => Some(betas.clone()),
        Value::String(betas) => Some(
            betas
                .split(',')
                .map(str::trim)
                .filter(|one| !one.is_empty())
                .map(Value::from)
                .collect(),
        ),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn betas_by_header_are_those_the_model_takes() {
        let profile = Profile {
            betas: vec!["one".to_owned(), "two".to_owned()],
            tool_stream_beta: Some("three".to_owned()),
            ..Profile::default()
        };
        let mut body = ConverseRequest::default();
        body.additional_model_request_fields.insert(BETAS.to_owned(), json!(["own", "two"]));
        let asked = ["two", "three", "other"].map(str::to_owned);
        let mut report = Report::default();
        add_betas(&mut body, &asked, "x-betas", &profile, &mut report);
        let sent = &body.additional_model_request_fields[BETAS];
        assert_eq!(*sent, json!(["own", "two", "three"]));
        assert_eq!(report.ignored(), ["x-betas.other"]);
        let mut none = ConverseRequest::default();
        add_betas(&mut none, &asked, "h", &Profile::default(), &mut report);
        assert!(none.additional_model_request_fields.is_empty());
    }
}
