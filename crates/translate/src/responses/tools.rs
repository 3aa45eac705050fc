//! Tools, from the three places where they stand: the request, its namespaces, and items of its input.
//! Each gets a name of its own for the model; calls come back in the form of the client's tool.

use std::collections::{HashMap, HashSet};

use schema::Str;
use schema::openai::cache::CacheControl;
use schema::openai::responses::item::{CallItemKind, Item};
use schema::openai::responses::request::ResponsesRequest;
use schema::openai::responses::tool::{Choice, Definition, SentTool, ToolFields};
use schema::openai::tool::CustomFormat;
use serde_json::value::RawValue;

use crate::chat::cache::mark;
use crate::chat::limits::{TOOLS, entries, schema};
use crate::parts::cache::CacheMark;
use crate::parts::tools::{
    CallRule, ChoiceRequest, Declared, DeclaredTool, Declaring, ToolGrammar, ToolInput,
};
use crate::{Invalid, Profile, Report};

mod builtin;

pub(super) use builtin::Builtin;

/// Separates a namespace from the name of its tool, where the name alone is not enough.
const SEPARATOR: &str = "__";
/// Separators of namespace and name in the calls of models that make up such names.
const MADE_UP: [&str; 3] = [".", SEPARATOR, "/"];

/// The tools of a request.
#[derive(Debug)]
pub(super) struct ToolTable<'a> {
    tools: Vec<TableTool<'a>>,
    /// The types of tools that the service may run, and their fields.
    hosted: Vec<Str<'a>>,
    /// Fields without effect, by name.
    left_out: Vec<String>,
    rule: Rule,
    allowed: Option<Vec<Str<'static>>>,
}

/// A tool that the client runs.
#[derive(Debug)]
struct TableTool<'a> {
    kind: ToolKind<'a>,
    /// The name for the model.
    wire: String,
    name: Str<'a>,
    namespace: Option<Str<'a>>,
    description: Option<String>,
    cache: Option<CacheControl>,
    /// The path of its declaration, for errors.
    param: String,
}

#[derive(Debug)]
enum ToolKind<'a> {
    Function { schema: Option<&'a RawValue>, strict: bool },
    Custom { format: Option<CustomFormat<'a>> },
    Builtin { builtin: Builtin, schema: Option<&'a RawValue> },
}

/// The choice among the tools, by their names for the model.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Rule {
    Free,
    NoCalls,
    Call,
    CallOf(String),
    /// The choice cannot be honoured.
    Refused(Invalid),
}

/// A tool as the client knows it, for the calls in an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ClientTool {
    pub(super) kind: CallItemKind,
    pub(super) name: String,
    pub(super) namespace: Option<String>,
}

impl<'a> ToolTable<'a> {
    pub(super) fn of(request: &ResponsesRequest<'a>) -> Self {
        let mut collecting = Collecting::default();
        collecting.all(request.tools.as_deref().unwrap_or_default(), "tools");
        for (at, item) in request.items().iter().enumerate() {
            let tools = match item {
                Item::AdditionalTools(tools) => tools,
                Item::Output(output) => &output.tools,
                _ => continue,
            };
            collecting.all(tools, &format!("input[{at}].tools"));
        }
        let Collecting { mut tools, hosted, left_out, .. } = collecting;
        name_apart(&mut tools);
        let mut table = Self { tools, hosted, left_out, rule: Rule::Free, allowed: None };
        if let Some(raw) = request.tool_choice.filter(|raw| raw.get() != "null") {
            table.choose(Choice::read(raw));
        }
        table
    }

