//! Step 6: the calls of a request, each tried at one target after another until its answer begins. Bedrock
//! gives one answer per call, so several are made at once where the request asks for several answers or
//! holds several questions. Each call is dispatched independently, with its own attempts. The first final
//! failure ends them all, and so does a client that disconnects, because all calls are one future.

use futures_util::future::try_join_all;
use translate::Report;
use translate::dialect::Dialect;

use super::Admitted;
use super::continue_stream::{self, ContinuedStream};
use super::guardrail_around::{GuardedInput, GuardrailCall, UpstreamAnswer};
use super::hedge::{self, HedgeTerms};
use super::native_call::BodyForm;
use super::pending_call::{PendingCall, Translated, UNASKED};
use super::repair::RepairCall;
use super::surface_call;
use crate::call_price::CallPrice;
use crate::error::GatewayError;
use crate::request::context::RequestContext;
use crate::request::spare_call::{CalledTarget, SpareCall};
use crate::sse::choices::AnswerSource;
use crate::sse::continuation::Continue;
use crate::sse::frames::StartedStream;
use bedrock::{Kind, UpstreamResponse};
use routing::{
    self, AttemptLog, AttemptOutcome, Dispatch, DispatchError, Dispatched, InFlight, Target,
};

/// The longest complete answer accepted, in bytes.
pub(super) const ANSWER_LIMIT: usize = 64 * 1024 * 1024;

/// A call whose answer has begun.
pub(super) struct StartedCall<R> {
    pub(super) source: AnswerSource,
    /// AWS's id of the call.
    pub(super) request_id: Option<String>,
    pub(super) reply: R,
    /// The form of a complete answer.
    pub(super) form: BodyForm,
    pub(super) report: Report,
    /// The repair call, if one may be made.
    pub(super) repair: Option<RepairCall>,
    pub(super) in_flight: InFlight,
    pub(super) price: Option<CallPrice>,
    attempt_log: AttemptLog,
    /// The call that was given up for this one, and the identity of the model that answered.
    spare: Option<(SpareCall, u64)>,
    /// The target that answered.
    at: Option<CalledTarget>,
    /// The way to continue a stream that breaks off.
    pub(super) continues: Option<Continue>,
}

/// Makes the calls of a request and waits until every answer has begun; until then a failure still has a
/// status.
pub(super) async fn start<D: Dialect>(
    admitted: &Admitted,
    dispatch: Dispatch<'_>,
    call: PendingCall<D>,
    context: &mut RequestContext,
) -> Result<Vec<StartedCall<D::Reply>>, GatewayError> {
    let mut others = Vec::new();
    for question in 0..call.questions {
        let made = u32::from(question == 0);
        for _ in made..call.context.choices {
            others.push((dispatch.twin()?, call.twin(question)));
        }
    }
    let continued = ContinuedStream::of(admitted, &dispatch, &call, context).map(Box::new);
    let started = if others.is_empty() {
        let hedge = HedgeTerms::of(admitted, &dispatch, &call, context);
        one(admitted, dispatch, call, hedge).await.map(|started| vec![started])
    } else {
        // Boxed, because a state that few requests need must not enlarge every request's future.
        Box::pin(several(admitted, (dispatch, call), others)).await
    };
    match started {
        Ok(mut all) => {
            let mut logs = all.iter_mut().map(|one| std::mem::take(&mut one.attempt_log));
            if let Some(first) = logs.next() {
                context.went(logs.fold(first, |log, other| log.and(&other)));
            }
            if let (Some(continued), [one]) = (continued, all.as_mut_slice()) {
                one.continues = one.at.take().map(|at| continued.after(at));
            }
            if let Some((spare, model)) = all.first_mut().and_then(|one| one.spare.take()) {
                context.gave_up(spare, model);
            }
            Ok(all)
        }
        Err(unsent) => {
            context.went(unsent.attempt_log);
            Err(unsent.error)
        }
    }
}

