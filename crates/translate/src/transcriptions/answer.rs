//! A complete transcript.

use schema::converse::response::{ConverseResponse, TokenUsage};
use schema::openai::transcriptions::Transcription;
use serde::{Serialize, Serializer};

use super::{SpeechForm, flaw_of, usage};

/// The text of a recording, as JSON or as it is.
#[derive(Debug)]
pub struct SpeechText {
    transcription: Transcription,
    form: SpeechForm,
    flaw: Option<&'static str>,
}

impl SpeechText {
    /// Reads an answer. Its text begins without the blanks that models put first.
    pub(super) fn of(response: &ConverseResponse<'_>, form: SpeechForm) -> Self {
        let mut text = String::new();
        for block in response.output.message.iter().flat_map(|message| &message.content) {
            text.push_str(block.text.as_deref().unwrap_or_default());
        }
        let blanks = text.len() - text.trim_start().len();
        text.drain(..blanks);
        Self {
            transcription: Transcription { text, usage: usage(response.usage) },
            form,
            flaw: flaw_of(&response.stop_reason),
        }
    }

    /// The transcripts of a recording's portions as one, with the usage of all.
    pub(super) fn joined(portions: Vec<Self>, total: Option<TokenUsage>) -> Option<Self> {
        let mut portions = portions.into_iter();
        let mut whole = portions.next()?;
        for portion in portions {
            let text = &mut whole.transcription.text;
            text.truncate(text.trim_end().len());
            if !text.is_empty() && !portion.transcription.text.is_empty() {
                text.push(' ');
            }
            text.push_str(&portion.transcription.text);
            whole.flaw = whole.flaw.or(portion.flaw);
        }
        if let Some(total) = total {
            whole.transcription.usage = usage(total);
        }
        Some(whole)
    }

    /// The reason why it is not the whole transcript.
    pub(super) fn flaw(&self) -> Option<&'static str> {
        self.flaw
    }

    /// The text, where the caller wants no JSON.
    pub(super) fn plain(&self) -> Option<&str> {
        (self.form == SpeechForm::Text).then_some(self.transcription.text.as_str())
    }
}

impl Serialize for SpeechText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.transcription.serialize(serializer)
    }
}
