//! What the answer half must remember of the question half.

use crate::Profile;
use crate::parts::format::{By, Spoken};
use crate::parts::thinking::Wish;
use crate::parts::tools::Names;
use crate::parts::written::{Reader, Syntax};
use crate::profile::{Replay, StreamCounts};
use crate::structured::Wanted;
use crate::thoughts::Origin;

/// Made by the question, spent by the answer. It owns everything it holds, because the request body
/// is gone by the time the last event arrives.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    pub(crate) names: Names,
    pub(crate) include_usage: bool,
    /// How a stream counts cached tokens.
    pub(crate) stream_counts: StreamCounts,
    pub(crate) calls: CallShape,
    /// The caller wants one call at a time: further ones of an answer are left out.
    pub(crate) one_call: bool,
    /// The model was to call nothing: what it calls all the same is left out.
    pub(crate) drops_calls: bool,
    /// The caller asked for a tier and is told which one it got.
    pub(crate) echoes_tier: bool,
    /// The tool whose input is the answer, if the answer is held to a shape by one.
    pub(crate) answering_tool: Option<String>,
    /// What the answer must be, if anything was said of it.
    pub(crate) wanted: Option<Wanted>,
    /// What becomes of the model's thoughts.
    pub(crate) thoughts: ThoughtsShown,
    /// Thinking between tags is told apart from the text.
    pub(crate) splits_tags: bool,
    /// How the model writes calls into its words, where it may.
    pub(crate) written: Option<Syntax>,
    /// The caller asked for members of the model's own answer.
    pub(crate) shows_fields: bool,
    /// Where the answer is made, if that is told.
    pub(crate) origin: Option<Origin>,
    /// Words of our own at the end of the user's last turn.
    pub(crate) preface: Option<String>,
}

impl Reply {
    /// What the answer must be. `None` where anything will do, and where the model was told so in words
    /// that bind nobody.
    pub fn wanted(&self) -> Option<&Wanted> {
        self.wanted.as_ref()
    }

    /// How text of the answer is to be read.
    pub(crate) fn spoken(&self) -> Spoken {
        match (&self.wanted, &self.answering_tool) {
            (None, _) => Spoken::default(),
            (Some(Wanted::Object), None) => Spoken::held(By::Object),
            (Some(Wanted::Schema(_)), None) => Spoken::held(By::Text),
            (Some(_), Some(_)) => Spoken::held(By::Tool),
        }
    }

    /// Reads calls out of the words of one answer, where the model may write them there.
    pub(crate) fn reader(&self) -> Option<Reader> {
        self.written.as_ref().map(Reader::new)
    }

    /// Whether the turn is to be kept for the question that brings its calls back.
    pub(crate) fn keeps_turns(&self) -> bool {
        self.thoughts.kept && !self.drops_calls && self.calls == CallShape::Tools
    }

    /// Whether thoughts go out with their places.
    pub(crate) fn places_thoughts(&self) -> bool {
        self.thoughts.placed
    }

    /// Whether a call of this tool is the answer itself.
    pub(crate) fn is_answer(&self, tool: &str) -> bool {
        self.answering_tool.as_deref() == Some(tool)
    }
}

/// What becomes of the model's thoughts.
#[derive(Debug, Clone, Default)]
pub(crate) struct ThoughtsShown {
    /// The client does not want to see them.
    pub(crate) hidden: bool,
    /// The model wants them back.
    pub(crate) kept: bool,
    /// The model takes them back, and their places matter.
    pub(crate) placed: bool,
    /// The name of their format.
    pub(crate) format: String,
}

impl ThoughtsShown {
    /// What a request and its model want.
    pub(crate) fn of(wish: &Wish<'_>, profile: &Profile) -> Self {
        Self {
            hidden: wish.hidden,
            kept: profile.keeps_thoughts(),
            placed: profile.replay != Replay::Never,
            format: profile.thoughts_format.clone(),
        }
    }
}

/// How tool calls are written back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum CallShape {
    /// `tool_calls`.
    #[default]
    Tools,
    /// `function_call`, for a request that used the deprecated `functions`.
    Function,
}

/// What identifies one answer: values that only the caller can make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// `chatcmpl-...`, the same in every chunk.
    pub id: String,
    /// Unix seconds, the same in every chunk.
    pub created: u32,
    /// The model as the caller named it.
    pub model: String,
}
