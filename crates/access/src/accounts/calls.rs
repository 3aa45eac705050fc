//! Reservations of calls: rates first, because they cost no commit, then budgets with the ledger's row.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::Accounts;
use crate::ledger::{
    Attribution, CallOutcome, CallState, Charge, CounterKey, OpenRefusal, OpenedCall, Opening,
    ScopeKind,
};
use crate::limit::{RateExceeded, RateHold, ScopeRates};
use crate::record::{BudgetRule, Limits, MemberRecord};
use crate::{Admission, CallTag, Caller, Holder, Nanodollars, Principal, UtcTime};

/// The key's id in rows of the master key.
const MASTER: &str = "master";
/// The longest wait for settlements before a read.
const CATCH_UP: Duration = Duration::from_secs(1);
/// The span of a counter without a window.
const TOTAL: &str = "total";

/// A call to reserve.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallAsk {
    /// The request's id, a UUIDv7 of the gateway's.
    pub id: String,
    /// The kind of call, such as `acompletion`.
    pub call_type: String,
    /// The model as it was asked for.
    pub model_asked: String,
    /// Names by which limits of models may name the model.
    pub model_names: Vec<String>,
    /// The estimate of input and output tokens.
    pub tokens: u64,
    /// The estimate of the cost at the dearest target; null where one has no price.
    pub cost: Option<Nanodollars>,
    /// The caller's own id of the conversation.
    pub session_id: Option<String>,
    /// The caller's address.
    pub ip: Option<String>,
    /// Metadata of the caller, as a JSON object.
    pub meta: Option<String>,
}

impl CallAsk {
    /// The row of the call as it is opened, with its estimate.
    pub(super) fn opening(self, caller: &Caller, now: UtcTime, charges: Vec<Charge>) -> Opening {
        let Self { id, call_type, model_asked, cost, session_id, ip, meta, .. } = self;
        Opening {
            id,
            at: now,
            lease_until: now,
            who: attribution(caller),
            call_type,
            model_asked,
            session_id,
            ip,
            meta,
            estimate: cost,
            charges,
        }
    }
}

/// The reasons for which a call is not reserved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A rate limit has no room.
    #[error(transparent)]
    Rate(Box<RateExceeded>),
    /// A budget has no room.
    #[error(transparent)]
    Budget(Box<BudgetExceeded>),
    /// A budget applies, and the call has no price.
    #[error("the model has no price, and the {} has a budget", level.as_str())]
    Unpriced {
        /// The scope with the budget.
        level: ScopeKind,
    },
    /// The ledger cannot be written. The text is for the log.
    #[error("the ledger cannot be written: {0}")]
    Unavailable(String),
}

/// A budget has no room for a call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the budget of the {} {shown} is spent", kind.as_str())]
pub struct BudgetExceeded {
    /// The kind of the scope.
    pub kind: ScopeKind,
    /// The id of the scope.
    pub id: String,
    /// The name that messages may show.
    pub shown: String,
    /// Spend of the window.
    pub spent: Nanodollars,
    /// Estimates of calls under way.
    pub reserved: Nanodollars,
    /// Most that may be spent.
    pub max: Nanodollars,
    /// The end of the window; null for the lifetime.
    pub reset_at: Option<UtcTime>,
    /// The time of the refusal.
    pub now: UtcTime,
}

/// A reserved call. It ends exactly once: settled, voided, or when it is dropped: then as estimated if it was sent, as
/// voided if not.
#[derive(Debug)]
pub struct Reservation {
    opened: Option<OpenedCall>,
    rates: RateHold,
    sent: bool,
}

/// A scope of a call, with its limits.
struct Scope<'c> {
    kind: ScopeKind,
    id: Cow<'c, str>,
    /// The name that messages show instead of the id.
    alias: Option<&'c str>,
    limits: Cow<'c, Limits>,
}

/// A charge, with what a refusal tells of it.
struct Told {
    charge: Charge,
    scope: usize,
    reset_at: Option<UtcTime>,
}