    /// Declares the tools for a model of this profile.
    ///
    /// # Errors
    /// There are too many, or one has no name or an invalid schema.
    pub(super) fn declared<'q>(
        &'q self,
        profile: &Profile,
        report: &mut Report,
    ) -> Result<Declared<'q>, Invalid> {
        entries("tools", self.tools.len(), TOOLS)?;
        for field in &self.left_out {
            report.ignore(field);
        }
        let mut declaring = Declaring::new(profile, report);
        for tool in &self.tools {
            if let ToolKind::Function { schema: own, .. } = &tool.kind {
                schema(*own, || format!("{}.parameters", tool.param))?;
            }
            declaring.tool(tool.declared(), &tool.param)?;
        }
        for kind in &self.hosted {
            declaring.hosted(kind);
        }
        Ok(declaring.finish())
    }

    /// The choice among them.
    ///
    /// # Errors
    /// A tool is forced that does not run here.
    pub(super) fn choice(&self) -> Result<ChoiceRequest<'_>, Invalid> {
        let rule = match &self.rule {
            Rule::Free => CallRule::Free,
            Rule::NoCalls => CallRule::NoCalls,
            Rule::Call => CallRule::Call,
            Rule::CallOf(wire) => CallRule::CallOf(wire),
            Rule::Refused(invalid) => return Err(invalid.clone()),
        };
        Ok(ChoiceRequest { rule, allowed: self.allowed.as_deref() })
    }

    /// The marks on tools, by their names for the model.
    pub(super) fn cache_marks(&self) -> impl Iterator<Item = (Option<&str>, CacheMark)> {
        self.tools.iter().filter_map(|tool| Some((Some(tool.wire.as_str()), mark(tool.cache?))))
    }

    /// The name for the model of a tool that a past call names.
    pub(super) fn wire<'q>(
        &'q self,
        kind: CallItemKind,
        namespace: Option<&str>,
        name: Option<&'q str>,
    ) -> &'q str {
        let name = name.unwrap_or_default();
        let is_it = |tool: &&TableTool<'_>| match &tool.kind {
            ToolKind::Builtin { builtin, .. } => builtin.kind() == kind,
            ToolKind::Function { .. } | ToolKind::Custom { .. } => {
                tool.name == *name && namespace.is_none_or(|asked| tool.is_in(asked))
            }
        };
        let found = self.tools.iter().find(is_it).map(|tool| tool.wire.as_str());
        found.unwrap_or_else(|| if name.is_empty() { builtin::name_of(kind) } else { name })
    }

    /// The client's tools by their names for the model, where a call of them is not a plain function call.
    /// Models make up names with the namespace in front: these are added where they are unambiguous.
    pub(super) fn client_tools(&self) -> HashMap<String, ClientTool> {
        let mut all = HashMap::new();
        for tool in &self.tools {
            let known = tool.client();
            for made_up in tool.namespace.iter().flat_map(|namespace| {
                MADE_UP.iter().map(move |separator| format!("{namespace}{separator}{}", tool.name))
            }) {
                all.entry(made_up).or_insert_with(|| known.clone());
            }
        }
        all.extend(self.tools.iter().map(|tool| (tool.wire.clone(), tool.client())));
        all.retain(|name, tool| {
            tool.kind != CallItemKind::Function || tool.namespace.is_some() || *name != tool.name
        });
        all
    }

    fn choose(&mut self, choice: Option<Choice<'a>>) {
        self.rule = match choice {
            None => Rule::Refused(Invalid::value(
                "tool_choice",
                "tool_choice is \"none\", \"auto\", \"required\" or an object that names a tool.",
            )),
            Some(Choice::Auto) => Rule::Free,
            Some(Choice::None) => Rule::NoCalls,
            Some(Choice::Required) => Rule::Call,
            Some(Choice::Named(name)) => {
                Rule::CallOf(self.wire_of(&name).unwrap_or(name.to_string()))
            }
            Some(Choice::Kind(kind)) => match self.wire_of_kind(&kind) {
                Some(wire) => Rule::CallOf(wire),
                None => Rule::Refused(forced(&kind)),
            },
            Some(Choice::Allowed { required, names }) => {
                let wire = |name: &Str<'_>| self.wire_of(name).or_else(|| self.wire_of_kind(name));
                self.allowed = Some(names.iter().filter_map(wire).map(Str::from).collect());
                if required { Rule::Call } else { Rule::Free }
            }
        };
    }

    fn wire_of(&self, name: &str) -> Option<String> {
        self.tools.iter().find(|tool| tool.name == *name).map(|tool| tool.wire.clone())
    }

    fn wire_of_kind(&self, kind: &str) -> Option<String> {
        let is_it = |tool: &&TableTool<'_>| matches!(&tool.kind, ToolKind::Builtin { builtin, .. } if builtin.word() == kind);
        self.tools.iter().find(is_it).map(|tool| tool.wire.clone())
    }
}

/// The error for a forced tool that does not run here: an answer without its call would be another one.
fn forced(kind: &str) -> Invalid {
    let kind = &kind[..kind.floor_char_boundary(64)];
    let message = format!(
        "tool_choice forces the tool {kind:?}, which is not declared, or which only OpenAI runs. Declare it as a function that the client runs, or leave tool_choice out."
    );
    Invalid::value("tool_choice", message).with_code("unsupported_value")
}

impl<'a> TableTool<'a> {
    fn declared(&self) -> DeclaredTool<'_> {
        let input = match &self.kind {
            ToolKind::Function { schema, strict } => {
                ToolInput::Json { schema: *schema, strict: *strict }
            }
            ToolKind::Custom { format } => {
                let grammar = format.as_ref().and_then(|format| format.grammar.as_ref());
                let grammar = grammar.map(|grammar| ToolGrammar {
                    definition: &grammar.definition,
                    syntax: &grammar.syntax,
                });
                ToolInput::Text { grammar }
            }
            ToolKind::Builtin { builtin, schema } => {
                ToolInput::Json { schema: schema.or(builtin.schema()), strict: false }
            }
        };
        DeclaredTool { name: &self.wire, description: self.description.as_deref(), input }
    }

    fn is_in(&self, namespace: &str) -> bool {
        self.namespace.as_deref() == Some(namespace)
    }

    fn client(&self) -> ClientTool {
        let kind = match &self.kind {
            ToolKind::Function { .. } => CallItemKind::Function,
            ToolKind::Custom { .. } => CallItemKind::Custom,
            ToolKind::Builtin { builtin, .. } => builtin.kind(),
        };
        let namespace = self.namespace.as_deref().map(ToOwned::to_owned);
        ClientTool { kind, name: self.name.to_string(), namespace }
    }
}

