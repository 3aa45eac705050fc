//! State that the answer half needs from the question half.

use crate::Profile;
use crate::parts::format::{AnswerText, By};
use crate::parts::thinking::ReasoningRequest;
use crate::parts::tools::SentToolNames;
use crate::parts::written::{Reader, Syntax};
use crate::profile::{Replay, StreamCounts};
use crate::reasoning::Origin;
use crate::requested_format::Wanted;

/// State made by the question half and consumed by the answer half. It owns everything it holds,
/// because the request body is freed before the last event arrives.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    pub(crate) names: SentToolNames,
    pub(crate) include_usage: bool,
    /// Counting of cached tokens in a stream.
    pub(crate) stream_counts: StreamCounts,
    pub(crate) calls: CallShape,
    /// The caller requested one call at a time: further calls of an answer are removed.
    pub(crate) one_call: bool,
    /// The model was told to call no tool: its calls are removed.
    pub(crate) drops_calls: bool,
    /// The caller requested a tier and is told the one it got.
    pub(crate) echoes_tier: bool,
    /// The tool whose input is the answer, if a forced tool call constrains the answer.
    pub(crate) answering_tool: Option<String>,
    /// The requested format of the answer, if any.
    pub(crate) wanted: Option<Wanted>,
    /// Handling of the model's reasoning.
    pub(crate) thoughts: ReasoningShown,
    /// Reasoning between tags is separated from the text.
    pub(crate) splits_tags: bool,
    /// The syntax in which the model writes calls into its text, if it may do so.
    pub(crate) written: Option<Syntax>,
    /// The caller requested fields of the model's own response.
    pub(crate) shows_fields: bool,
    /// The model and account of the answer, if known.
    pub(crate) origin: Option<Origin>,
    /// Text added by the gateway at the end of the user's last turn.
    pub(crate) preface: Option<String>,
}

impl Reply {
    /// The requested format of the answer. `None` where the format is free, and where the model got
    /// it in the prompt without a guarantee.
    pub fn wanted(&self) -> Option<&Wanted> {
        self.wanted.as_ref()
    }

    /// The reader for text of the answer.
    pub(crate) fn answer_text(&self) -> AnswerText {
        match (&self.wanted, &self.answering_tool) {
            (None, _) => AnswerText::default(),
            (Some(Wanted::Object), None) => AnswerText::held(By::Object),
            (Some(Wanted::Schema(_)), None) => AnswerText::held(By::Text),
            (Some(_), Some(_)) => AnswerText::held(By::Tool),
        }
    }

    /// A reader that extracts calls from the text of one answer, where the model may write them
    /// there.
    pub(crate) fn reader(&self) -> Option<Reader> {
        self.written.as_ref().map(Reader::new)
    }

    /// Returns whether the turn is saved for the request that brings its calls back.
    pub(crate) fn keeps_turns(&self) -> bool {
        self.thoughts.kept && !self.drops_calls && self.calls == CallShape::Tools
    }

    /// Returns whether reasoning is sent to the client with its positions.
    pub(crate) fn places_thoughts(&self) -> bool {
        self.thoughts.placed
    }

    /// Returns whether a call of this tool is the answer.
    pub(crate) fn is_answer(&self, tool: &str) -> bool {
        self.answering_tool.as_deref() == Some(tool)
    }
}

/// Handling of the model's reasoning.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReasoningShown {
    /// The client asked for it to be hidden.
    pub(crate) hidden: bool,
    /// The model requires it back.
    pub(crate) kept: bool,
    /// The model accepts it back, and its positions matter.
    pub(crate) placed: bool,
    /// Name of its format.
    pub(crate) format: String,
}

impl ReasoningShown {
    /// The handling that a request and its model lead to.
    pub(crate) fn of(wish: &ReasoningRequest<'_>, profile: &Profile) -> Self {
        Self {
            hidden: wish.hidden,
            kept: profile.keeps_thoughts(),
            placed: profile.replay != Replay::Never,
            format: profile.thoughts_format.clone(),
        }
    }
}

/// The form in which tool calls are written back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum CallShape {
    /// `tool_calls`.
    #[default]
    Tools,
    /// `function_call`, for a request that used the deprecated `functions`.
    Function,
}

/// Identity of one answer: values that only the calling crate can make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// `chatcmpl-...`, the same in every chunk.
    pub id: String,
    /// Unix seconds, the same in every chunk.
    pub created: u32,
    /// The model as the caller named it.
    pub model: String,
}