impl Accounts {
    /// Reserves a call for all scopes of its caller or for none, and writes its row. The call may be made when this
    /// returns.
    ///
    /// # Errors
    /// The first limit without room: parallel calls, requests, tokens, then budgets.
    pub async fn reserve(
        &self,
        admission: &Admission,
        ask: CallAsk,
    ) -> Result<Reservation, Refused> {
        let now = self.clock.now();
        let caller = admission.caller();
        let scopes = self.scopes(caller, now);
        if ask.cost.is_none()
            && let Some(scope) = scopes.iter().find(|scope| scope.limits.has_budget())
        {
            return Err(Refused::Unpriced { level: scope.kind });
        }
        let rates: Vec<_> = scopes.iter().flat_map(|scope| scope.rates(&ask.model_names)).collect();
        let rates = self.rates.take(&ask.id, &rates, ask.tokens, now).await;
        let mut rates = rates.map_err(Refused::Rate)?;
        let told = self.charges(&scopes, &ask.model_names, now);
        let charges = told.iter().map(|told| told.charge.clone()).collect();
        let call = ask.opening(caller, now, charges);
        match self.ledger.open(call, &self.clock).await {
            Ok(opened) => Ok(Reservation { opened: Some(opened), rates, sent: false }),
            Err(refusal) => {
                rates.refund();
                Err(refused(refusal, &scopes, &told, now))
            }
        }
    }

    /// Whether a call counts in a strict budget: one that reserves all that the model may write.
    pub fn is_strict(&self, admission: &Admission) -> bool {
        let strict = |limits: &Limits| limits.strict_budget == Some(true) && limits.has_budget();
        let scopes = self.scopes(admission.caller(), self.clock.now());
        scopes.iter().any(|scope| strict(&scope.limits))
    }

    /// Waits until all settlements so far are in the store.
    pub async fn flush(&self) {
        self.ledger.flush().await;
    }

    /// Waits for the settlements of this process, so that what is read next has them; not for long, and not for a store
    /// that is away.
    pub async fn catch_up(&self) {
        if !self.ledger.is_away() {
            // Reads of a store that is slow show it as it is.
            let written = async { tokio::join!(self.ledger.flush(), self.write_refusals()) };
            let _ = tokio::time::timeout(CATCH_UP, written).await;
        }
    }

    /// Whether the last access to the store of the ledger failed.
    pub fn is_store_away(&self) -> bool {
        self.ledger.is_away()
    }

    /// The point up to which all calls that this process has ended are in the store: the present, unless it does not keep up.
    pub fn settled_until(&self) -> UtcTime {
        self.ledger.unsettled_since().unwrap_or_else(|| self.now())
    }

    /// Whether the Redis that replicas share rate limits in can be reached; absent where there is none.
    pub fn shares_rates(&self) -> Option<bool> {
        self.rates.is_shared()
    }

    /// Calls between their reservation and their committed settlement.
    pub fn calls_under_way(&self) -> usize {
        self.ledger.calls_under_way()
    }

    /// The counter of a rule, and the end of its window; the model is empty for all.
    pub(crate) fn counter(
        &self,
        kind: ScopeKind,
        id: &str,
        model: &str,
        rule: &BudgetRule,
        now: UtcTime,
    ) -> (CounterKey, Option<UtcTime>) {
        let window = rule.window(&self.zone, now);
        let span = rule.duration.as_ref().map_or(TOTAL, |span| span.as_str());
        let span = if model.is_empty() { span.to_owned() } else { format!("{model}:{span}") };
        let start = window.map(|window| window.start).unwrap_or_default();
        let key = CounterKey { kind, id: id.to_owned(), window: span, start };
        (key, window.map(|window| window.end))
    }

    /// The counters that work of a caller is charged to, without the limits on them.
    pub(super) fn charged(&self, caller: &Caller, models: &[String], now: UtcTime) -> Vec<Charge> {
        let told = self.charges(&self.scopes(caller, now), models, now);
        told.into_iter().map(|told| Charge { max: None, ..told.charge }).collect()
    }

    /// The scopes of a call: those of its caller, and the gateway if it has limits.
    fn scopes<'c>(&'c self, caller: &'c Caller, now: UtcTime) -> Vec<Scope<'c>> {
        let mut all = scopes(caller, now);
        let gateway = &self.configured.gateway;
        if *gateway != Limits::default() {
            let (kind, alias) = (ScopeKind::Gateway, Some(ScopeKind::Gateway.as_str()));
            all.push(Scope { kind, id: "".into(), alias, limits: Cow::Borrowed(gateway) });
        }
        all
    }

