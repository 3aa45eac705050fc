//! The last steps of a question in every dialect: the means by which the answer gets its form, and the
//! fields of the model's own response that are requested.

use schema::Str;
use schema::converse::request::OutputConfig;

use crate::parts::conversation::Conversation;
use crate::parts::format::{Format, FormatPlan};
use crate::parts::tools::Tooling;
use crate::requested_format::Wanted;
use crate::{Invalid, Profile, Report};

/// Instruction for a model that cannot be forbidden to call tools.
const NO_CALLS: &str = "Call no tools in this turn: answer in text.";

/// The means by which an answer gets its form.
pub(crate) struct Shaped<'q> {
    pub(crate) output_config: Option<OutputConfig<'q>>,
    pub(crate) answering_tool: Option<String>,
    pub(crate) wanted: Option<Wanted>,
    /// Text added by the gateway at the end of the user's last turn.
    pub(crate) preface: Option<String>,
}

/// Applies the requested format, and tells a model that cannot be forbidden to call tools not to.
/// `choice_field` is reported where the choice of tools has no effect.
pub(crate) fn shaped<'q>(
    format: Format<'q>,
    choice_field: &str,
    (conversation, tooling): (&mut Conversation<'q>, &mut Tooling<'q>),
    profile: &Profile,
    report: &mut Report,
) -> Shaped<'q> {
    let Format { shape, wanted } = format;
    let mut preface = None;
    let (output_config, answering_tool) = match shape {
        FormatPlan::Free => (None, None),
        FormatPlan::Native(config) => (Some(config), None),
        FormatPlan::Tool(spec, form) => (None, tooling.answer_by(spec, form, profile)),
        FormatPlan::Words(words) => {
            preface = conversation.instruct(words, profile);
            (None, None)
        }
    };
    if tooling.choice_ignored {
        report.ignore(choice_field);
    }
    if tooling.is_unwelcome() && answering_tool.is_none() && !tooling.is_served() {
        preface = preface.or(conversation.instruct(NO_CALLS.to_owned(), profile));
    }
    Shaped { output_config, answering_tool, wanted, preface }
}

/// The text added by the gateway at the end of the user's last turn, for models whose reasoning is
/// valid only after an unchanged prefix.
///
/// # Errors
/// The format cannot be read.
pub(crate) fn own_words<'q>(
    profile: &Profile,
    format: impl FnOnce() -> Result<Format<'q>, Invalid>,
) -> Result<Option<String>, Invalid> {
    if !profile.thoughts_bound {
        return Ok(None);
    }
    Ok(match format()?.shape {
        FormatPlan::Words(words) => Some(words),
        FormatPlan::Free | FormatPlan::Native(_) | FormatPlan::Tool(..) => None,
    })
}

/// Paths of the model's own response to request: the caller's and the gateway's.
pub(crate) fn response_fields<'a>(
    asked: Option<&'a [Str<'a>]>,
    own: impl IntoIterator<Item = &'a str>,
) -> Vec<&'a str> {
    let mut paths: Vec<&str> = asked.unwrap_or_default().iter().map(Str::as_str).collect();
    for path in own {
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    paths
}
