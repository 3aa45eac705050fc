//! `POST /v1/embeddings` as InvokeModel bodies. Each protocol has a small module; the texts, the
//! encodings and the assembly of the answers in order are shared here.

use schema::Str;
use schema::invoke::{cohere as cohere_body, marengo as marengo_body};
use schema::invoke::{nova as nova_body, titan as titan_body};
use schema::openai::embeddings::{
    EMBEDDING_OBJECT, EmbeddedText, Embedding, EmbeddingsRequest, EmbeddingsResponse,
    EmbeddingsUsage, InputType, LIST_OBJECT, Truncate,
};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::profile::EmbeddingShape;
use crate::{Invalid, Report};

mod cohere;
mod input;
mod marengo;
mod media;
mod nova;
mod titan;
mod vector;

use crate::token_arrays::TextOf;
pub use crate::token_arrays::UnknownToken;
use input::Inputs;
pub(crate) use media::is_data_url;
pub use media::{MediumBill, MediumBody};
use vector::Encoder;

/// Functions that translation is given because their tables and alphabets live outside this crate.
#[derive(Debug, Clone, Copy)]
pub struct Codec {
    /// The text of token ids.
    pub text_of: TextOf,
    /// Base64 in the standard alphabet, with padding.
    pub base64: fn(&[u8]) -> String,
}

/// A translated request: one or more bodies to send, and the state that collects their answers.
#[derive(Debug)]
pub struct EmbeddingPlan<'a> {
    /// The bodies for InvokeModel, in the order of the texts.
    pub calls: Vec<Body<'a>>,
    /// Collects the answers, one for each of `calls`.
    pub answers: Answers,
    /// The fields that could not be honoured.
    pub report: Report,
}

/// The body of one InvokeModel call.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Body<'a> {
    /// Titan's text models.
    TitanText(titan_body::TextRequest<'a>),
    /// Titan's multimodal model.
    TitanMultimodal(titan_body::MultimodalRequest<'a>),
    /// Cohere, both versions.
    Cohere(cohere_body::Request<'a>),
    /// Nova.
    Nova(nova_body::Request<'a>),
    /// Marengo 2.7.
    MarengoFlat(marengo_body::FlatRequest<'a>),
    /// Marengo 3.0.
    MarengoNested(marengo_body::NestedRequest<'a>),
    /// An input that is more than a text.
    Medium(MediumBody<'a>),
}

/// The answers so far. They may arrive in any order; [`Answers::finish`] assembles them in the
/// order of the texts.
#[derive(Debug)]
pub struct Answers {
    shape: EmbeddingShape,
    encoder: Encoder,
    /// One for each call.
    slots: Vec<Slot>,
    tokens: u64,
}

/// The vectors expected from one call, and those received.
#[derive(Debug)]
struct Slot {
    texts: usize,
    vectors: Vec<Embedding>,
}

/// The requested vector options. A protocol honours, refuses or reports each of them.
struct VectorOptions {
    dimensions: Option<i64>,
    input_type: Option<InputType>,
    truncate: Option<Truncate>,
}

/// The content of one answer.
struct Part<'a> {
    vectors: Vec<&'a RawValue>,
    tokens: Option<u64>,
}

/// Translates an embeddings request for a model that accepts bodies of this shape. The bodies
/// borrow their texts from the request.
///
/// # Errors
/// The request cannot be expressed for this model; the error names the field, with its index where
/// one of several inputs is at fault.
pub fn question<'a>(
    request: &'a EmbeddingsRequest<'a>,
    shape: EmbeddingShape,
    codec: Codec,
) -> Result<EmbeddingPlan<'a>, Invalid> {
    // Destructured without `..`: a new field does not compile until its use is decided.
    let EmbeddingsRequest {
        model: _,
        input,
        dimensions,
        encoding_format,
        user,
        input_type,
        truncate,
        tags,
        extra,
    } = request;
    let mut report = Report::default();
    report.ignore_given([("user", user.is_some()), ("tags", tags.is_some())]);
    let wish =
        VectorOptions { dimensions: *dimensions, input_type: *input_type, truncate: *truncate };
    let calls = match input::inputs(input, shape, codec)? {
        Inputs::Texts(texts) => of_texts(texts, shape, &wish, &mut report)?,
        Inputs::Combined(inputs) => {
            let mut calls = Vec::with_capacity(inputs.len());
            for (place, input) in &inputs {
                match input.only_text() {
                    Some(text) => {
                        calls.extend(of_texts(vec![text.into()], shape, &wish, &mut report)?);
                    }
                    None => {
                        let with = (&wish, &mut report);
                        calls.push(Body::Medium(media::body(input, shape, with, place)?));
                    }
                }
            }
            calls
        }
    };
    for field in extra.names() {
        report.ignore(field);
    }
    let slots = calls.iter().map(|body| Slot { texts: body.texts(), vectors: Vec::new() });
    let encoder = Encoder { format: encoding_format.unwrap_or_default(), base64: codec.base64 };
    let answers = Answers { shape, encoder, slots: slots.collect(), tokens: 0 };
    Ok(EmbeddingPlan { calls, answers, report })
}

/// The bodies of texts.
fn of_texts<'a>(
    texts: Vec<Str<'a>>,
    shape: EmbeddingShape,
    wish: &VectorOptions,
    report: &mut Report,
) -> Result<Vec<Body<'a>>, Invalid> {
    match shape {
        EmbeddingShape::TitanV1 => titan::first(texts, wish, report),
        EmbeddingShape::TitanV2 => titan::second(texts, wish, report),
        EmbeddingShape::TitanMultimodal => titan::multimodal(texts, wish, report),
        EmbeddingShape::CohereV3 => cohere::third(texts, wish),
        EmbeddingShape::CohereV4 => cohere::fourth(texts, wish),
        EmbeddingShape::NovaMultimodal => nova::calls(texts, wish),
        EmbeddingShape::Marengo2 => marengo::second(texts, wish, report),
        EmbeddingShape::Marengo3 => marengo::third(texts, wish, report),
    }
}

impl Body<'_> {
    /// Number of texts in the body.
    fn texts(&self) -> usize {
        match self {
            Self::Cohere(request) => request.texts.len(),
            Self::TitanText(_)
            | Self::TitanMultimodal(_)
            | Self::Nova(_)
            | Self::MarengoFlat(_)
            | Self::MarengoNested(_)
            | Self::Medium(_) => 1,
        }
    }

    /// The unit of the call's price besides tokens.
    pub fn bill(&self) -> Option<MediumBill> {
        match self {
            Self::Medium(body) => Some(body.bill()),
            Self::TitanText(_)
            | Self::TitanMultimodal(_)
            | Self::Cohere(_)
            | Self::Nova(_)
            | Self::MarengoFlat(_)
            | Self::MarengoNested(_) => None,
        }
    }
}

