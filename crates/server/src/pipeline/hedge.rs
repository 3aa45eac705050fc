//! Second calls beside late ones: which requests may have one, its reservation, and the booking of the call
//! that is given up when the other one's answer comes first.

use std::sync::Arc;

use routing::{
    AttemptCode, AttemptLog, Dispatch, DispatchError, Dispatched, HedgeResult, Target, Tokens,
};
use translate::dialect::Dialect;

use super::Admitted;
use super::dispatch::{Answering, StartedAnswer, attempts};
use super::pending_call::PendingCall;
use crate::error::GatewayError;
use crate::request::context::RequestContext;
use crate::request::spare_call::{CalledTarget, SpareCall};
use crate::telemetry::Telemetry;

/// Follows the request's id in the row of the call that is given up.
const SUFFIX: &str = "-hedge";

/// Facts of a request that its second call needs.
pub(super) struct HedgeTerms {
    /// The id of the second call's row.
    pub(super) id: String,
    /// The model that the caller named.
    pub(super) model: String,
    pub(super) call_type: &'static str,
    pub(super) tokens: Tokens,
    /// The model's name in metrics.
    series: Option<Arc<str>>,
    telemetry: Arc<Telemetry>,
}

impl HedgeTerms {
    /// The terms of a second call. `None` if the request may not have one: its name has no hedging, it makes
    /// several calls, a guardrail is called around it, or it is made in the background.
    pub(super) fn of<D: Dialect>(
        admitted: &Admitted,
        dispatch: &Dispatch<'_>,
        call: &PendingCall<D>,
        context: &RequestContext,
    ) -> Option<Self> {
        let is_job = context.head().is_some_and(|head| head.running().is_some());
        if !dispatch.may_hedge() || is_job || !call.is_single() {
            return None;
        }
        Some(Self::with_suffix::<D>(SUFFIX, admitted, dispatch, context))
    }

    /// The terms of another call, whose row has the id of the request with this at its end.
    pub(super) fn with_suffix<D: Dialect>(
        suffix: &str,
        admitted: &Admitted,
        dispatch: &Dispatch<'_>,
        context: &RequestContext,
    ) -> Self {
        Self {
            id: format!("{}{suffix}", context.id()),
            model: context.model().to_owned(),
            call_type: D::CALL_TYPE,
            tokens: dispatch.tokens(),
            series: context.series().cloned(),
            telemetry: Arc::clone(&admitted.worker().shared.telemetry),
        }
    }

    /// Reserves the second call. `None` if a limit or a budget has no room for it.
    pub(super) async fn reserve(&self, admitted: &Admitted, target: &Target) -> Option<SpareCall> {
        let reserved = match admitted.reserve_second(self, target).await {
            Ok(reserved) => reserved,
            Err(refused) => {
                log::debug!("{} gets no second call: {refused}", self.id);
                return None;
            }
        };
        let names = (self.model.clone(), self.series.clone());
        let at = CalledTarget::of(target);
        Some(SpareCall::new(at, names, self.tokens.read, reserved, &self.telemetry))
    }
}

/// Tries one target after another until an answer begins, with a second call beside one that is late. The
/// call that answered is left in `call`.
pub(super) async fn call_target<D: Dialect>(
    admitted: &Admitted,
    dispatch: Dispatch<'_>,
    call: &mut PendingCall<D>,
    terms: &HedgeTerms,
) -> Result<(Dispatched<StartedAnswer>, Answering), Box<DispatchError<GatewayError>>> {
    let mut twin = call.twin(call.context.question);
    let (mut first, mut second) = (Answering::default(), Answering::default());
    let mut spare = None;
    let sent = dispatch.run_hedged(
        async |target: &Target| attempts(admitted, call, target, &mut first).await,
        async |target: &Target| {
            spare = Some(terms.reserve(admitted, target).await?);
            Some(attempts(admitted, &mut twin, target, &mut second).await)
        },
    );
    let mut sent = match sent.await {
        Ok(sent) => sent,
        Err(mut unsent) => {
            unsent.attempt_log.attempts += first.more + second.more;
            if let Some(spare) = spare.filter(|_| !has_cancelled(&unsent.attempt_log)) {
                spare.void();
            }
            return Err(Box::new(unsent));
        }
    };
    sent.attempt_log.attempts += first.more + second.more;
    let has_won = sent.attempt_log.hedge == Some(HedgeResult::Won);
    let spare = match spare {
        Some(spare) if !has_cancelled(&sent.attempt_log) => {
            spare.void();
            None
        }
        other => other,
    };
    if !has_won {
        return Ok((sent, Answering { spare, ..first }));
    }
    std::mem::swap(call, &mut twin);
    let spare = spare.map(|mut spare| {
        if let Some(at) = first.at.take() {
            spare.is_at(at);
        }
        spare
    });
    Ok((sent, Answering { spare, ..second }))
}

/// Whether a call was given up for the answer of another.
fn has_cancelled(log: &AttemptLog) -> bool {
    log.made.iter().any(|attempt| attempt.code == AttemptCode::Cancelled)
}
