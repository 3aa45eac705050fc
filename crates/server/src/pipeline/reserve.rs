//! The reservation of a call, between its admission and its dispatch: limits and budgets take it, and its row is
//! written, before a byte goes upstream.

use access::accounts::{CallAsk, Refused, Reservation};
use access::spend::Usage;
use access::{Accounts, Nanodollars};
use routing::catalogue::PricedModel;
use routing::{Route, Target, Tokens, Written};
use schema::converse::response::TokenUsage;

use super::Admitted;
use super::hedge::HedgeTerms;
use crate::call_price::{CallPrice, guardrail_cost};
use crate::error::{GatewayError, LimitRefusal};
use crate::pieces::Pieces;
use crate::request::context::RequestContext;
use crate::request::settlement::ReservedCall;

/// Tokens of the longest answer of a model of which none is known.
const LONGEST: u64 = 131_072;

/// A call to reserve.
pub(crate) struct CallEstimate<'r> {
    /// The kind of call, by LiteLLM's name.
    pub(crate) call_type: &'static str,
    pub(crate) cost: EstimatedCost<'r>,
}

/// The cost of a call, as far as it can be told before.
pub(crate) enum EstimatedCost<'r> {
    /// Calls of a model: so many, each of so many tokens and pieces.
    Model { route: &'r Route, tokens: Tokens, pieces: Pieces, calls: u32 },
    /// A call at a known price, without tokens.
    Priced(&'r CallPrice),
    /// Nothing: reading lists and settings, counting tokens.
    Nothing,
    /// Checks of so many bytes by a guardrail.
    Guardrail { bytes: usize },
    /// Bedrock bills it, by units that have no price here.
    Unpriced,
}

impl Admitted {
    /// Reserves a call, so that `context` settles it at its end. Without accounts it does nothing.
    ///
    /// # Errors
    /// A rate limit or a budget has no room, or the ledger cannot be written.
    pub(crate) async fn reserve(
        &self,
        estimate: CallEstimate<'_>,
        context: &mut RequestContext,
    ) -> Result<(), GatewayError> {
        let Some(accounts) = self.accounts() else { return Ok(()) };
        let CallEstimate { call_type, cost } = estimate;
        let mut ask = CallAsk {
            id: context.id().to_owned(),
            call_type: call_type.to_owned(),
            model_asked: context.model().to_owned(),
            model_names: self.asked_names(context.model()),
            session_id: self.parties().session.clone(),
            ip: self.ip().map(ToOwned::to_owned),
            meta: self.parties().metadata.clone(),
            ..CallAsk::default()
        };
        let (mut read, mut price) = (0, None);
        let is_free = matches!(cost, EstimatedCost::Nothing);
        match cost {
            EstimatedCost::Nothing => ask.cost = Some(Nanodollars::ZERO),
            EstimatedCost::Unpriced => {}
            EstimatedCost::Guardrail { bytes } => ask.cost = self.guardrail_cost(bytes),
            EstimatedCost::Priced(known) => {
                ask.cost = dearest(std::slice::from_ref(known), TokenUsage::default());
                price = Some(known.clone());
            }
            EstimatedCost::Model { route, tokens, pieces, calls } => {
                let calls = u64::from(calls.max(1));
                let models = self.now().names.priced(route);
                let written = self.written(tokens, &models, accounts).saturating_mul(calls);
                let usage = TokenUsage {
                    input_tokens: tokens.read.saturating_mul(calls),
                    output_tokens: written,
                    ..TokenUsage::default()
                };
                read = usage.input_tokens;
                price = add_estimate(&mut ask, models, pieces, usage);
            }
        }
        match accounts.reserve(self.admission(), ask).await {
            Ok(reservation) => {
                let reserved = self.reserved(reservation, read, price);
                context.is_reserved(ReservedCall { is_free, ..reserved });
                Ok(())
            }
            Err(refused) => {
                let budget_status = self.now().config.access.budget_exceeded_status.0;
                Err(Box::new(LimitRefusal { refused, budget_status }).into())
            }
        }
    }

    /// Reserves a second call of a request, at a target. `None` without accounts.
    ///
    /// # Errors
    /// As for a call of its own: a rate limit or a budget has no room, or the ledger cannot be written.
    pub(super) async fn reserve_second(
        &self,
        terms: &HedgeTerms,
        target: &Target,
    ) -> Result<Option<ReservedCall>, Refused> {
        let Some(accounts) = self.accounts() else { return Ok(None) };
        let HedgeTerms { id, model, call_type, tokens, .. } = terms;
        let mut ask = CallAsk {
            id: id.clone(),
            call_type: (*call_type).to_owned(),
            model_asked: model.clone(),
            model_names: self.asked_names(model),
            session_id: self.parties().session.clone(),
            ip: self.ip().map(ToOwned::to_owned),
            meta: self.parties().metadata.clone(),
            ..CallAsk::default()
        };
        let models = vec![target.model.priced()];
        let output_tokens = self.written(*tokens, &models, accounts);
        let usage =
            TokenUsage { input_tokens: tokens.read, output_tokens, ..TokenUsage::default() };
        let price = add_estimate(&mut ask, models, Pieces::default(), usage);
        let reservation = accounts.reserve(self.admission(), ask).await?;
        Ok(Some(self.reserved(reservation, tokens.read, price)))
    }

    fn reserved(
        &self,
        reservation: Reservation,
        read: u64,
        price: Option<CallPrice>,
    ) -> ReservedCall {
        let catalogue = self.now().names.catalogue().clone();
        let holder = self.admission().holder().cloned();
        let (is_free, is_kept) = (false, false);
        ReservedCall { reservation, read, price, is_free, is_kept, holder, catalogue }
    }

    /// The names of a request's model for limits of models: as it was asked for, and the one that a key's or team's alias
    /// stands for.
    fn asked_names(&self, asked: &str) -> Vec<String> {
        let behind = self.admission().alias(asked);
        [asked].into_iter().chain(behind).map(ToOwned::to_owned).collect()
    }

    /// The most that checks of so many bytes cost: each policy charges by the thousand characters.
    fn guardrail_cost(&self, bytes: usize) -> Option<Nanodollars> {
        let units = Usage::guardrail_units(u64::try_from(bytes).unwrap_or(u64::MAX));
        let usage = Usage {
            guardrail_content: units,
            guardrail_topic: units,
            guardrail_word: units,
            guardrail_pii: units,
            ..Usage::default()
        };
        guardrail_cost(self.now().names.catalogue(), &usage)
    }

    /// Tokens that one call may write.
    fn written(&self, tokens: Tokens, models: &[PricedModel], accounts: &Accounts) -> u64 {
        match tokens.written {
            Written::UpTo(most) => most,
            Written::Otherwise(_) if accounts.is_strict(self.admission()) => {
                let most = models.iter().map(|model| model.max_output().unwrap_or(LONGEST));
                most.max().unwrap_or(LONGEST)
            }
            Written::Otherwise(usual) => self.usual_output().unwrap_or(usual),
            Written::Nothing => 0,
        }
    }
}

/// Adds what calls of one of these models may use. Returns the price of the first.
fn add_estimate(
    ask: &mut CallAsk,
    models: Vec<PricedModel>,
    pieces: Pieces,
    usage: TokenUsage,
) -> Option<CallPrice> {
    ask.tokens = usage.input_tokens.saturating_add(usage.output_tokens);
    ask.model_names.extend(models.iter().map(|model| model.model_id().to_owned()));
    let prices = models.into_iter().map(CallPrice::of_priced);
    let prices: Vec<_> = prices.map(|price| price.with(pieces)).collect();
    ask.cost = dearest(&prices, usage);
    prices.into_iter().next()
}

/// The cost at the dearest target; none unless each has a price.
fn dearest(prices: &[CallPrice], usage: TokenUsage) -> Option<Nanodollars> {
    let mut dearest = Nanodollars::ZERO;
    for price in prices {
        let cost = price.estimated(usage)?;
        dearest = dearest.max(Nanodollars::from_picodollars(i128::from(cost.0)));
    }
    (!prices.is_empty()).then_some(dearest)
}