impl Answers {
    /// Adds the answer to the call at this index: its body, and the token count from its header for
    /// bodies that do not hold one.
    ///
    /// # Errors
    /// The body is not the expected JSON, or does not hold a vector for each text.
    pub fn take(
        &mut self,
        call: usize,
        body: &[u8],
        counted: Option<u64>,
    ) -> Result<(), serde_json::Error> {
        let part = match self.shape {
            EmbeddingShape::TitanV1 | EmbeddingShape::TitanV2 | EmbeddingShape::TitanMultimodal => {
                titan::read(body)
            }
            EmbeddingShape::CohereV3 | EmbeddingShape::CohereV4 => cohere::read(body),
            EmbeddingShape::NovaMultimodal => nova::read(body),
            EmbeddingShape::Marengo2 | EmbeddingShape::Marengo3 => marengo::read(body),
        }?;
        let slot = self.slots.get_mut(call).ok_or_else(|| unreadable("an answer too many"))?;
        if part.vectors.len() != slot.texts {
            let (found, texts) = (part.vectors.len(), slot.texts);
            return Err(unreadable(&format!("{found} vectors for {texts} texts")));
        }
        let encoded = part.vectors.into_iter().map(|numbers| self.encoder.encode(numbers));
        slot.vectors = encoded.collect::<Result<_, _>>()?;
        self.tokens += part.tokens.or(counted).unwrap_or_default();
        Ok(())
    }

    /// Approximate size of the vectors so far, in bytes.
    pub fn length(&self) -> usize {
        let vectors = self.slots.iter().flat_map(|slot| &slot.vectors);
        let lengths = vectors.map(|vector| match vector {
            Embedding::Float(numbers) => numbers.get().len(),
            Embedding::Base64(text) => text.len(),
        });
        lengths.sum()
    }

    /// Tokens read by all calls so far.
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// The complete response, once every call has its answer. `model` is the name that the caller
    /// used.
    pub fn finish(self, model: String) -> EmbeddingsResponse {
        let vectors = self.slots.into_iter().flat_map(|slot| slot.vectors).enumerate();
        EmbeddingsResponse {
            object: LIST_OBJECT,
            data: vectors
                .map(|(index, embedding)| EmbeddedText {
                    object: EMBEDDING_OBJECT,
                    index,
                    embedding,
                })
                .collect(),
            model,
            usage: EmbeddingsUsage { prompt_tokens: self.tokens, total_tokens: self.tokens },
        }
    }
}

impl VectorOptions {
    /// The requested number of dimensions, which must be one of the offered ones.
    fn size(&self, sizes: &[u32]) -> Result<Option<u32>, Invalid> {
        let Some(wanted) = self.dimensions else { return Ok(None) };
        match sizes.iter().find(|size| i64::from(**size) == wanted) {
            Some(size) => Ok(Some(*size)),
            None => {
                let sizes: Vec<String> = sizes.iter().map(u32::to_string).collect();
                let message = format!(
                    "This model has no vectors of {wanted} dimensions. It offers: {}.",
                    sizes.join(", ")
                );
                Err(Invalid::value("dimensions", message))
            }
        }
    }

    /// Reports `input_type` for a protocol that has no such option.
    fn purpose_unheard(&self, report: &mut Report) {
        if self.input_type.is_some() {
            report.ignore("input_type");
        }
    }

    /// Reports `truncate` for a protocol that always refuses texts that are too long.
    fn truncation_unheard(&self, report: &mut Report) {
        if self.truncate.is_some_and(|truncate| truncate != Truncate::None) {
            report.ignore("truncate");
        }
    }
}

fn unreadable(what: &str) -> serde_json::Error {
    serde::de::Error::custom(what)
}
