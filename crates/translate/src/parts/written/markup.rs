//! `<invoke name="tool"><parameter name="city" string="true">Oslo</parameter></invoke>`: an element
//! for a call and one for each parameter, whose value is text or JSON by an attribute. Some models
//! write the input as JSON instead.

use serde_json::Value;

use super::grammar::Found;
use super::lexer::Token;
use crate::parts::tags::Voice;

/// The current call and parameter.
#[derive(Debug, Default)]
pub(super) struct Markup {
    call: Option<Call>,
    parameter: Option<Parameter>,
}

#[derive(Debug)]
struct Call {
    name: String,
    /// The members of its input so far, as JSON without the braces.
    members: String,
    /// Text outside of its parameters.
    bare: String,
}

#[derive(Debug)]
struct Parameter {
    name: String,
    is_text: bool,
    value: String,
}

impl Markup {
    pub(super) fn is_outside(&self) -> bool {
        self.call.is_none()
    }

    pub(super) fn words(&mut self, words: &str, found: &mut Vec<Found>) {
        match (&mut self.parameter, &mut self.call) {
            (Some(parameter), _) => parameter.value.push_str(words),
            (None, Some(call)) => call.bare.push_str(words),
            (None, None) => found.push(Found::Words(words.to_owned())),
        }
    }

    pub(super) fn token(&mut self, token: Token<'_>, found: &mut Vec<Found>) {
        match token {
            Token::Open(tag) => {
                let (element, attributes) =
                    tag.split_once(char::is_whitespace).unwrap_or((tag, ""));
                match element {
                    "parameter" => {
                        self.close_parameter();
                        self.parameter = self.call.is_some().then(|| Parameter {
                            name: attribute(attributes, "name").to_owned(),
                            is_text: attribute(attributes, "string") != "false",
                            value: String::new(),
                        });
                    }
                    "invoke" => {
                        self.close(found);
                        self.call = Some(Call {
                            name: attribute(attributes, "name").to_owned(),
                            members: String::new(),
                            bare: String::new(),
                        });
                    }
                    _ => self.close(found),
                }
            }
            Token::Close("parameter") => self.close_parameter(),
            _ => self.close(found),
        }
    }

    /// Ends the text. An input that was cut inside a value stays incomplete, because complete JSON
    /// would be run.
    pub(super) fn finish(&mut self, found: &mut Vec<Found>) {
        let Some(Parameter { name, is_text, value }) = self.parameter.take() else {
            return self.close(found);
        };
        let Some(mut call) = self.call.take() else { return };
        call.begin(&name);
        let spelled = if is_text { Value::from(value).to_string() } else { value };
        let open = if is_text { spelled.strip_suffix('"') } else { None };
        call.members.push_str(open.unwrap_or(&spelled));
        found.push(Found::Call { name: call.name, input: format!("{{{}", call.members) });
    }

    fn close_parameter(&mut self) {
        let (Some(Parameter { name, is_text, value }), Some(call)) =
            (self.parameter.take(), &mut self.call)
        else {
            return;
        };
        call.begin(&name);
        let json = if is_text { None } else { serde_json::from_str::<Value>(&value).ok() };
        match json {
            Some(_) => call.members.push_str(value.trim()),
            None => call.members.push_str(&Value::from(value).to_string()),
        }
    }

    fn close(&mut self, found: &mut Vec<Found>) {
        self.close_parameter();
        let Some(Call { name, members, bare }) = self.call.take() else { return };
        let bare = bare.trim();
        if members.is_empty() {
            found.push(Found::Call { name, input: bare.to_owned() });
            return;
        }
        found.push(Found::Call { name, input: format!("{{{members}}}") });
        if !bare.is_empty() {
            found.push(Found::Spoken(Voice::Reasoning, bare.to_owned()));
        }
    }
}

impl Call {
    /// Begins a member.
    fn begin(&mut self, name: &str) {
        if !self.members.is_empty() {
            self.members.push(',');
        }
        self.members.push_str(&Value::from(name).to_string());
        self.members.push(':');
    }
}

/// The value of an attribute, or an empty string.
fn attribute<'t>(attributes: &'t str, name: &str) -> &'t str {
    let value = attributes.split_once(&format!("{name}=\"")).map(|(_, value)| value);
    value.and_then(|value| value.split_once('"')).map_or("", |(value, _)| value)
}
