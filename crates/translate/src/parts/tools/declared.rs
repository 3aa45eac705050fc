//! The declared tools of a request: functions with their schemas, and free-form tools as functions
//! with one text parameter.

use std::borrow::Cow;
use std::collections::HashMap;

use schema::converse::tool::{InputSchema, SystemTool, ToolSpec};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::form::Form;
use super::hosted::hosted;
use super::names::{SentToolNames, sent_name};
use crate::parts::BODY_LIMIT;
use crate::parts::schemas::{Held, Looseness, hold, owned, tool_schema};
use crate::profile::{Profile, StrictTools};
use crate::{Invalid, Report};

/// Most strict tools in one request; Bedrock refuses more.
const STRICT_LIMIT: usize = 20;

/// The caller's tools, translated.
#[derive(Default)]
pub(crate) struct Declared<'a> {
    pub(crate) tools: Vec<ToolSpec<'a>>,
    /// Tools that the service runs.
    pub(crate) hosted: Vec<SystemTool<'a>>,
    pub(crate) names: SentToolNames,
}

impl<'a> Declared<'a> {
    /// Adds the service's own web search, if the model has one. Further options of the search have
    /// no effect.
    pub(crate) fn search(
        &mut self,
        options: Option<&'a RawValue>,
        profile: &Profile,
        report: &mut Report,
    ) {
        let Some(options) = options.filter(|options| options.get() != "null") else { return };
        let Some(tool) = hosted("web_search", profile) else {
            report.ignore("web_search_options");
            return;
        };
        self.host(tool);
        let fields: Map<String, Value> = serde_json::from_str(options.get()).unwrap_or_default();
        for field in fields.keys() {
            report.ignore(&format!("web_search_options.{field}"));
        }
    }

    fn host(&mut self, tool: SystemTool<'a>) {
        if !self.names.is_hosted(&tool.name) {
            self.names.note_hosted(&tool.name);
            self.hosted.push(tool);
        }
    }
}

/// A tool as the caller declares it.
pub(crate) struct DeclaredTool<'a> {
    pub(crate) name: &'a str,
    pub(crate) description: Option<&'a str>,
    pub(crate) input: ToolInput<'a>,
}

/// The input that a tool takes.
pub(crate) enum ToolInput<'a> {
    /// A JSON object, by its schema if there is one. Where `strict`, the service is to enforce it.
    Json { schema: Option<&'a RawValue>, strict: bool },
    /// Free text, of a grammar if there is one.
    Text { grammar: Option<ToolGrammar<'a>> },
}

/// The grammar of a free-form input, and the notation it is written in.
pub(crate) struct ToolGrammar<'a> {
    pub(crate) definition: &'a str,
    pub(crate) syntax: &'a str,
}

/// The error for schemas that exceed the limit because the model's family needs references copied.
fn too_large() -> Invalid {
    let message = format!(
        "The schemas of the tools have more than {BODY_LIMIT} bytes as this model needs them, with every $ref written out. Declare fewer tools, use fewer references, or choose a model that reads them."
    );
    Invalid::value("tools", message).with_code("string_above_max_length")
}

/// The declarations of a request, translated one by one.
pub(crate) struct Declaring<'a, 'p> {
    declared: Declared<'a>,
    taken: HashMap<Cow<'a, str>, &'a str>,
    strict: usize,
    /// Bytes left for schemas.
    room: usize,
    looseness: Looseness,
    profile: &'p Profile,
    report: &'p mut Report,
}

impl<'a, 'p> Declaring<'a, 'p> {
    pub(crate) fn new(profile: &'p Profile, report: &'p mut Report) -> Self {
        Self {
            declared: Declared::default(),
            taken: HashMap::new(),
            strict: 0,
            room: BODY_LIMIT,
            looseness: Looseness::default(),
            profile,
            report,
        }
    }

