//! `POST /v1/audio/transcriptions` and `/v1/audio/translations` as Converse calls of models that hear: the
//! recording and an instruction in one turn, and the text of the answer.

use std::borrow::Cow;
use std::marker::PhantomData;

use schema::converse::media::{AudioBlock, Source};
use schema::converse::message::{ContentBlock, Message, Role};
use schema::converse::request::ConverseRequest;
use schema::converse::response::{ConverseResponse, StopReason, TokenUsage};
use schema::openai::format::FormatKind;
use schema::openai::transcriptions::{TOKENS, TranscriptionRequest, TranscriptionUsage};
use serde::Deserialize;

use crate::chat::Defaults;
use crate::dialect::{
    Answered, Dialect, ErrorDialect, MediaSize, Question, QuestionInput, Questions, RequestHead,
    TagFields, end_user,
};
use crate::parts::media::{Attachments, MediaPart};
use crate::parts::params::{Sampling, choose, inference_config};
use crate::parts::request_metadata::{MetadataFields, request_metadata};
use crate::parts::service;
use crate::parts::thinking::{Given, Past, Plan, ReasoningRequest, Switch};
use crate::parts::tools::delivery;
use crate::profile::{Medium, StreamCounts};
use crate::requested_format::Wanted;
use crate::spent::Spent;
use crate::{Invalid, Profile, Report, Stamp};

mod answer;
mod portions;
mod stream;

pub use answer::SpeechText;
pub use stream::TranscriptStream;

/// The field of the recording.
const FILE: &str = "file";

/// The text of a recording.
pub type Transcriptions = Speech<InItsLanguage>;
/// The text of a recording in English.
pub type Translations = Speech<InEnglish>;

/// The dialect of requests about a recording, by the task.
#[derive(Debug, Clone)]
pub struct Speech<T>(PhantomData<T>);

/// The task of a model that hears.
pub trait SpeechTask: std::fmt::Debug + Clone + 'static {
    /// The name in the access log.
    const NAME: &'static str;
    /// The instruction beside the recording.
    const INSTRUCTION: &'static str;
}

/// Writes down what is said.
#[derive(Debug, Clone)]
pub struct InItsLanguage;

/// Writes down what is said, in English.
#[derive(Debug, Clone)]
pub struct InEnglish;

impl SpeechTask for InItsLanguage {
    const NAME: &'static str = "audio.transcriptions";
    const INSTRUCTION: &'static str = "Transcribe the audio verbatim in its own language. Output only the transcript, without comments.";
}

impl SpeechTask for InEnglish {
    const NAME: &'static str = "audio.translations";
    const INSTRUCTION: &'static str = "Translate the speech of the audio into English. Output only the translation, without comments.";
}

/// State made by the question half and consumed by the answer half.
#[derive(Debug, Clone, Default)]
pub struct SpeechReply {
    form: SpeechForm,
    stream_counts: StreamCounts,
}

/// The form of a complete answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum SpeechForm {
    #[default]
    Json,
    Text,
}