/// Makes several calls, ordered by question, and waits until all have begun.
async fn several<'n, D: Dialect>(
    admitted: &Admitted,
    (dispatch, call): (Dispatch<'n>, PendingCall<D>),
    others: Vec<(Dispatch<'n>, PendingCall<D>)>,
) -> Result<Vec<StartedCall<D::Reply>>, Box<DispatchError<GatewayError>>> {
    let warms = call.translated.as_ref().is_ok_and(|translated| translated.warms);
    let first = one(admitted, dispatch, call, None);
    let others = others.into_iter().map(|(dispatch, call)| one(admitted, dispatch, call, None));
    if warms {
        let mut all = vec![first.await?];
        all.extend(try_join_all(others).await?);
        Ok(all)
    } else {
        try_join_all(std::iter::once(first).chain(others)).await
    }
}

/// Makes one call and waits until its answer has begun; a unary answer is complete by then.
async fn one<D: Dialect>(
    admitted: &Admitted,
    dispatch: Dispatch<'_>,
    mut call: PendingCall<D>,
    hedge: Option<HedgeTerms>,
) -> Result<StartedCall<D::Reply>, Box<DispatchError<GatewayError>>> {
    let (dispatched, answering) = match hedge {
        None => call_target(admitted, dispatch, &mut call).await?,
        // Boxed, because few requests may have a second call.
        Some(terms) => Box::pin(hedge::call_target(admitted, dispatch, &mut call, &terms)).await?,
    };
    let Dispatched { answer, mut in_flight, attempt_log } = dispatched;
    let Answering { at, target, more: _, spare } = answering;
    let spare = spare.zip(at.as_ref().map(CalledTarget::identity));
    let price = at.as_ref().map(|at| at.price().clone());
    let (source, request_id) = match answer {
        StartedAnswer::Stream(begun) => {
            let id = begun.request_id().map(ToOwned::to_owned);
            (AnswerSource::Live(begun), id)
        }
        StartedAnswer::Unary(answer) => {
            let wait = admitted.settlement().waits();
            let read = answer.read(ANSWER_LIMIT, call.form()).await;
            drop(wait);
            match read {
                Ok((body, id)) => (AnswerSource::Whole(body), id),
                Err(error) => {
                    in_flight.broke_off(&error);
                    return Err(Box::new(DispatchError { error, attempt_log }));
                }
            }
        }
    };
    let repair = if call.repeats { RepairCall::of(&mut call, target, &in_flight) } else { None };
    match call.translated {
        Ok(Translated { reply, report, form, .. }) => Ok(StartedCall {
            source,
            request_id,
            reply,
            form,
            report,
            repair,
            in_flight,
            price,
            attempt_log,
            spare,
            at,
            continues: None,
        }),
        Err(error) => Err(Box::new(DispatchError { error, attempt_log })),
    }
}

/// The beginning of an answer.
pub(super) enum StartedAnswer {
    /// The head of a unary answer.
    Unary(Box<UpstreamAnswer>),
    /// The first event of a stream.
    Stream(Box<StartedStream>),
}

impl AttemptOutcome for StartedAnswer {
    fn is_of_target(&self) -> bool {
        match self {
            Self::Unary(answer) => !matches!(**answer, UpstreamAnswer::Withheld(_)),
            Self::Stream(_) => true,
        }
    }
}

/// The target that was called last.
#[derive(Default)]
pub(super) struct Answering {
    pub(super) at: Option<CalledTarget>,
    /// It, if a repair call may be needed.
    pub(super) target: Option<Target>,
    /// Attempts besides those of the dispatch.
    pub(super) more: u32,
    /// The call that was given up for its answer.
    pub(super) spare: Option<SpareCall>,
}

/// Tries one target after another until an answer begins.
async fn call_target<D: Dialect>(
    admitted: &Admitted,
    dispatch: Dispatch<'_>,
    call: &mut PendingCall<D>,
) -> Result<(Dispatched<StartedAnswer>, Answering), Box<DispatchError<GatewayError>>> {
    let mut last = Answering::default();
    let sent =
        dispatch.run(async |target: &Target| attempts(admitted, call, target, &mut last).await);
    match sent.await {
        Ok(mut sent) => {
            sent.attempt_log.attempts += last.more;
            Ok((sent, last))
        }
        Err(mut unsent) => {
            unsent.attempt_log.attempts += last.more;
            Err(Box::new(unsent))
        }
    }
}

/// Calls one target, and again without what it refuses.
pub(super) async fn attempts<D: Dialect>(
    admitted: &Admitted,
    call: &mut PendingCall<D>,
    target: &Target,
    last: &mut Answering,
) -> Result<StartedAnswer, GatewayError> {
    let mut target = target.looked_up().await;
    last.at = Some(CalledTarget::of(&target));
    let mut begun = attempt(admitted, call, &target).await;
    if let Err(error) = &begun
        && let Some(model) = call.without_refused(&target, error)
    {
        target.to_mut().model = model;
        begun = attempt(admitted, call, &target).await;
    }
    if let Err(error) = &begun
        && call.forgets_thoughts(error)
    {
        log::info!("past reasoning is refused, trying again without it: {error}");
        last.more += 1;
        Box::pin(call.translate(&target, admitted.offload())).await?;
        begun = attempt(admitted, call, &target).await;
    }
    last.target = call.repeats.then(|| target.into_owned());
    begun
}

/// Calls one target and waits until its answer begins: a unary answer with its head, a stream with its
/// first event. Until then another target may be tried.
async fn attempt<D: Dialect>(
    admitted: &Admitted,
    call: &mut PendingCall<D>,
    target: &Target,
) -> Result<StartedAnswer, GatewayError> {
    let body = call.for_target(target, admitted.offload()).await?;
    let body = continue_stream::begun(body, call, target)?;
    let check = call.guard().map(|guard| GuardrailCall::new(guard, admitted, &target.account));
    let (body, check) = match check {
        None => (body, None),
        Some(mut check) => match Box::pin(call.admitted(&mut check, body, target)).await? {
            GuardedInput::Send(body) => {
                let (operation, offload) = (call.at_last(), admitted.offload());
                let body = surface_call::after_guardrail(body, operation, target, offload).await?;
                (body, Some(check))
            }
            GuardedInput::Without(_) => return Err(GatewayError::Internal(UNASKED.to_owned())),
            GuardedInput::Answered(body) => {
                return Ok(StartedAnswer::Unary(Box::new(UpstreamAnswer::Withheld(body))));
            }
        },
    };
    let transport = admitted.transport(target);
    let mut outgoing = call.outgoing(body);
    admitted.settlement().traces(&mut outgoing.headers);
    let (kind, form) = (outgoing.operation.kind(), call.form());
    let _wait = admitted.settlement().waits();
    let answer = routing::send(&transport, target, outgoing).await?;
    match check {
        None => begin(answer, kind, form).await,
        Some(check) => {
            Ok(StartedAnswer::Unary(Box::new(UpstreamAnswer::Checked { answer, check })))
        }
    }
}

async fn begin(
    answer: UpstreamResponse,
    kind: Kind,
    form: BodyForm,
) -> Result<StartedAnswer, GatewayError> {
    match kind {
        Kind::Unary => Ok(StartedAnswer::Unary(Box::new(UpstreamAnswer::Coming(answer)))),
        Kind::Stream => {
            let upstream = form.events();
            let events = match form.is_server_sent() {
                false => answer.events()?,
                true => answer.server_sent_events()?,
            };
            Ok(StartedAnswer::Stream(Box::new(StartedStream::wait(events, upstream).await?)))
        }
    }
}
