//! Bodies of admin requests: JSON objects, read member by member, so that absent and null differ, every member of
//! the wrong type is named, and unknown ones are left over.

use std::cell::RefCell;
use std::rc::Rc;
use std::str::FromStr;

use access::{BudgetInput, CustomerInput, KeyInput, Set, TagInput, TeamInput, UserInput};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::error::{AdminRefusal, FieldFault};
use super::unenforced;

/// The root of paths to fields of a body.
const BODY: &str = "body";

/// The members of a body that were not read yet.
#[derive(Debug, Default)]
pub(in crate::routes) struct AdminBody {
    members: Map<String, Value>,
    unread: UnreadMembers,
}

/// Names of the members of a body that no handler has read; it outlives the body, so that answers can tell them.
#[derive(Debug, Clone, Default)]
pub(super) struct UnreadMembers(Rc<RefCell<Vec<String>>>);

/// Fields of a record in a request, with those that are unknown.
pub(super) trait RecordFields: DeserializeOwned {
    /// Takes the unknown ones.
    fn take_other(&mut self) -> Map<String, Value>;
}

macro_rules! record_fields {
    ($($input:ty),* $(,)?) => {$(
        impl RecordFields for $input {
            fn take_other(&mut self) -> Map<String, Value> {
                std::mem::take(&mut self.other)
            }
        }
    )*};
}

record_fields!(KeyInput, TeamInput, UserInput, CustomerInput, BudgetInput, TagInput);

impl AdminBody {
    /// Reads the bytes of a body. Without any it is an empty object.
    ///
    /// # Errors
    /// It is no JSON object.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, AdminRefusal> {
        if bytes.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        let value = serde_json::from_slice(bytes).map_err(|error| {
            let fault = FieldFault {
                kind: "json_invalid",
                loc: vec![json!(BODY), json!(error.column())],
                msg: "JSON decode error".to_owned(),
                input: Some(json!({})),
            };
            AdminRefusal::unprocessable(&[fault])
        })?;
        Self::of(value).map_err(|()| {
            let fault = FieldFault {
                kind: "model_attributes_type",
                loc: vec![json!(BODY)],
                msg: "Input should be a valid dictionary or object to extract fields from"
                    .to_owned(),
                input: None,
            };
            AdminRefusal::unprocessable(&[fault])
        })
    }

    /// The members of a JSON object.
    ///
    /// # Errors
    /// It is no object.
    pub(super) fn of(value: Value) -> Result<Self, ()> {
        match value {
            Value::Object(members) => {
                let valued = members.iter().filter(|(_, value)| !unenforced::is_empty(value));
                let names = valued.map(|(name, _)| name.clone()).collect();
                Ok(Self { members, unread: UnreadMembers(Rc::new(RefCell::new(names))) })
            }
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_) => Err(()),
        }
    }

    /// Takes a member.
    ///
    /// # Errors
    /// It has the wrong type.
    pub(super) fn take<T: DeserializeOwned>(&mut self, name: &str) -> Result<Set<T>, AdminRefusal> {
        match self.remove(name) {
            None => Ok(Set::Keep),
            Some(value) => read_member(name, &value),
        }
    }

    /// Takes a member, null like an absent one.
    ///
    /// # Errors
    /// It has the wrong type.
    pub(super) fn option<T: DeserializeOwned>(
        &mut self,
        name: &str,
    ) -> Result<Option<T>, AdminRefusal> {
        Ok(match self.take(name)? {
            Set::To(value) => Some(value),
            Set::Keep | Set::Clear => None,
        })
    }

    /// Takes a text, an empty one and null like an absent one.
    ///
    /// # Errors
    /// It has the wrong type.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, AdminRefusal> {
        Ok(self.option::<String>(name)?.filter(|text| !text.is_empty()))
    }

    /// Takes a member that must be there.
    ///
    /// # Errors
    /// It is missing, null, or has the wrong type.
    pub(super) fn require<T: DeserializeOwned>(&mut self, name: &str) -> Result<T, AdminRefusal> {
        let missing = || AdminRefusal::unprocessable(&[FieldFault::missing(BODY, name)]);
        self.option(name)?.ok_or_else(missing)
    }

    /// Puts a member in, unless there is one of that name.
    pub(super) fn fill(&mut self, name: &str, value: Value) {
        self.members.entry(name).or_insert(value);
    }

    /// Takes a member as it is.
    pub(super) fn remove(&mut self, name: &str) -> Option<Value> {
        self.unread.0.borrow_mut().retain(|unread| unread != name);
        self.members.shift_remove(name)
    }

    /// Puts a member in where there is none of that name, or one that is null or empty. A window of a budget that is null
    /// stays so: it asks for the lifetime.
    pub(super) fn fill_empty(&mut self, name: &str, value: &Value) {
        let is_empty = match self.members.get(name) {
            None => true,
            Some(Value::Null) => !name.ends_with("budget_duration"),
            Some(Value::Array(list)) => list.is_empty(),
            Some(Value::Object(members)) => members.is_empty(),
            Some(Value::Bool(_) | Value::Number(_) | Value::String(_)) => false,
        };
        if is_empty {
            self.members.insert(name.to_owned(), value.clone());
        }
    }

    /// The value of a member that is an object.
    pub(super) fn object_mut(&mut self, name: &str) -> Option<&mut Map<String, Value>> {
        self.members.get_mut(name)?.as_object_mut()
    }

    /// Reads the remaining members as the fields of a record, and returns the unknown ones too.
    ///
    /// # Errors
    /// Members have the wrong type: all of them are named.
    pub(super) fn fields<I: RecordFields>(self) -> Result<(I, Map<String, Value>), AdminRefusal> {
        let Self { members, unread } = self;
        unread.0.borrow_mut().clear();
        match serde_json::from_value::<I>(Value::Object(members.clone())) {
            Ok(mut input) => {
                let other = input.take_other();
                Ok((input, other))
            }
            Err(_) => Err(AdminRefusal::unprocessable(&faults::<I>(members))),
        }
    }

    /// The members that were not read yet.
    pub(super) fn members(&self) -> &Map<String, Value> {
        &self.members
    }

    /// The names of the members that are not read, now and later.
    pub(super) fn unread(&self) -> UnreadMembers {
        self.unread.clone()
    }
}