    /// The counters of a call, each once. Every scope has its lifetime's.
    fn charges(&self, scopes: &[Scope<'_>], models: &[String], now: UtcTime) -> Vec<Told> {
        let mut all: Vec<Told> = Vec::new();
        for (at, scope) in scopes.iter().enumerate() {
            let mut add = |model: &str, rule: &BudgetRule| {
                let (counter, reset_at) = self.counter(scope.kind, &scope.id, model, rule, now);
                match all.iter_mut().find(|told| told.charge.counter == counter) {
                    Some(told) => {
                        let both = [told.charge.max, rule.max].into_iter().flatten();
                        told.charge.max = both.min();
                    }
                    None => all.push(Told {
                        charge: Charge { counter, max: rule.max, slice: None },
                        scope: at,
                        reset_at,
                    }),
                }
            };
            add("", &scope.limits.budget());
            add("", &lifetime());
            for rule in scope.limits.budget_limits.iter().flatten() {
                add("", rule);
            }
            for (model, rule) in scope.limits.model_max_budget.iter().flatten() {
                if models.contains(model) {
                    add(model, rule);
                }
            }
        }
        all
    }
}

impl Reservation {
    /// The request's id.
    pub fn id(&self) -> &str {
        self.opened.as_ref().map_or("", |opened| opened.call().id.as_str())
    }

    /// The tightest rates after this call, for headers.
    pub fn rates(&self) -> &RateHold {
        &self.rates
    }

    /// Spend of the key's window before this call; absent without a key, or where the store was away.
    pub fn key_spend(&self) -> Option<Nanodollars> {
        let opened = self.opened.as_ref()?;
        let mut pairs = opened.call().charges.iter().zip(opened.states());
        let (_, state) = pairs.find(|(charge, _)| charge.counter.kind == ScopeKind::Key)?;
        state.map(|state| state.spent)
    }

    /// Notes that bytes go upstream: from now on the call may cost money, whatever becomes of it.
    pub fn is_sent(&mut self) {
        self.sent = true;
    }

    /// Settles the call by what was used. Its tokens are those that count against rate limits.
    pub fn settle(mut self, outcome: CallOutcome, tokens: u64) {
        self.end(CallState::Settled, outcome, tokens);
    }

    /// Settles a call whose usage is an estimate, because it was cut off.
    pub fn settle_estimated(mut self, outcome: CallOutcome, tokens: u64) {
        self.end(CallState::Estimated, outcome, tokens);
    }

    /// Voids a call that cost no money: it was not made, or refused upstream.
    pub fn void(mut self, outcome: CallOutcome) {
        self.rates.refund();
        if let Some(opened) = self.opened.take() {
            opened.close(CallState::Voided, outcome);
        }
    }

    fn end(&mut self, state: CallState, outcome: CallOutcome, tokens: u64) {
        self.rates.settle(tokens);
        if let Some(opened) = self.opened.take() {
            opened.close(state, outcome);
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let Some(opened) = self.opened.take() else { return };
        if !self.sent {
            // The opened call voids itself.
            self.rates.refund();
            return;
        }
        let call = Arc::clone(opened.call());
        let outcome = CallOutcome {
            model: call.model_asked.clone(),
            cost: call.estimate,
            error_code: Some("cut_off".to_owned()),
            ..CallOutcome::default()
        };
        opened.close(CallState::Estimated, outcome);
    }
}

impl Scope<'_> {
    fn shown(&self) -> &str {
        self.alias.unwrap_or(&self.id)
    }

    /// Rate limits: for all models, and of the models that the call names.
    fn rates(&self, models: &[String]) -> Vec<ScopeRates> {
        let Self { kind, id, limits, .. } = self;
        let of = |model: &str| ScopeRates {
            kind: *kind,
            id: id.clone().into_owned(),
            model: model.to_owned(),
            shown: self.shown().to_owned(),
            parallel: None,
            rpm: None,
            tpm: None,
            tpd: None,
        };
        let mut all = Vec::new();
        let Limits { max_parallel_requests: parallel, rpm_limit, tpm_limit, tpd_limit, .. } =
            **limits;
        if [parallel, rpm_limit, tpm_limit, tpd_limit].iter().any(Option::is_some) {
            all.push(ScopeRates {
                parallel,
                rpm: rpm_limit,
                tpm: tpm_limit,
                tpd: tpd_limit,
                ..of("")
            });
        }
        for (at, model) in models.iter().enumerate() {
            // Targets of a name may be one model, which the call takes once.
            if models[..at].contains(model) {
                continue;
            }
            let limit = |map: &Option<std::collections::BTreeMap<String, u64>>| {
                map.as_ref().and_then(|map| map.get(model)).copied()
            };
            let (rpm, tpm) = (limit(&limits.model_rpm_limit), limit(&limits.model_tpm_limit));
            if rpm.is_some() || tpm.is_some() {
                all.push(ScopeRates { rpm, tpm, ..of(model) });
            }
        }
        all
    }
}

impl RateExceeded {
    /// Whole seconds for `Retry-After`, at least one.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        self.retry_after.map(whole_seconds)
    }
}

