//! Settings of a request that an item of its input may override, as the inputs that the shared parts
//! take.

use schema::openai::format::FormatKind;
use schema::openai::reasoning::ReasoningField;
use schema::openai::responses::item::Item;
use schema::openai::responses::request::{
    ReasoningOptions, ResponsesRequest, TextFormat, TextOptions,
};
use serde_json::value::RawValue;

use crate::chat::reasoning::of_reasoning;
use crate::parts::format::{self, Format, JsonAnswer};
use crate::parts::params::Sampling;
use crate::parts::thinking::ReasoningRequest;
use crate::{Invalid, Profile};

/// The field of the schema, in errors.
pub(super) const SCHEMA: &str = "text.format.schema";

/// The settings in force after the last item.
pub(super) struct InForce<'q> {
    reasoning: Option<&'q ReasoningOptions<'q>>,
    format: Option<&'q TextFormat<'q>>,
    verbosity: Option<&'q str>,
}

/// A format's definition of the answer.
pub(super) struct Definition<'q> {
    pub(super) schema: Option<&'q RawValue>,
    pub(super) name: Option<&'q str>,
    pub(super) description: Option<&'q str>,
    pub(super) strict: Option<bool>,
}

impl<'q> Definition<'q> {
    /// The members of a format, or those of its member `json_schema`, where chat completions have them.
    pub(super) fn of(format: &'q TextFormat<'_>) -> Self {
        let TextFormat { kind: _, name, description, schema, strict, json_schema } = format;
        let inner = json_schema.as_ref();
        Self {
            schema: schema.or(inner.and_then(|inner| inner.schema)),
            name: name.as_deref().or(inner.and_then(|inner| inner.name.as_deref())),
            description: description
                .as_deref()
                .or(inner.and_then(|inner| inner.description.as_deref())),
            strict: strict.or(inner.and_then(|inner| inner.strict)),
        }
    }
}

impl<'q> InForce<'q> {
    pub(super) fn of(request: &'q ResponsesRequest<'_>) -> Self {
        let text = |text: Option<&'q TextOptions<'_>>| {
            (
                text.and_then(|text| text.format.as_ref()),
                text.and_then(|text| text.verbosity.as_deref()),
            )
        };
        let mut reasoning = request.reasoning.as_ref();
        let (mut format, mut verbosity) = text(request.text.as_ref());
        for item in request.items() {
            let Item::Configuration(changed) = item else { continue };
            reasoning = changed.reasoning.as_ref().or(reasoning);
            let (own_format, own_verbosity) = text(changed.text.as_ref());
            (format, verbosity) = (own_format.or(format), own_verbosity.or(verbosity));
        }
        Self { reasoning, format, verbosity }
    }

    /// The wished length of the answer's text.
    pub(super) fn verbosity(&self) -> Option<&'q str> {
        self.verbosity
    }

    /// The requested kind of format.
    pub(super) fn kind(&self) -> FormatKind {
        self.format.map(|format| format.kind).unwrap_or_default()
    }

    /// The schema of the requested format.
    pub(super) fn schema(&self) -> Option<&'q RawValue> {
        self.format.and_then(|format| Definition::of(format).schema)
    }

    /// The limits and sampling parameters.
    pub(super) fn sampling(&self, request: &'q ResponsesRequest<'_>) -> Sampling<'q> {
        Sampling {
            max_tokens: request.max_output_tokens.map(|limit| ("max_output_tokens", limit)),
            temperature: request.temperature,
            top_p: request.top_p,
            stop: request.stop.as_ref().map(|stop| ("stop", stop.sequences())),
        }
    }

    /// Reads the fields that request reasoning. It is shown where a summary is requested.
    ///
    /// # Errors
    /// An unknown effort, or a number out of range.
    pub(super) fn reasoning_request(&self) -> Result<ReasoningRequest<'static>, Invalid> {
        let mut wish = ReasoningRequest { hidden: true, ..ReasoningRequest::default() };
        let Some(options) = self.reasoning else { return Ok(wish) };
        let ReasoningOptions {
            effort,
            summary,
            generate_summary,
            context: _,
            mode: _,
            max_tokens,
            enabled,
            exclude,
        } = options;
        wish.hear(
            "reasoning",
            of_reasoning(&ReasoningField {
                effort: effort.clone(),
                max_tokens: *max_tokens,
                enabled: *enabled,
                exclude: *exclude,
                summary: None,
            })?,
        );
        let summary = summary.as_deref().or(generate_summary.as_deref());
        if summary.is_some_and(|summary| summary != "none") {
            wish.hidden = *exclude == Some(true);
            wish.display = Some("summarized");
            wish.display_field.push("reasoning.summary");
        }
        if wish.display.is_some() && wish.switch.is_none() {
            // Where reasoning is not requested, it is the model's own matter, and shown as it comes.
            wish.display_field.clear();
            wish.display = None;
        }
        Ok(wish)
    }

    /// The requested format of the answer, and the method for it on a model of this profile.
    ///
    /// # Errors
    /// The schema is missing, or cannot be sent.
    pub(super) fn format(&self, profile: &Profile) -> Result<Format<'q>, Invalid> {
        format::format(self.json_answer()?, profile)
    }

    fn json_answer(&self) -> Result<Option<JsonAnswer<'q>>, Invalid> {
        let Some(sent) = self.format else { return Ok(None) };
        let Definition { schema, name, description, strict: _ } = Definition::of(sent);
        match sent.kind {
            FormatKind::Text => Ok(None),
            FormatKind::JsonSchema if schema.is_none() => {
                let message = "A text format of type json_schema needs a schema.";
                Err(Invalid::value(SCHEMA, message).with_code("missing_required_parameter"))
            }
            FormatKind::JsonObject | FormatKind::JsonSchema => {
                Ok(Some(JsonAnswer { schema, name, description, param: SCHEMA }))
            }
        }
    }
}
