//! Tools and the choice among them. Every type is read: some that are not known here are always sent by
//! some clients.

use serde::Deserialize;
use serde::de::Deserializer;
use serde_json::value::RawValue;

use crate::Str;
use crate::openai::cache::CacheControl;
use crate::openai::tool::CustomFormat;

/// One entry of `tools`, of a namespace, or of an item that declares tools.
#[derive(Debug, Clone)]
pub struct SentTool<'a> {
    /// The entry as it was sent.
    pub raw: &'a RawValue,
    /// Its members; empty ones for an entry that is no object.
    pub fields: ToolFields<'a>,
}

/// The members of a tool of any type.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ToolFields<'a> {
    #[serde(borrow, rename = "type")]
    pub kind: Str<'a>,
    #[serde(borrow)]
    pub name: Option<Str<'a>>,
    #[serde(borrow)]
    pub description: Option<Str<'a>>,
    #[serde(borrow)]
    pub parameters: Option<&'a RawValue>,
    pub strict: Option<bool>,
    /// The definition as chat completions have it.
    #[serde(borrow)]
    pub function: Option<Definition<'a>>,
    /// As `function`.
    #[serde(borrow)]
    pub custom: Option<Definition<'a>>,
    /// Format of the input of a free-form tool.
    #[serde(borrow)]
    pub format: Option<CustomFormat<'a>>,
    /// The tools of a namespace.
    #[serde(borrow)]
    pub tools: Option<Vec<SentTool<'a>>>,
    /// The side that runs a search for tools.
    #[serde(borrow)]
    pub execution: Option<Str<'a>>,
    /// The place where commands run.
    #[serde(borrow)]
    pub environment: Option<Environment<'a>>,
    /// The callers that may use it; the model itself is `direct`.
    #[serde(borrow)]
    pub allowed_callers: Option<Vec<Str<'a>>>,
    pub cache_control: Option<CacheControl>,
}

/// The definition of a tool in a member of its own.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Definition<'a> {
    #[serde(borrow)]
    pub name: Option<Str<'a>>,
    #[serde(borrow)]
    pub description: Option<Str<'a>>,
    #[serde(borrow)]
    pub parameters: Option<&'a RawValue>,
    pub strict: Option<bool>,
    #[serde(borrow)]
    pub format: Option<CustomFormat<'a>>,
}

/// The place where commands run.
#[derive(Debug, Clone, Deserialize)]
pub struct Environment<'a> {
    /// `local`, or the name of a container of OpenAI's.
    #[serde(borrow, rename = "type")]
    pub kind: Str<'a>,
}

impl<'de: 'a, 'a> Deserialize<'de> for SentTool<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&'a RawValue>::deserialize(deserializer)?;
        let fields = serde_json::from_str::<ToolFields<'a>>(raw.get());
        let fields =
            fields.or_else(|_| serde_json::from_str::<KindOnly<'a>>(raw.get()).map(Into::into));
        Ok(Self { raw, fields: fields.unwrap_or_default() })
    }
}

/// A tool whose other members have forms that are not known here.
#[derive(Deserialize)]
struct KindOnly<'a> {
    #[serde(borrow, rename = "type")]
    kind: Str<'a>,
}

impl<'a> From<KindOnly<'a>> for ToolFields<'a> {
    fn from(KindOnly { kind }: KindOnly<'a>) -> Self {
        Self { kind, ..Self::default() }
    }
}

/// `tool_choice`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice<'a> {
    Auto,
    None,
    Required,
    /// A call of the tool with this name.
    Named(Str<'a>),
    /// A call of the tool of this type.
    Kind(Str<'a>),
    /// Only these tools may be called; `required` forces a call of one.
    Allowed {
        required: bool,
        names: Vec<Str<'a>>,
    },
}

/// A tool choice in the form of an object.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct ChoiceFields<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Str<'a>>,
    #[serde(borrow)]
    name: Option<Str<'a>>,
    #[serde(borrow)]
    function: Option<Definition<'a>>,
    #[serde(borrow)]
    custom: Option<Definition<'a>>,
    #[serde(borrow)]
    mode: Option<Str<'a>>,
    #[serde(borrow)]
    tools: Option<Vec<Self>>,
    #[serde(borrow)]
    allowed_tools: Option<Box<Self>>,
}

impl<'a> Choice<'a> {
    /// Reads a choice; `None` for one that cannot be read.
    pub fn read(raw: &'a RawValue) -> Option<Self> {
        if let Ok(word) = serde_json::from_str::<Str<'a>>(raw.get()) {
            return Self::of_word(&word);
        }
        serde_json::from_str::<ChoiceFields<'a>>(raw.get()).ok()?.choice()
    }

    fn of_word(word: &str) -> Option<Self> {
        match word {
            "auto" => Some(Self::Auto),
            "none" => Some(Self::None),
            "required" | "any" => Some(Self::Required),
            _ => None,
        }
    }
}

impl<'a> ChoiceFields<'a> {
    fn choice(mut self) -> Option<Choice<'a>> {
        let allowed = match self.allowed_tools.take() {
            Some(allowed) => Some((allowed.mode, allowed.tools)),
            None => self.tools.take().map(|tools| (self.mode.take(), Some(tools))),
        };
        if let Some((mode, tools)) = allowed {
            let required = mode.as_deref() == Some("required");
            // Entries without a name are tools that OpenAI runs, or those of a type.
            let name = |entry: Self| entry.definition_name().or(entry.kind);
            let names = tools.unwrap_or_default().into_iter().filter_map(name).collect();
            return Some(Choice::Allowed { required, names });
        }
        if let Some(name) = self.definition_name() {
            return Some(Choice::Named(name));
        }
        let kind = self.kind?;
        Some(Choice::of_word(&kind).unwrap_or(Choice::Kind(kind)))
    }

    fn definition_name(&self) -> Option<Str<'a>> {
        let inner = self.function.as_ref().or(self.custom.as_ref());
        inner.and_then(|definition| definition.name.clone()).or_else(|| self.name.clone())
    }
}