impl BudgetExceeded {
    /// Whole seconds for `Retry-After`, at least one; absent for a lifetime budget.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        self.reset_at.map(|end| whole_seconds(end.since(self.now)))
    }
}

fn whole_seconds(span: Duration) -> u64 {
    u64::try_from(span.as_millis().div_ceil(1000)).unwrap_or(u64::MAX).max(1)
}

/// The sum of all time, which limits no call.
pub(super) fn lifetime() -> BudgetRule {
    BudgetRule { max: None, duration: None, since: UtcTime::default() }
}

fn refused(refusal: OpenRefusal, scopes: &[Scope<'_>], told: &[Told], now: UtcTime) -> Refused {
    let (charge, state) = match refusal {
        OpenRefusal::Unavailable(cause) => return Refused::Unavailable(cause),
        OpenRefusal::Budget { charge, state } => (charge, state),
    };
    let found = told.get(charge).and_then(|told| scopes.get(told.scope).map(|scope| (told, scope)));
    let Some((told, scope)) = found else {
        return Refused::Unavailable(
            "the store refused a charge that was not asked for".to_owned(),
        );
    };
    Refused::Budget(Box::new(BudgetExceeded {
        kind: scope.kind,
        id: scope.id.clone().into_owned(),
        shown: scope.shown().to_owned(),
        spent: state.spent,
        reserved: state.reserved,
        max: told.charge.max.unwrap_or(Nanodollars::MAX),
        reset_at: told.reset_at,
        now,
    }))
}

fn scopes<'c>(caller: &'c Caller, now: UtcTime) -> Vec<Scope<'c>> {
    let mut all = Vec::new();
    if let Some(holder) = caller.principal.holder() {
        holder_scopes(holder, now, &mut all);
    }
    let mut add = |kind, id: &'c str, limits| {
        all.push(Scope { kind, id: id.into(), alias: None, limits: Cow::Borrowed(limits) });
    };
    if let Some(customer) = &caller.customer {
        add(ScopeKind::Customer, &customer.id, &customer.limits);
    }
    let is_limited = |tag: &&Arc<CallTag>| tag.record.is_some() || tag.limits != Limits::default();
    for tag in caller.tags.iter().filter(is_limited) {
        add(ScopeKind::Tag, &tag.name, &tag.limits);
    }
    all
}

fn holder_scopes<'h>(holder: &'h Holder, now: UtcTime, all: &mut Vec<Scope<'h>>) {
    let Holder { key, team, user, team_limits, user_limits, member_limits, .. } = holder;
    let mut add = |kind, id, alias, limits| all.push(Scope { kind, id, alias, limits });
    let limits = holder.key_limits_at(now);
    add(ScopeKind::Key, key.id.as_str().into(), Some(key.shown()), limits);
    if let Some(team) = team {
        let (id, alias) = (team.team_id.as_str().into(), team.team_alias.as_deref());
        add(ScopeKind::Team, id, alias, Cow::Borrowed(team_limits));
        if let Some(user) = &key.user_id {
            let id = MemberRecord::id_of(&team.team_id, user).into();
            add(ScopeKind::Member, id, None, Cow::Borrowed(member_limits));
        }
    }
    if let Some(user) = user {
        add(ScopeKind::User, user.user_id.as_str().into(), None, Cow::Borrowed(user_limits));
    }
}

fn attribution(caller: &Caller) -> Attribution {
    let mut who = Attribution {
        customer: caller.customer.as_ref().map(|customer| customer.id.clone()),
        tags: caller.tags.iter().map(|tag| tag.name.clone()).collect(),
        ..Attribution::default()
    };
    match &caller.principal {
        Principal::Anonymous | Principal::Viewer => {}
        Principal::Master => (who.key_id, who.token) = (MASTER.to_owned(), MASTER.to_owned()),
        Principal::Key(holder) => {
            who.key_id.clone_from(&holder.key.id);
            who.token.clone_from(&holder.key.token);
            who.team.clone_from(&holder.key.team_id);
            who.user.clone_from(&holder.key.user_id);
            who.organization.clone_from(&holder.key.organization_id);
        }
    }
    who
}
