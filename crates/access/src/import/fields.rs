//! A row of another gateway's table. A missing column is null.

use serde_json::{Map, Number, Value};

use crate::UtcTime;

/// The columns of a row, by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    pub(super) fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok().map(Self)
    }

    /// A value that is not null. Documents that were written as a text are read.
    pub(super) fn value(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// A text that is not empty.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let text = self.value(name)?.as_str()?;
        (!text.is_empty()).then(|| text.to_owned())
    }

    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        self.value(name)?.as_bool()
    }

    /// A number. Infinity and NaN, which JSON does not have, limit no call and are null.
    pub(super) fn number(&self, name: &str) -> Option<Number> {
        match self.value(name)? {
            Value::Number(number) => Some(number.clone()),
            Value::Null
            | Value::Bool(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_) => None,
        }
    }

    pub(super) fn list(&self, name: &str) -> Vec<String> {
        self.document(name).map(|value| texts(&value)).unwrap_or_default()
    }

    pub(super) fn object(&self, name: &str) -> Map<String, Value> {
        match self.document(name) {
            Some(Value::Object(map)) => map,
            Some(
                Value::Null
                | Value::Bool(_)
                | Value::Number(_)
                | Value::String(_)
                | Value::Array(_),
            )
            | None => Map::new(),
        }
    }

    /// A document that is not null. One that was written as a text is read.
    pub(super) fn document(&self, name: &str) -> Option<Value> {
        match self.value(name)? {
            Value::String(text) => {
                serde_json::from_str(text).ok().filter(|value: &Value| !value.is_null())
            }
            value => Some(value.clone()),
        }
    }

    pub(super) fn time(&self, name: &str) -> Option<UtcTime> {
        time(self.value(name)?)
    }
}

/// The texts of a list; other elements are left out.
pub(super) fn texts(value: &Value) -> Vec<String> {
    let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// A time; columns without a zone are in UTC.
pub(super) fn time(value: &Value) -> Option<UtcTime> {
    let text = value.as_str()?;
    UtcTime::parse(text).or_else(|| UtcTime::parse(&format!("{text}Z")))
}

/// Whether a value says something: neither null, false, zero nor empty.
pub(super) fn is_set(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(_) => true,
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_read_as_postgresql_writes_them() {
        let row = Fields::parse(
            r#"{"expires": "2026-11-28T10:00:00.5", "zoned": "2026-11-28T11:00:00+01:00", "spend": 0.1,
                "nan": "NaN", "models": ["a", "b"], "none": null, "blocked": true, "empty": "",
                "metadata": "{\"a\": 1}"}"#,
        )
        .unwrap();
        assert_eq!(row.time("expires").unwrap().to_string(), "2026-11-28T10:00:00.500Z");
        assert_eq!(row.time("zoned").unwrap().to_string(), "2026-11-28T10:00:00Z");
        assert_eq!(row.number("spend").unwrap().to_string(), "0.1");
        assert_eq!((row.number("nan"), row.number("none")), (None, None));
        assert_eq!(row.list("models"), ["a", "b"]);
        assert_eq!((row.text("empty"), row.text("absent")), (None, None));
        assert_eq!(row.flag("blocked"), Some(true));
        assert_eq!(row.object("metadata")["a"], 1);
    }
}
