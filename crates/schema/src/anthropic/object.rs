//! A JSON object whose members keep their text and their order, so that single members can be changed
//! and all others pass as they came.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::{Raw, Str};

/// The members of an object.
#[derive(Debug, Clone, Default)]
pub struct RawObject<'a>(Vec<(Str<'a>, Raw<'a>)>);

impl<'a> RawObject<'a> {
    /// Reads the members of an object.
    ///
    /// # Errors
    /// The value is no object.
    pub fn of(raw: &'a RawValue) -> Result<Self, serde_json::Error> {
        serde_json::from_str(raw.get())
    }

    /// The value of a member; of several members with one name, the last.
    pub fn get(&self, name: &str) -> Option<&RawValue> {
        self.0.iter().rev().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }

    /// Removes a member. Returns whether it was there.
    pub fn remove(&mut self, name: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|(known, _)| known != name);
        self.0.len() < before
    }

    /// Sets a member in its place, or at the end.
    pub fn set(&mut self, name: &str, value: Box<RawValue>) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, place)) => *place = Cow::Owned(value),
            None => self.0.push((name.to_owned().into(), Cow::Owned(value))),
        }
    }

    /// The names of the members.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// Its JSON text.
    ///
    /// # Errors
    /// None: every member is JSON.
    pub fn to_raw(&self) -> Result<Box<RawValue>, serde_json::Error> {
        serde_json::value::to_raw_value(self)
    }
}

impl Serialize for RawObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, &**value)?;
        }
        map.end()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for RawObject<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = RawObject<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawObject<'de>, A::Error> {
        let mut members = Vec::new();
        while let Some((name, value)) = map.next_entry::<Str<'de>, &'de RawValue>()? {
            members.push((name, Cow::Borrowed(value)));
        }
        Ok(RawObject(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn untouched_members_keep_their_text_and_order() {
        let text = r#"{"b": 1.0, "a":{"z":1, "y":2},"b":[ 2 ]}"#;
        let mut object: RawObject<'_> = serde_json::from_str(text).unwrap();
        assert_eq!(object.get("b").map(RawValue::get), Some("[ 2 ]"));
        object.set("a", RawValue::from_string("3".to_owned()).unwrap());
        object.set("c", RawValue::from_string("4".to_owned()).unwrap());
        assert!(object.remove("b") && !object.remove("b"));
        assert_eq!(object.to_raw().unwrap().get(), r#"{"a":3,"c":4}"#);
        assert!(serde_json::from_str::<RawObject<'_>>("[]").is_err());
    }
}
