//! The fields that shape an answer: `response_format` and `reasoning_format`, as the inputs that the
//! shared parts take.

use schema::openai::format::{FormatKind, JsonSchema, ResponseFormat};
use schema::openai::reasoning::ReasoningFormat;

use crate::parts::format::{self, Format, JsonAnswer};
use crate::parts::tags::TagsWanted;
use crate::{Invalid, Profile};

/// The requested format of an answer, and the method for it on a model of this profile.
pub(super) fn format<'a>(
    format: Option<&'a ResponseFormat<'a>>,
    profile: &Profile,
) -> Result<Format<'a>, Invalid> {
    format::format(format.map(json_answer).transpose()?.flatten(), profile)
}

fn json_answer<'a>(format: &'a ResponseFormat<'a>) -> Result<Option<JsonAnswer<'a>>, Invalid> {
    const PARAM: &str = "response_format.json_schema.schema";
    match (format.kind, &format.json_schema) {
        (FormatKind::Text, _) => Ok(None),
        (FormatKind::JsonSchema, None) => {
            let message = "A response format of type json_schema needs json_schema.";
            Err(Invalid::value("response_format.json_schema", message)
                .with_code("missing_required_parameter"))
        }
        (FormatKind::JsonObject, None) => {
            Ok(Some(JsonAnswer { schema: None, name: None, description: None, param: PARAM }))
        }
        (FormatKind::JsonObject | FormatKind::JsonSchema, Some(given)) => {
            let JsonSchema { name, description, schema, strict: _ } = given;
            let (name, description) = (name.as_deref(), description.as_deref());
            Ok(Some(JsonAnswer { schema: *schema, name, description, param: PARAM }))
        }
    }
}

/// The wish for reasoning that a model writes into its text.
pub(super) fn tags_wanted(format: ReasoningFormat) -> TagsWanted {
    match format {
        ReasoningFormat::Parsed | ReasoningFormat::Hidden => TagsWanted::Split,
        ReasoningFormat::Raw => TagsWanted::Kept,
    }
}
