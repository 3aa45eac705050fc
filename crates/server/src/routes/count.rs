//! `POST /v1/chat/completions/input_tokens`: how many tokens a chat request would put in, without
//! asking the model anything.

use std::sync::Arc;

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use schema::converse::count::CountTokensRequest;
use schema::openai::chat::ChatRequest;
use schema::openai::count::{CountedBy, INPUT_TOKENS_OBJECT, InputTokens};
use translate::Report;
use translate::chat::{Question, question_with};

use super::chat::received::{Received, Untranslated};
use super::directions::Directions;
use super::json::parse;
use super::whole::{Whole, respond};
use super::written::written;
use crate::app::Worker;
use crate::bedrock::Kind;
use crate::body;
use crate::error::GatewayError;
use crate::exchange::Exchange;
use crate::media::Fetched;
use crate::recall::Recall;
use crate::routing::{Asks, Count, Journey, Leg, Others, Sent, Terms, Tokens, Unsent, count};

/// Answers with a count, or an estimate that says so.
pub(crate) async fn input_tokens(
    worker: Data<Worker>,
    http: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let exchange = Exchange::begin(&http, "input_tokens");
    respond(exchange, async |exchange| counted(&worker, &http, payload, exchange).await).await
}

async fn counted(
    worker: &Worker,
    http: &HttpRequest,
    payload: Payload,
    exchange: &mut Exchange,
) -> Result<Whole<InputTokens>, GatewayError> {
    let now = worker.now();
    let body = body::read(http.headers(), payload, now.config.body).await?;
    Directions::only_send(http.headers())?;
    let offload = &worker.shared.offload;
    let Received { outline, .. } = Received::read(&body, &now.config.media, offload).await?;
    exchange.names_model(&outline.model);
    let tags = outline.tags(http.headers());
    let route = now.names.resolve(&outline.model, tags).await?;
    let fetched = Arc::new(worker.shared.fetcher.fetch(outline.links, &now.config.media).await?);
    let id = exchange.id().to_owned();
    let terms = Terms {
        id: &id,
        kind: Kind::Unary,
        asks: Asks::Count,
        tokens: Tokens::default(),
        key: None,
        home: None,
        // Another model counts otherwise.
        others: Others::SameName,
    };
    let recall = Recall::new(&worker.shared, &now, http.headers());
    let mut told = Report::default();
    let sent = Journey::begin(&now.names, route, terms)?.run(async |leg: &Leg| {
        let leg = leg.settled().await;
        let asked = asked(&body, &fetched, &recall, &leg);
        let (sent, report) = offload.run(body.len(), asked).await??;
        told = report;
        let counted = count(&worker.transport(&leg.account).by(leg.deadline), &leg, sent).await;
        counted.map_err(GatewayError::from)
    });
    let (input_tokens, model, request_id) = match sent.await {
        Ok(Sent { answer, flight, trail }) => {
            exchange.is_answered(trail, flight);
            match answer {
                Count::Counted { tokens, model, request_id } => (tokens, Some(model), request_id),
                Count::Estimated(tokens) => (tokens, None, None),
            }
        }
        Err(Unsent { error, trail }) => {
            exchange.went(trail);
            return Err(error);
        }
    };
    let outcrop = CountedBy { estimated: model.is_none(), model };
    let answer = InputTokens { object: INPUT_TOKENS_OBJECT, input_tokens, outcrop };
    Ok(Whole { answer, report: told, request_id, by: None })
}

/// The question whose tokens are counted, as the model would be asked: thoughts that are put back count.
fn asked(
    body: &Bytes,
    fetched: &Arc<Fetched>,
    recall: &Recall,
    leg: &Leg,
) -> impl Future<Output = Result<(Bytes, Report), Untranslated>> + Send + 'static {
    let (body, fetched) = (body.clone(), Arc::clone(fetched));
    let (recall, leg) = (recall.clone(), leg.clone());
    async move {
        let mut request: ChatRequest<'_> = parse(&body)?;
        fetched.fill(&mut request);
        leg.complete(&mut request)?;
        let recalled = recall.of(&request, &leg).await;
        let profile = &leg.target.profile;
        let Question { body: converse, report, .. } =
            question_with(&request, profile, &fetched.stores, Some(&recalled))?;
        Ok((written(&CountTokensRequest::from(&converse), body.len())?, report))
    }
}