impl UnreadMembers {
    /// Takes the names.
    pub(super) fn take(&self) -> Vec<String> {
        self.0.take()
    }
}

/// The members that do not fit a record, each tried alone.
fn faults<I: RecordFields>(members: Map<String, Value>) -> Vec<FieldFault> {
    let fault = |(name, value): (String, Value)| {
        let alone = Map::from_iter([(name.clone(), value.clone())]);
        let read = serde_path_to_error::deserialize::<_, I>(Value::Object(alone));
        let error = read.err()?;
        let path = error.path().to_string();
        Some(told(&name, &path, &value, &error.into_inner()))
    };
    members.into_iter().filter_map(fault).collect()
}

fn read_member<T: DeserializeOwned>(name: &str, value: &Value) -> Result<Set<T>, AdminRefusal> {
    let read = serde_path_to_error::deserialize::<_, Set<T>>(value);
    read.map_err(|error| {
        let path = format!("{name}.{}", error.path());
        AdminRefusal::unprocessable(&[told(name, &path, value, &error.into_inner())])
    })
}

/// Tells a mistake in pydantic's words. Texts are not repeated, because any may be a key.
fn told(name: &str, path: &str, value: &Value, error: &serde_json::Error) -> FieldFault {
    let text = error.to_string();
    let (kind, msg) = in_pydantics_words(&text);
    let mut loc = vec![json!(BODY), json!(name)];
    let parts = path.split(['.', '[', ']']).filter(|part| !part.is_empty() && *part != "?");
    loc.extend(
        parts
            .skip_while(|part| *part == name)
            .map(|part| usize::from_str(part).map_or_else(|_| json!(part), |index| json!(index))),
    );
    let is_plain = value.is_number() || value.is_boolean();
    FieldFault { kind, loc, msg, input: is_plain.then(|| value.clone()) }
}

