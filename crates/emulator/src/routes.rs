//! Maps an HTTP request to its operation: the single table of all operations of this Bedrock.

mod admin;
mod agents;
mod control;
mod converse;
mod guardrails;
mod invoke;
pub(crate) mod jobs;
mod prompts;
mod retrieve;
mod s3;
mod scripted;
mod surfaces;

pub(crate) use s3::now;

use std::os::fd::OwnedFd;

use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    auth::{self, Caller},
    delivery::{self, Act, Connection, Reply},
    error::Refusal,
    jobs::Jobs,
    journal::{Call, Journal},
    model::{
        PromptCache, Remembered,
        seal::{Short, short},
    },
    models::Models,
    objects::Objects,
    options::Options,
    script::Script,
    sigv4::Signed,
    validate::Mode,
};

use surfaces::Place;

/// State shared by the handlers of one emulator.
pub(crate) struct State {
    pub(crate) options: Options,
    pub(crate) models: Models,
    pub(crate) script: Script,
    pub(crate) journal: Journal,
    pub(crate) cache: PromptCache,
    pub(crate) remembered: Remembered,
    pub(crate) objects: Objects,
    pub(crate) jobs: Jobs,
}

/// Names in the scope of signatures that a path accepts.
const BEDROCK: &[&str] = &["bedrock"];
const MANTLE: &[&str] = &["bedrock-mantle"];
const EITHER: &[&str] = &["bedrock", "bedrock-mantle"];

/// A request that has been read and authenticated.
pub(crate) struct Request<'a> {
    caller: Caller,
    query: &'a str,
    body: &'a Bytes,
}

/// The resource of a path.
#[derive(Debug, PartialEq, Eq)]
enum Resource {
    Model { id: String, operation: String },
    Guardrail { id: String, version: String },
    GuardrailChecks,
    FoundationModels,
    FoundationModel(String),
    InferenceProfiles,
    InferenceProfile(String),
    KnowledgeBase(String),
    StoredPrompt(String),
    Alias(agents::Alias),
    Objects,
    Jobs,
    Job { id: String, action: JobAction },
    Surface(Place),
    SurfaceModels,
    Unknown,
}

/// The operation on a batch job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum JobAction {
    Create,
    Describe,
    Stop,
}

impl State {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            models: Models::load(),
            script: Script::default(),
            journal: Journal::new(options.journal_size),
            cache: PromptCache::default(),
            remembered: Remembered::default(),
            objects: Objects::default(),
            jobs: Jobs::default(),
            options,
        }
    }
}

/// Answers any request.
pub(crate) async fn dispatch(
    request: HttpRequest,
    body: Bytes,
    state: web::Data<State>,
) -> HttpResponse {
    let (method, path) = (request.method().as_str(), request.uri().path());
    if let Some(resource) = path.strip_prefix("/_emulator/") {
        return admin::answer(&state, method, resource, &body);
    }
    let headers: Vec<(String, String)> = request
        .headers()
        .iter()
        .map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        })
        .collect();
    let resource = match Resource::parse(method, path) {
        Resource::Unknown if s3::is_for(&headers) => Resource::Objects,
        resource => resource,
    };
    let ticket = state.journal.open(record(&request, &resource, &headers, &body));
    let reply = answer(&state, &request, &resource, &headers, &body)
        .unwrap_or_else(Refusal::reply)
        .with_header("x-amzn-RequestId", Uuid::now_v7().to_string());
    let resets = reply.body.contains(&Act::Reset);
    let connection = request.conn_data::<Connection>().filter(|_| resets);
    let socket: Option<OwnedFd> = connection.and_then(|connection| connection.0.try_clone().ok());
    delivery::perform(reply, ticket, socket).await
}

