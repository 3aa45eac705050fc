//! `GET /v1/models` and `/v1/models/{id}`: the names that `model` accepts.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use schema::openai::models::{Model, ModelList};
use translate::dialect::ErrorDialect;

use super::models_page::{Page, info};
use super::{models_codex, refusal};
use crate::error::GatewayError;
use crate::pipeline::json_response::respond_without_call;
use crate::pipeline::{Admitted, Incoming};
use crate::request::context::RequestContext;
use crate::state::Worker;
use routing::catalogue::Named;
use routing::{Tags, Target};

/// The longest part of an id that is quoted back.
const QUOTED: usize = 200;

/// Lists the models.
pub(crate) async fn list(worker: Data<Worker>, http: HttpRequest) -> HttpResponse {
    let mut context = RequestContext::begin(&http, "models");
    context.speaks(refusal::dialect(http.path(), http.headers()));
    let admitted = match admitted(&worker, &http, None, &mut context).await {
        Ok(admitted) => admitted,
        Err(error) => return context.refuse(&error),
    };
    let names = &admitted.now().names;
    let transport = admitted.account_transport(names.home());
    let mut data = names.catalogue().models(&transport, &names.listed()).await;
    data.retain(|model| names.admits(&model.id));
    if admitted.admission().restricts_models() {
        let mut granted = Vec::with_capacity(data.len());
        for model in data {
            if admitted.resolve(&model.id, Tags::default()).await.is_ok() {
                granted.push(model);
            }
        }
        data = granted;
    }
    context.complete();
    if is_for_anthropic(&http) {
        return HttpResponse::Ok().json(Page::of(&http).cut(data));
    }
    if models_codex::is_for_codex(&http) {
        return HttpResponse::Ok().json(models_codex::list(data));
    }
    HttpResponse::Ok().json(ModelList { object: "list", data })
}

/// Returns one model. Ids may be percent-encoded, including slashes and colons.
pub(crate) async fn one(worker: Data<Worker>, http: HttpRequest) -> HttpResponse {
    let mut context = RequestContext::begin(&http, "models");
    context.speaks(refusal::dialect(http.path(), http.headers()));
    let path = http.path();
    let raw = path.split_once("/models/").map_or(path, |(_, id)| id);
    let id = decoded(raw);
    let admitted = match admitted(&worker, &http, Some(&id), &mut context).await {
        Ok(admitted) => admitted,
        Err(error) => return context.refuse(&error),
    };
    match find(&admitted, &id).await {
        Some(model) if is_for_anthropic(&http) => {
            respond_without_call(context, Ok(info(model.id, model.created)))
        }
        Some(model) => respond_without_call(context, Ok(model)),
        None => {
            let near = worker.now().names.near(&id);
            let id = id.chars().take(QUOTED).collect();
            context.refuse(&GatewayError::UnknownModel { id, near })
        }
    }
}

/// Whether the client expects Anthropic's shape.
fn is_for_anthropic(http: &HttpRequest) -> bool {
    refusal::dialect(http.path(), http.headers()) == ErrorDialect::Anthropic
}

async fn admitted(
    worker: &Data<Worker>,
    http: &HttpRequest,
    id: Option<&str>,
    context: &mut RequestContext,
) -> Result<Admitted, GatewayError> {
    Incoming::list(worker, http).await?.admit(id, context).await
}

async fn find(admitted: &Admitted, id: &str) -> Option<Model> {
    let names = &admitted.now().names;
    // A region that cannot be called and a name that is not served resolve to no model.
    let first = admitted.resolve(id, Tags::default()).await.ok()?.first()?;
    let Target { model, account, .. } = first.looked_up().await.into_owned();
    let named = Named { name: id, target: model, standing: names.standing(id) };
    named.model(&admitted.account_transport(&account)).await
}

/// Percent-decodes once. A `%` without an escape stays, and invalid UTF-8 is replaced: such an id is
/// simply unknown.
pub(super) fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let escape = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let escape = escape.filter(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
        match escape.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::decoded;

    #[test]
    fn ids_are_decoded_once() {
        for (text, expected) in [
            ("a.b-v1:0", "a.b-v1:0"),
            ("a.b-v1%3A0", "a.b-v1:0"),
            ("bedrock%2Fa", "bedrock/a"),
            ("a%253A", "a%3A"),
            ("100%", "100%"),
            ("%zz%4", "%zz%4"),
            ("%+1", "%+1"),
            ("%C3%A9", "é"),
            ("", ""),
        ] {
            assert_eq!(decoded(text), expected, "{text}");
        }
    }
}