/// Tools as they are found.
#[derive(Default)]
struct Collecting<'a> {
    tools: Vec<TableTool<'a>>,
    /// Positions of tools by namespace and name.
    known: HashMap<(String, String), usize>,
    hosted: Vec<Str<'a>>,
    left_out: Vec<String>,
}

impl<'a> Collecting<'a> {
    fn all(&mut self, tools: &[SentTool<'a>], path: &str) {
        for (at, tool) in tools.iter().enumerate() {
            let param = format!("{path}[{at}]");
            match (&*tool.fields.kind, &tool.fields.tools) {
                ("namespace", Some(inner)) => self.namespace(&tool.fields, inner, &param),
                _ => self.one(&tool.fields, None, param),
            }
        }
    }

    fn namespace(&mut self, fields: &ToolFields<'a>, tools: &[SentTool<'a>], param: &str) {
        for (at, tool) in tools.iter().enumerate() {
            let param = format!("{param}.tools[{at}]");
            self.one(
                &tool.fields,
                Some((fields.name.clone(), fields.description.as_deref())),
                param,
            );
        }
    }

    fn one(
        &mut self,
        fields: &ToolFields<'a>,
        namespace: Option<(Option<Str<'a>>, Option<&str>)>,
        param: String,
    ) {
        let is_direct = |callers: &Vec<Str<'a>>| callers.iter().any(|caller| caller == "direct");
        if fields.allowed_callers.as_ref().is_some_and(|callers| !is_direct(callers)) {
            self.left_out.push("tools.allowed_callers".to_owned());
            return;
        }
        let Some((kind, definition)) = kind_of(fields) else {
            match fields.kind.is_empty() {
                true => self.left_out.push("tools".to_owned()),
                false => self.hosted.push(fields.kind.clone()),
            }
            return;
        };
        let (namespace, about) = namespace.unzip();
        let description = [about.flatten(), definition.description.as_deref()];
        let description: Vec<&str> =
            description.into_iter().flatten().filter(|text| !text.trim().is_empty()).collect();
        let name = match &kind {
            ToolKind::Builtin { builtin, .. } => builtin.word().into(),
            ToolKind::Function { .. } | ToolKind::Custom { .. } => {
                definition.name.unwrap_or_default()
            }
        };
        let own = match &kind {
            ToolKind::Builtin { builtin, .. } => builtin.description(),
            ToolKind::Function { .. } | ToolKind::Custom { .. } => None,
        };
        let description = match description.is_empty() {
            true => own.map(ToOwned::to_owned),
            false => Some(description.join("\n\n")),
        };
        let namespace = namespace.flatten();
        let key = (namespace.as_deref().unwrap_or_default().to_owned(), name.to_string());
        let cache = fields.cache_control;
        let wire = String::new();
        let tool = TableTool { kind, wire, name, namespace, description, cache, param };
        match self.known.get(&key) {
            // The later declaration of a tool counts.
            Some(at) => {
                if let Some(place) = self.tools.get_mut(*at) {
                    *place = tool;
                }
            }
            None => {
                self.known.insert(key, self.tools.len());
                self.tools.push(tool);
            }
        }
    }
}

/// The kind of a tool that the client runs, and its definition.
fn kind_of<'a>(fields: &ToolFields<'a>) -> Option<(ToolKind<'a>, Definition<'a>)> {
    let flat = Definition {
        name: fields.name.clone(),
        description: fields.description.clone(),
        parameters: fields.parameters,
        strict: fields.strict,
        format: fields.format.clone(),
    };
    match &*fields.kind {
        "function" => {
            let definition = fields.function.clone().unwrap_or(flat);
            let (schema, strict) = (definition.parameters, definition.strict == Some(true));
            Some((ToolKind::Function { schema, strict }, definition))
        }
        "custom" => {
            let definition = fields.custom.clone().unwrap_or(flat);
            let format = definition.format.clone();
            Some((ToolKind::Custom { format }, definition))
        }
        _ => {
            let builtin = Builtin::of(fields)?;
            let schema = if builtin == Builtin::ToolSearch { fields.parameters } else { None };
            Some((ToolKind::Builtin { builtin, schema }, flat))
        }
    }
}

/// Gives every tool a name of its own: its own name, and with the namespace in front where another tool
/// has that name.
fn name_apart(tools: &mut [TableTool<'_>]) {
    let mut taken: HashSet<String> = HashSet::new();
    // Names outside namespaces stay as they are.
    let is_plain = |tool: &TableTool<'_>| {
        tool.namespace.is_none() && !matches!(tool.kind, ToolKind::Builtin { .. })
    };
    for tool in tools.iter_mut().filter(|tool| is_plain(tool)) {
        tool.wire = tool.name.to_string();
        taken.insert(tool.wire.clone());
    }
    for tool in tools.iter_mut() {
        if is_plain(tool) {
            continue;
        }
        let name = tool.name.to_string();
        tool.wire = match &tool.namespace {
            _ if !taken.contains(&name) => name,
            Some(namespace) => format!("{namespace}{SEPARATOR}{name}"),
            None => format!("client{SEPARATOR}{name}"),
        };
        taken.insert(tool.wire.clone());
    }
}