impl<T: SpeechTask> Dialect for Speech<T> {
    const NAME: &'static str = T::NAME;
    const CALL_TYPE: &'static str = "atranscription";
    const ID_PREFIX: &'static str = "trsc-";
    const ERRORS: ErrorDialect = ErrorDialect::OpenAi;
    const MALFORMED_FAILS: bool = true;
    const FORM: Option<&'static [&'static str]> = Some(&["temperature", "stream"]);

    type Request<'a> = TranscriptionRequest<'a>;
    type Reply = SpeechReply;
    type Answer = SpeechText;
    type Stream = TranscriptStream;

    fn shorten<'s, 'l: 's>(request: TranscriptionRequest<'l>) -> TranscriptionRequest<'s> {
        request
    }

    fn head(request: &TranscriptionRequest<'_>) -> RequestHead {
        RequestHead {
            model: request.model.to_string(),
            stream: request.stream == Some(true),
            n: None,
            questions: Questions { count: portions::count(&request.file.data), param: FILE },
            token_ids: false,
            format: FormatKind::Text,
            max_tokens: None,
            media: MediaSize { count: 1, bytes: request.file.data.len() },
            prefix: None,
            last_calls: Vec::new(),
            origin: None,
            end_user: end_user(request.user.as_deref(), None, None),
        }
    }

    fn tags<'r>(request: &'r TranscriptionRequest<'_>) -> TagFields<'r> {
        TagFields { tags: request.tags, metadata: None }
    }

    fn remove_tags(request: &mut TranscriptionRequest<'_>) {
        request.tags = None;
    }

    fn links(_: &TranscriptionRequest<'_>, _: usize) -> Vec<(String, String)> {
        Vec::new()
    }

    fn fill_links<'a>(_: &mut TranscriptionRequest<'a>, _: &dyn Fn(&str) -> Option<&'a str>) {}

    fn complete<'a>(
        request: &mut TranscriptionRequest<'a>,
        defaults: &'a Defaults,
    ) -> Result<(), serde_json::Error> {
        let DefaultTemperature { temperature } = serde_json::from_str(defaults.body())?;
        request.temperature = request.temperature.or(temperature);
        Ok(())
    }

    fn call_ids<'r>(_: &'r TranscriptionRequest<'_>) -> Vec<&'r str> {
        Vec::new()
    }

    /// No format can be requested that an answer is corrected for.
    fn ask_again<'a>(_: &mut TranscriptionRequest<'a>, _: &'a str, _: &'a str) {}

    fn question<'q>(
        request: &'q TranscriptionRequest<'_>,
        profile: &Profile,
        input: &QuestionInput<'q>,
    ) -> Result<Question<'q, SpeechReply>, Invalid> {
        question(request, T::INSTRUCTION, profile, input)
    }

    fn wanted(_: &SpeechReply) -> Option<&Wanted> {
        None
    }

    fn answer(
        converse: &ConverseResponse<'_>,
        reply: &SpeechReply,
        _: Stamp,
    ) -> Answered<SpeechText> {
        let answer = SpeechText::of(converse, reply.form);
        Answered { answer, saved: None, invoked_model: None }
    }

    fn flaw(answer: &SpeechText) -> Option<&'static str> {
        answer.flaw()
    }

    fn plain(answer: &SpeechText) -> Option<&str> {
        answer.plain()
    }

    fn checked_texts(_: &SpeechText) -> Vec<&str> {
        Vec::new()
    }

    fn gather(answers: Vec<SpeechText>, total: Spent) -> Option<SpeechText> {
        SpeechText::joined(answers, total.usage)
    }

    fn stream(reply: SpeechReply, _: Stamp, _: u32) -> TranscriptStream {
        TranscriptStream::new(reply.stream_counts)
    }
}

/// The parameter of an operator's that a request may lack.
#[derive(Deserialize)]
struct DefaultTemperature {
    temperature: Option<f64>,
}

fn question<'q>(
    request: &'q TranscriptionRequest<'_>,
    instruction: &'static str,
    profile: &Profile,
    input: &QuestionInput<'q>,
) -> Result<Question<'q, SpeechReply>, Invalid> {
    service::served(profile)?;
    let mut report = Report::default();
    let form = form(request)?;
    let portion = portions::of(&request.file.data, input.index)?;
    if portion.is_some() && request.stream == Some(true) {
        let message = "This recording is longer than a call takes, and its portions are not streamed: leave stream out.";
        return Err(Invalid::value("stream", message).with_code("unsupported_value"));
    }
    without_effect(request, &mut report);
    let recording = recording(request, portion, profile, input)?;
    let text = ContentBlock::Text(instructed(request, instruction));
    let sampling = Sampling {
        max_tokens: None,
        temperature: Some(request.temperature.unwrap_or(0.0)),
        top_p: None,
        stop: None,
    };
    let mut inference_config = inference_config(&sampling, profile, &mut report)?;
    // Reasoning would have no place in the answer.
    let wish = ReasoningRequest { switch: Some(Switch::Off), ..ReasoningRequest::default() };
    let given = Given { raw: None, limit: inference_config.max_tokens, past: Past::Whole };
    let thinking = Plan::new(&wish, profile, &given, &mut report);
    let mut fields = serde_json::Map::new();
    thinking.apply(profile, None, &mut inference_config, &mut fields, &mut report);
    choose(&mut inference_config, profile, &mut report);
    let metadata = MetadataFields {
        user: request.user.as_deref(),
        safety_identifier: None,
        metadata: None,
        request_metadata: None,
    };
    let mut body = ConverseRequest {
        messages: vec![Message { role: Role::User, content: vec![recording, text] }],
        inference_config,
        additional_model_request_fields: fields,
        request_metadata: request_metadata(&metadata, &mut report),
        ..ConverseRequest::default()
    };
    let delivery = delivery(&mut body, (request.stream == Some(true)).then_some(profile));
    let reply = SpeechReply { form, stream_counts: profile.stream_counts };
    Ok(Question { body, delivery, reply, report })
}

