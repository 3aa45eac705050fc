//! Requests as records of batch jobs: the steps up to the translation, and from a record's output on. Between them lies
//! the job, so that no call is dispatched here.

use actix_web::HttpRequest;
use actix_web::web::Data;
use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use routing::{GUARDRAIL_ID, Target};
use translate::batch::{RecordForm, converse_answer, record};
use translate::dialect::{Dialect, KnownState};
use translate::profile::Surface;
use translate::{Invalid, Stamp};

use super::native_call::{BodyForm, read_answer};
use super::parsed_request::ParsedRequest;
use super::pending_call::{PastReasoning, TranslateContext};
use super::{Admitted, Incoming};
use crate::error::GatewayError;
use crate::request::context::RequestContext;
use crate::state::Worker;

/// Tokens of an answer where neither the request nor the catalogue limits it.
const LONGEST: u64 = 4_096;

/// A request as records of a job.
pub(crate) struct RecordPlan {
    /// The model as the operator names it.
    pub(crate) name: String,
    /// The same as the caller names it.
    pub(crate) asked: String,
    pub(crate) target: Target,
    pub(crate) form: RecordForm,
    /// Inputs of its records, at least one.
    pub(crate) inputs: Vec<Bytes>,
    /// Fields of the request without effect.
    pub(crate) ignored: Vec<String>,
    pub(crate) reader: Box<dyn RecordReader>,
}

/// Makes the answer of a request from the outputs of its records, in the order of their inputs.
pub(crate) trait RecordReader {
    fn read(
        self: Box<Self>,
        outputs: Vec<Bytes>,
        stamp: Stamp,
    ) -> LocalBoxFuture<'static, Result<RecordAnswer, GatewayError>>;
}

/// An answer in the caller's API.
pub(crate) struct RecordAnswer {
    pub(crate) body: Vec<u8>,
}

/// Translates a request into a record.
///
/// # Errors
/// The request is not valid, its model may not be called, or a job cannot do what it asks for.
pub(crate) async fn plan<D: Dialect>(
    worker: &Data<Worker>,
    http: &HttpRequest,
    body: Bytes,
) -> Result<RecordPlan, GatewayError> {
    let mut context = RequestContext::begin(http, D::NAME);
    let mut incoming = Incoming::of_line(worker, http)?;
    let body = incoming.with_files(body).await?;
    let offload = &worker.shared.offload;
    let media = &incoming.now().config.media.clone();
    let mut request = ParsedRequest::<D>::read(&body, media, offload).await?;
    let tags = request.outline.tags(incoming.options());
    incoming.acts_for(request.outline.head.end_user.take(), &tags)?;
    let head = &request.outline.head;
    let asked = head.model.clone();
    refuse::<D>(&request)?;
    let admitted = incoming.admit(Some(&asked), &mut context).await?;
    let route = admitted.resolve(&asked, tags).await?;
    let name = admitted.admission().alias(&asked).unwrap_or(&asked).to_owned();
    let target = route
        .first()
        .ok_or_else(|| GatewayError::NotListed { name: asked.clone(), near: Vec::new() })?;
    let target = target.looked_up().await.into_owned();
    let fetched = admitted.fetch_media(std::mem::take(&mut request.outline.links)).await?;
    let items = admitted.reasoning().items().find(&request.outline.item_ids);
    let translate = TranslateContext {
        operation: request.outline.operation(),
        options: std::sync::Arc::clone(admitted.options()),
        fetched,
        items: std::sync::Arc::new(items.with(KnownState::default())),
        reasoning: admitted.reasoning().clone(),
        withheld: Vec::new(),
        thoughts: PastReasoning::Sent,
        correction: None,
        choices: 1,
        question: 0,
    };
    let translated = request.translate(&translate, &target, offload).await?;
    if translated.guard.is_some() || translated.headers.contains_key(GUARDRAIL_ID) {
        let message = "A guardrail checks the calls of this model, and jobs of Bedrock apply none: send this request by itself.";
        return Err(unsupported("model", message).into());
    }
    let (form, input) = match translated.form {
        BodyForm::Native => (RecordForm::Invoke, translated.body),
        BodyForm::Converse if target.model.profile.surface == Surface::Prompt => {
            let message =
                "Jobs of Bedrock do not take stored prompts: send this request by itself.";
            return Err(unsupported("model", message).into());
        }
        BodyForm::Surface(_) => {
            let message = "Jobs of Bedrock do not take this model: send this request by itself.";
            return Err(unsupported("model", message).into());
        }
        BodyForm::Converse => {
            let longest = target.model.priced().max_output().unwrap_or(LONGEST);
            let (form, input) = record(&translated.body, &target.model.profile, longest)?;
            (form, input.into())
        }
    };
    let reader = Reader::<D> { admitted, reply: translated.reply, body: translated.form, form };
    Ok(RecordPlan {
        name,
        asked,
        target,
        form,
        inputs: vec![input],
        ignored: translated.report.ignored().to_vec(),
        reader: Box::new(reader),
    })
}

/// Refuses requests that a record cannot answer.
fn refuse<D: Dialect>(request: &ParsedRequest<'_, D>) -> Result<(), Invalid> {
    let (outline, head) = (&request.outline, &request.outline.head);
    let with_state = outline.previous.is_some() || outline.conversation.is_some();
    let (param, message) = if head.stream {
        ("stream", "A line of a batch has no stream: leave stream out.")
    } else if head.n.is_some_and(|n| n > 1) {
        ("n", "A line of a batch has one answer: send a line for each.")
    } else if head.questions.count > 1 {
        (head.questions.param, "A line of a batch has one question: send a line for each.")
    } else if with_state {
        ("input", "A line of a batch stands alone: send the items before it in input.")
    } else {
        return Ok(());
    };
    Err(unsupported(param, message))
}

fn unsupported(param: &str, message: &'static str) -> Invalid {
    Invalid::value(param, message).with_code("unsupported_in_batches")
}

/// The answer's half of a translation.
struct Reader<D: Dialect> {
    admitted: Admitted,
    reply: D::Reply,
    /// The form of the translation.
    body: BodyForm,
    /// The form of the record.
    form: RecordForm,
}

impl<D: Dialect> RecordReader for Reader<D> {
    fn read(
        self: Box<Self>,
        outputs: Vec<Bytes>,
        stamp: Stamp,
    ) -> LocalBoxFuture<'static, Result<RecordAnswer, GatewayError>> {
        Box::pin(async move {
            let Self { admitted, reply, body, form } = *self;
            let none = || GatewayError::Internal("a record has no output".to_owned());
            let output = outputs.into_iter().next().ok_or_else(none)?;
            let output = match (body, form) {
                (BodyForm::Native | BodyForm::Surface(_), _)
                | (BodyForm::Converse, RecordForm::Converse) => output,
                (BodyForm::Converse, RecordForm::Invoke) => {
                    converse_answer(&output).map_or(output, Bytes::from)
                }
            };
            let (mut answered, spent) = read_answer::<D>(&output, body, (&reply, stamp))?;
            if let Some(saved) = answered.saved.take() {
                admitted.reasoning().keep(&saved).await;
            }
            let answer = D::gather(vec![answered.answer], spent).ok_or_else(none)?;
            if let Some(flaw) = D::flaw(&answer) {
                return Err(GatewayError::Flawed(flaw));
            }
            let body = serde_json::to_vec(&answer);
            let body = body.map_err(|error| GatewayError::Internal(error.to_string()))?;
            Ok(RecordAnswer { body })
        })
    }
}