fn answer(
    state: &web::Data<State>,
    request: &HttpRequest,
    resource: &Resource,
    headers: &[(String, String)],
    body: &Bytes,
) -> Result<Reply, Refusal> {
    let query = request.uri().query().unwrap_or_default();
    if *resource == Resource::Unknown {
        return Ok(unknown_operation());
    }
    if *resource == Resource::Objects {
        return Ok(s3::answer(state, request, headers, body));
    }
    let services = match resource {
        Resource::Surface(place) if place.path.starts_with("/v1") => MANTLE,
        Resource::SurfaceModels => MANTLE,
        Resource::Surface(_) => EITHER,
        _ => BEDROCK,
    };
    let caller = auth::authenticate(
        &state.options,
        &mut Signed {
            method: request.method().as_str(),
            path: request.uri().path(),
            query,
            headers,
            body,
            timestamp: "",
            services,
        },
    )?;
    let request = Request { caller, query, body };
    match resource {
        Resource::Model { id, operation } => model_operation(state, &request, id, operation),
        Resource::Guardrail { id, version } => guardrails::apply(state, &request, id, version),
        Resource::GuardrailChecks => guardrails::checks(state, &request),
        Resource::FoundationModels => Ok(control::foundation_models(state, &request)),
        Resource::FoundationModel(id) => control::foundation_model(state, &request, id),
        Resource::InferenceProfiles => control::inference_profiles(state, &request),
        Resource::InferenceProfile(id) => control::inference_profile(state, &request, id),
        Resource::KnowledgeBase(id) => retrieve::answer(state, &request, id),
        Resource::StoredPrompt(id) => prompts::describe(&request, id),
        Resource::Alias(alias) => agents::answer(state, &request, alias),
        Resource::Jobs => jobs::list(state, &request),
        Resource::Job { id, action } => match action {
            JobAction::Create => jobs::create(state, &request),
            JobAction::Describe => jobs::describe(state, id),
            JobAction::Stop => jobs::stop(state, id),
        },
        Resource::Surface(place) => Ok(surfaces::answer(state, &request, *place)),
        Resource::SurfaceModels => Ok(surfaces::list(&state.models)),
        Resource::Objects | Resource::Unknown => Ok(unknown_operation()),
    }
}

fn model_operation(
    state: &State,
    request: &Request<'_>,
    id: &str,
    operation: &str,
) -> Result<Reply, Refusal> {
    match operation {
        "converse" => converse::answer(state, request, id, Mode::Unary),
        "converse-stream" => converse::answer(state, request, id, Mode::Stream),
        "invoke" => invoke::answer(state, request, id, Mode::Unary),
        "invoke-with-response-stream" => invoke::answer(state, request, id, Mode::Stream),
        "count-tokens" => converse::count_tokens(state, request, id),
        _ => Ok(unknown_operation()),
    }
}

impl Resource {
    /// Parses a path as sent; ids are decoded once, and may contain raw colons and slashes.
    fn parse(method: &str, path: &str) -> Self {
        let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        if let ("POST", Some(place)) = (method, Place::of(path)) {
            return Self::Surface(place);
        }
        if method == "POST" && path == "/guardrail-checks/invoke" {
            return Self::GuardrailChecks;
        }
        let job = path.strip_prefix("/model-invocation-job").and_then(|rest| match rest {
            "" => Some((String::new(), JobAction::Create)),
            rest => {
                let id = rest.strip_prefix('/')?;
                let stopped = id.strip_suffix("/stop").map(|id| (decode(id), JobAction::Stop));
                stopped.or_else(|| Some((decode(id), JobAction::Describe)))
            }
        });
        if let Some((id, action)) = job {
            let of_method = if action == JobAction::Describe { "GET" } else { "POST" };
            return if method == of_method { Self::Job { id, action } } else { Self::Unknown };
        }
        let guardrail = path
            .strip_prefix("/guardrail/")
            .and_then(|rest| rest.strip_suffix("/apply")?.rsplit_once("/version/"));
        if let ("POST", Some((id, version))) = (method, guardrail) {
            return Self::Guardrail { id: decode(id), version: decode(version) };
        }
        let knowledge_base =
            path.strip_prefix("/knowledgebases/").and_then(|rest| rest.strip_suffix("/retrieve"));
        if let ("POST", Some(id)) = (method, knowledge_base) {
            return Self::KnowledgeBase(decode(id));
        }
        if let ("POST", Some(alias)) = (method, agents::Alias::of(path)) {
            return Self::Alias(alias);
        }
        let operation = path.strip_prefix("/model/").and_then(|rest| rest.rsplit_once('/'));
        match (method, operation) {
            ("POST", Some((id, operation))) if !id.is_empty() => {
                return Self::Model { id: decode(id), operation: operation.to_owned() };
            }
            ("GET", _) => {}
            _ => return Self::Unknown,
        }
        let path = path.trim_end_matches('/');
        let below = |root: &str| {
            path.strip_prefix(root).and_then(|rest| rest.strip_prefix('/')).map(decode)
        };
        match path {
            "/foundation-models" => Self::FoundationModels,
            "/inference-profiles" => Self::InferenceProfiles,
            "/model-invocation-jobs" => Self::Jobs,
            "/v1/models" => Self::SurfaceModels,
            _ => below("/foundation-models")
                .map(Self::FoundationModel)
                .or_else(|| below("/inference-profiles").map(Self::InferenceProfile))
                .or_else(|| below("/prompts").map(Self::StoredPrompt))
                .unwrap_or(Self::Unknown),
        }
    }
}