/// The form of the answer. Models give texts without times and speakers.
fn form(request: &TranscriptionRequest<'_>) -> Result<SpeechForm, Invalid> {
    match request.response_format.as_deref() {
        None | Some("json") => Ok(SpeechForm::Json),
        Some("text") => Ok(SpeechForm::Text),
        Some("srt" | "vtt" | "verbose_json" | "diarized_json") => {
            let message = "Models on Bedrock write down speech without times and speakers: use response_format json or text.";
            Err(Invalid::value("response_format", message).with_code("unsupported_value"))
        }
        Some(other) => {
            let message = format!("response_format is {other:?}; use json or text.");
            Err(Invalid::value("response_format", message))
        }
    }
}

fn recording<'q>(
    request: &'q TranscriptionRequest<'_>,
    portion: Option<String>,
    profile: &Profile,
    input: &QuestionInput<'q>,
) -> Result<ContentBlock<'q>, Invalid> {
    let part = MediaPart {
        text: request.file.data.as_str(),
        medium: Medium::Audio,
        format: request.file.content_type.as_deref(),
        filename: request.file.filename.as_deref(),
        param: FILE.to_owned(),
    };
    if part.text.is_empty() {
        return Err(Invalid::value(FILE, "The file is empty."));
    }
    match Attachments::new(profile, input.stores).attach(&part)? {
        ContentBlock::Audio(whole) => Ok(ContentBlock::Audio(AudioBlock {
            source: portion.map_or(whole.source, Source::Encoded),
            ..whole
        })),
        _ => {
            let message = "The file is no recording: send wav, mp3, flac, ogg, m4a, mp4 or webm.";
            Err(Invalid::value(FILE, message).with_code("unsupported_file_type"))
        }
    }
}

/// The instruction, with what the caller says of the recording.
fn instructed<'q>(request: &TranscriptionRequest<'_>, instruction: &'static str) -> Cow<'q, str> {
    let given = |text: Option<&str>| {
        text.map(str::trim).filter(|text| !text.is_empty()).map(ToOwned::to_owned)
    };
    let (language, prompt) = (given(request.language.as_deref()), given(request.prompt.as_deref()));
    if language.is_none() && prompt.is_none() {
        return Cow::Borrowed(instruction);
    }
    let mut text = instruction.to_owned();
    if let Some(language) = language {
        text.push_str(&format!(" The language of the speech is {language:?} (ISO 639)."));
    }
    if let Some(prompt) = prompt {
        text.push_str(&format!(" Words and spellings that may occur: {prompt}"));
    }
    Cow::Owned(text)
}

/// Reports the fields that cannot be honoured. Destructured without `..`: a new field does not compile until
/// its use is decided.
fn without_effect(request: &TranscriptionRequest<'_>, report: &mut Report) {
    let TranscriptionRequest {
        model: _,
        file: _,
        language: _,
        prompt: _,
        response_format: _,
        temperature: _,
        stream: _,
        timestamp_granularities,
        chunking_strategy,
        include,
        user: _,
        tags,
        extra,
    } = request;
    for (field, value) in [
        ("timestamp_granularities", timestamp_granularities),
        ("chunking_strategy", chunking_strategy),
        ("include", include),
        ("tags", tags),
    ] {
        if value.is_some() {
            report.ignore(field);
        }
    }
    for field in extra.names() {
        report.ignore(field);
    }
}

/// The usage as the answer states it; what a cache served counts as read.
fn usage(usage: TokenUsage) -> TranscriptionUsage {
    let read = [usage.cache_read_input_tokens, usage.cache_write_input_tokens];
    let input_tokens = read.into_iter().fold(usage.input_tokens, u64::saturating_add);
    TranscriptionUsage {
        kind: TOKENS,
        input_tokens,
        output_tokens: usage.output_tokens,
        total_tokens: input_tokens.saturating_add(usage.output_tokens),
    }
}

/// The reason why a text that ended so is not the whole transcript.
fn flaw_of(reason: &StopReason) -> Option<&'static str> {
    match reason {
        StopReason::MaxTokens | StopReason::ModelContextWindowExceeded => Some(
            "The transcript is longer than the model may write. Send the recording in shorter parts.",
        ),
        StopReason::ContentFiltered | StopReason::GuardrailIntervened => {
            Some("The transcript was withheld by a filter or a guardrail.")
        }
        StopReason::Refusal => Some("The model refused to write down the recording."),
        StopReason::MalformedModelOutput => Some("The model's answer is not a text."),
        StopReason::EndTurn
        | StopReason::ToolUse
        | StopReason::StopSequence
        | StopReason::MalformedToolUse
        | StopReason::PauseTurn
        | StopReason::Unknown(_) => None,
    }
}