    /// The declared tools.
    pub(crate) fn finish(self) -> Declared<'a> {
        self.declared
    }

    /// Declares a tool; `param` is the path of its definition.
    ///
    /// # Errors
    /// The tool has no name, a duplicate name, or an invalid schema.
    pub(crate) fn tool(&mut self, tool: DeclaredTool<'a>, param: &str) -> Result<(), Invalid> {
        let DeclaredTool { name, description, input } = tool;
        let sent = self.name(name, param)?;
        let said = description.filter(|text| !text.trim().is_empty()).unwrap_or(name);
        let spec = match input {
            ToolInput::Json { schema, strict } => {
                let mut schema = tool_schema(schema, &format!("{param}.parameters"), self.profile)?;
                let written = schema.json.get().len();
                self.room = self.room.checked_sub(written).ok_or_else(too_large)?;
                let strict = strict && self.enforce(&mut schema.json);
                self.declared.names.note_form(&sent, schema.form);
                ToolSpec {
                    name: sent,
                    description: schema.describe(said),
                    input_schema: InputSchema { json: schema.json },
                    strict: strict.then_some(true),
                }
            }
            ToolInput::Text { grammar } => {
                let description = self.text_description(said, grammar.as_ref());
                let json = text_schema()
                    .map_err(|_| Invalid::value(param, "The tool cannot be declared."))?;
                self.declared.names.note_form(&sent, Form::Text);
                let input_schema = InputSchema { json };
                ToolSpec { name: sent, description, input_schema, strict: None }
            }
        };
        self.declared.tools.push(spec);
        Ok(())
    }

    /// Declares a tool that the service runs, by its type. Tools that only other services run are
    /// not available here, and are reported.
    pub(crate) fn hosted(&mut self, kind: &str) {
        match hosted(kind, self.profile) {
            Some(tool) => self.declared.host(tool),
            None => self.report.ignore(&format!("tools.{kind}")),
        }
    }

    fn text_description(
        &mut self,
        said: &'a str,
        grammar: Option<&ToolGrammar<'_>>,
    ) -> Cow<'a, str> {
        match grammar {
            None => Cow::Borrowed(said),
            Some(grammar) => {
                // The grammar goes into the prompt, where it is not enforced.
                self.report.ignore("tools.custom.format");
                Cow::Owned(format!("{said}\n\n{}", in_words(grammar)))
            }
        }
    }

    /// The name that is sent for a tool.
    fn name(&mut self, name: &'a str, param: &str) -> Result<Cow<'a, str>, Invalid> {
        if name.is_empty() {
            let message = "A tool needs a name of 1 to 64 characters.";
            return Err(Invalid::value(format!("{param}.name"), message));
        }
        let sent = sent_name(name, self.profile.tool_names);
        if let Some(other) = self.taken.insert(sent.clone(), name) {
            let message = if other == name {
                format!("Two tools are called {name:?}; give each a name of its own.")
            } else {
                format!(
                    "The tools {other:?} and {name:?} would both be sent as {sent:?}, because a name is letters, digits, _ and - here; rename one of them."
                )
            };
            return Err(Invalid::value(format!("{param}.name"), message));
        }
        self.declared.names.note(&sent, name);
        Ok(sent)
    }

    /// Returns whether the service can enforce this schema; a schema that it cannot enforce is
    /// reported.
    fn enforce(&mut self, json: &mut schema::Raw<'a>) -> bool {
        let held = if self.profile.strict_tools == StrictTools::Native && self.strict < STRICT_LIMIT
        {
            held(json, &mut self.looseness)
        } else {
            Held::Not
        };
        match held {
            Held::Not => self.report.ignore("tools.strict"),
            Held::AsItIs => self.strict += 1,
            Held::Without(ref told) => {
                self.strict += 1;
                for keyword in told {
                    self.report.ignore(&format!("tools.parameters.{keyword}"));
                }
            }
        }
        held != Held::Not
    }
}

/// The schema of a tool that takes text: an object with one text member.
fn text_schema<'a>() -> Result<schema::Raw<'a>, serde_json::Error> {
    let member = Form::Text.member();
    owned(
        json!({
            "type": "object",
            "properties": {
                member: { "type": "string", "description": "The whole input of the tool, as plain text." },
            },
            "required": [member],
        })
        .to_string(),
    )
}

/// Makes a raw schema enforceable, if it fits beside the schemas already enforced; it is rewritten
/// only if it had to change.
fn held(json: &mut schema::Raw<'_>, others: &mut Looseness) -> Held {
    let Ok(mut value) = serde_json::from_str(RawValue::get(json)) else { return Held::Not };
    let Some(together) = others.with(Looseness::of(&value)) else { return Held::Not };
    let held = hold(&mut value);
    if held != Held::Not {
        *others = together;
    }
    if let Held::Without(_) = held {
        match owned(value.to_string()) {
            Ok(raw) => *json = raw,
            Err(_) => return Held::Not,
        }
    }
    held
}

fn in_words(grammar: &ToolGrammar<'_>) -> String {
    let ToolGrammar { definition, syntax } = grammar;
    let notation = match *syntax {
        "regex" => "match this regular expression",
        "lark" => "be a text of this Lark grammar",
        _ => "be a text of this grammar",
    };
    format!("The input must {notation}:\n{definition}")
}