fn in_pydantics_words(text: &str) -> (&'static str, String) {
    if let Some(field) =
        text.strip_prefix("missing field `").and_then(|rest| rest.split('`').next())
    {
        return ("missing", format!("Field required: {field}"));
    }
    if text.starts_with("unknown variant") {
        let allowed = text.split_once("expected ").map_or("", |(_, allowed)| allowed);
        let allowed = allowed.trim_start_matches("one of ").replace('`', "'");
        return ("literal_error", format!("Input should be {allowed}"));
    }
    let expected = text.rsplit_once("expected ").map_or("", |(_, expected)| expected);
    let (kind, what) = match expected {
        "a string" => ("string_type", "string"),
        "a boolean" => ("bool_type", "boolean"),
        "a sequence" => ("list_type", "list"),
        "a map" => ("dict_type", "dictionary"),
        "a JSON number" => ("float_type", "number"),
        other if other.starts_with("struct ") => ("dict_type", "dictionary"),
        other if other.starts_with('u') || other.starts_with('i') => ("int_type", "integer"),
        _ => return ("value_error", "Input is not valid for this field".to_owned()),
    };
    (kind, format!("Input should be a valid {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(value: Value) -> AdminBody {
        AdminBody::of(value).unwrap()
    }

    fn detail(refusal: &AdminRefusal) -> Value {
        refusal.shown_detail().cloned().unwrap()
    }

    #[test]
    fn every_wrong_member_is_named() {
        let sent =
            body(json!({"models": ["a", 1], "max_budget": "ten", "metadata": [], "blocked": "no",
            "key_type": "x", "rpm_limit": {}, "tags": null, "unknown": 1}));
        let refusal = sent.fields::<KeyInput>().unwrap_err();
        assert_eq!(
            detail(&refusal),
            json!([
                {"type": "string_type", "loc": ["body", "models", 1], "msg": "Input should be a valid string"},
                {"type": "float_type", "loc": ["body", "max_budget"], "msg": "Input should be a valid number"},
                {"type": "dict_type", "loc": ["body", "metadata"], "msg": "Input should be a valid dictionary"},
                {"type": "bool_type", "loc": ["body", "blocked"], "msg": "Input should be a valid boolean"},
                {"type": "literal_error", "loc": ["body", "key_type"],
                 "msg": "Input should be 'default', 'llm_api', 'management', 'read_only'"},
                {"type": "float_type", "loc": ["body", "rpm_limit"], "msg": "Input should be a valid number"},
            ])
        );
    }

    #[test]
    fn empty_members_are_filled_but_the_lifetime_of_a_budget_stays() {
        let mut sent =
            body(json!({"models": [], "metadata": {}, "tpm_limit": null, "blocked": false,
            "budget_duration": null, "rpm_limit": 0}));
        for name in
            ["models", "metadata", "tpm_limit", "blocked", "budget_duration", "rpm_limit", "new"]
        {
            sent.fill_empty(name, &json!("filled"));
        }
        let expected = json!({"models": "filled", "metadata": "filled", "tpm_limit": "filled", "blocked": false,
            "budget_duration": null, "rpm_limit": 0, "new": "filled"});
        assert_eq!(Value::Object(sent.members), expected);
    }

    #[test]
    fn a_body_is_an_object_or_empty() {
        for bytes in ["", " \n", "{}"] {
            assert!(AdminBody::parse(bytes.as_bytes()).unwrap().members.is_empty());
        }
        for bytes in ["[]", "1", "null", "{", "{\"a\":}"] {
            let refusal = AdminBody::parse(bytes.as_bytes()).unwrap_err();
            assert_eq!(detail(&refusal)[0]["loc"][0], "body", "{bytes}");
        }
    }

    #[test]
    fn members_are_taken_once_and_null_is_not_absent() {
        let mut sent = body(json!({"key": "sk-canary", "keys": null, "n": "x"}));
        assert_eq!(sent.take::<String>("key").unwrap(), Set::To("sk-canary".to_owned()));
        assert_eq!(sent.take::<String>("key").unwrap(), Set::Keep);
        assert_eq!(sent.take::<Vec<String>>("keys").unwrap(), Set::Clear);
        let refusal = sent.take::<Vec<String>>("n").unwrap_err();
        assert_eq!(
            detail(&refusal),
            json!([{"type": "list_type", "loc": ["body", "n"], "msg": "Input should be a valid list"}])
        );
        let missing = sent.require::<String>("team_id").unwrap_err();
        assert_eq!(
            detail(&missing),
            json!([{"type": "missing", "loc": ["body", "team_id"], "msg": "Field required", "input": {}}])
        );
    }
}