impl Request<'_> {
    /// Body as JSON; an empty body counts as an empty object.
    fn json(&self) -> Result<Value, Refusal> {
        if self.body.is_empty() {
            return Ok(json!({}));
        }
        serde_json::from_slice(self.body).map_err(|_| {
            Refusal::validation(
                "Malformed input request, please reformat your input and try again.",
            )
        })
    }

    fn account(&self) -> Short {
        short(self.caller.account.as_bytes())
    }

    fn region(&self) -> &str {
        self.caller.region.as_deref().unwrap_or("us-east-1")
    }

    /// The first value of a query parameter, decoded.
    fn parameter(&self, wanted: &str) -> Option<String> {
        let mut pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        let (_, value) = pairs.find(|(name, _)| *name == wanted)?;
        Some(percent_decode_str(value).decode_utf8_lossy().into_owned())
    }
}

fn record(
    request: &HttpRequest,
    resource: &Resource,
    headers: &[(String, String)],
    body: &Bytes,
) -> Call {
    let path = request.uri().path_and_query().map_or("", |path| path.as_str());
    let mut call = Call::arrived(request.method().as_str(), path);
    match resource {
        Resource::Model { id, operation } => {
            call.model_id = Some(id.clone());
            call.operation.clone_from(operation);
        }
        other => call.operation = other.name().to_owned(),
    }
    for (name, value) in headers {
        let value = match name.as_str() {
            // Keys and signatures do not belong in a journal.
            "authorization" => value.split(' ').next().unwrap_or_default().to_owned(),
            "x-amz-security-token" => "present".to_owned(),
            _ => value.clone(),
        };
        call.headers.insert(name.clone(), value);
    }
    // Files are too long for a journal.
    if *resource != Resource::Objects {
        call.body = serde_json::from_slice(body).unwrap_or_else(|_| match body.is_empty() {
            true => Value::Null,
            false => Value::from(String::from_utf8_lossy(body).into_owned()),
        });
    }
    call
}

impl Resource {
    fn name(&self) -> &'static str {
        match self {
            Self::Model { .. } => "model",
            Self::Guardrail { .. } => "apply-guardrail",
            Self::GuardrailChecks => "guardrail-checks",
            Self::FoundationModels => "foundation-models",
            Self::FoundationModel(_) => "foundation-model",
            Self::InferenceProfiles => "inference-profiles",
            Self::InferenceProfile(_) => "inference-profile",
            Self::KnowledgeBase(_) => "retrieve",
            Self::Alias(alias) => alias.operation(),
            Self::Objects => "s3",
            Self::Jobs => "list-jobs",
            Self::Job { action, .. } => match action {
                JobAction::Create => "create-job",
                JobAction::Describe => "describe-job",
                JobAction::Stop => "stop-job",
            },
            Self::Surface(place) => place.path,
            Self::SurfaceModels => "/v1/models",
            Self::StoredPrompt(_) => "prompt",
            Self::Unknown => "unknown",
        }
    }
}

fn unknown_operation() -> Reply {
    let kind = "com.amazon.coral.service#UnknownOperationException";
    let mut reply = Reply::json(404, &json!({ "Output": { "__type": kind }, "Version": "1.0" }));
    reply.headers.push((
        "x-amzn-ErrorType".into(),
        "UnknownOperationException:http://internal.amazon.com/coral/com.amazon.coral.service/"
            .into(),
    ));
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_decoded_once_however_they_are_sent() {
        let model = |id: &str, operation: &str| Resource::Model {
            id: id.into(),
            operation: operation.into(),
        };
        for (path, expected) in [
            ("/model/us.a.b-v1%3A0/converse", model("us.a.b-v1:0", "converse")),
            ("/model/us.a.b-v1:0/converse-stream", model("us.a.b-v1:0", "converse-stream")),
            (
                "/model/arn%3Aaws%3Abedrock%3A%3A%3Aprompt%2Fx/converse",
                model("arn:aws:bedrock:::prompt/x", "converse"),
            ),
            (
                "/model/arn:aws:bedrock:::prompt/x/invoke",
                model("arn:aws:bedrock:::prompt/x", "invoke"),
            ),
            ("/model/a%253A0/invoke", model("a%3A0", "invoke")),
            ("/model/converse", Resource::Unknown),
            ("/nowhere", Resource::Unknown),
        ] {
            assert_eq!(Resource::parse("POST", path), expected, "{path}");
        }
        assert_eq!(Resource::parse("GET", "/inference-profiles"), Resource::InferenceProfiles);
        assert_eq!(
            Resource::parse("GET", "/foundation-models/a%3A0"),
            Resource::FoundationModel("a:0".into())
        );
    }
}
