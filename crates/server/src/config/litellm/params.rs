//! `litellm_params` of one entry for Bedrock, as a target.

use std::sync::Arc;

use access::spend::Price;
use translate::Unsupported;

use super::super::credentials::is_role;
use super::super::parsers::{self, Expected};
use super::super::reader::ConfigReader;
use super::super::section::Section;
use super::super::yaml_tree::{Key, Node, Value};
use super::accounts::RatesOnNames;
use super::guardrails::{self, EntryGuardrail, Listed};
use super::model_spec::Spec;
use super::{Entry, Passed, defaults, keys, prices, router};
use bedrock::{AccountSecret, AccountSpec, FirstByte, Login, Role, WebToken};
use routing::TargetSettings;
use routing::catalogue::region_of;

/// The result of reading an entry.
pub(super) enum Deployment {
    /// A target, and the guardrail of its calls.
    Target(Box<TargetSettings>, EntryGuardrail),
    /// An AWS service that is not served.
    Elsewhere(String),
    /// The entry names no model.
    NoModel,
}

/// Reads `litellm_params` of an entry.
pub(super) fn read(
    section: &mut Section<'_>,
    entry: Entry<'_>,
    listed: &Listed,
    (rates, passed): (&mut RatesOnNames, &mut Passed),
) -> Deployment {
    let Entry { path, name: model_name, params, .. } = entry;
    let mut read = Deployment::NoModel;
    section.child(format!("{path}.litellm_params."), params, |section| {
        section.optional("custom_llm_provider", parsers::text);
        let Some(told) = section.optional("model", parsers::text) else { return };
        let (name, family) = match Spec::parse(&told, model_name) {
            Spec::Model { name, base_model } => (name, base_model),
            Spec::Elsewhere(surface) => {
                drop(section.rest());
                read = Deployment::Elsewhere(surface);
                return;
            }
        };
        // `model_id` is an inference profile or provisioned throughput; `model` then names the model
        // whose behaviour is expected.
        let called = section.optional("model_id", parsers::text);
        let called = called.map(|id| format!("bedrock/{id}"));
        let base_model = family.or_else(|| called.is_some().then(|| name.clone()));
        let place = place(section, called.as_ref().unwrap_or(&name));
        let model = called.unwrap_or(name);
        let weight = section.optional("weight", parsers::weight).unwrap_or_default();
        let guardrail = guardrails::of_entry(section, listed, passed);
        let order = router::NO_ORDER;
        let mut target =
            TargetSettings { model, place, weight, order, ..TargetSettings::default() };
        target.overrides.base_model = base_model;
        target.order = section.optional("order", parsers::order).unwrap_or(target.order);
        target.rpm = section.optional("rpm", |value| none_if_zero(value, parsers::calls)).flatten();
        target.tpm =
            section.optional("tpm", |value| none_if_zero(value, parsers::tokens)).flatten();
        target.tags = section.optional("tags", parsers::names).unwrap_or_default();
        target.params = defaults::read(section, passed);
        // What is false there has no say: either place can drop.
        let drops = section.optional("drop_params", parsers::boolean).filter(|drops| *drops);
        target.unsupported = drops.map(|_| Unsupported::Drop);
        target.overrides.price = prices::read(section);
        rates.read(section, model_name);
        passed.pointless("litellm_params", section, keys::SPREADING);
        passed.rest("litellm_params", section, keys::PARAMS);
        read = Deployment::Target(Box::new(target), guardrail);
    });
    read
}

/// Zero sets no limit, as in LiteLLM.
fn none_if_zero<T>(
    value: &Value,
    read: impl Fn(&Value) -> Result<T, Expected>,
) -> Result<Option<T>, Expected> {
    match value {
        Value::Integer(0) => Ok(None),
        value => read(value).map(Some),
    }
}

/// What `model_info` of an entry says.
#[derive(Debug, Default)]
pub(super) struct Information {
    /// Whose behaviour to expect.
    pub(super) base_model: Option<String>,
    /// Whether tags of requests choose among the entries of the name.
    pub(super) filters: Option<bool>,
    /// The price of its calls.
    pub(super) price: Option<Arc<Price>>,
}

/// Reads `model_info` of an entry.
pub(super) fn information(
    section: &mut Section<'_>,
    path: &str,
    information: Vec<(Key, Node)>,
    passed: &mut Passed,
) -> Information {
    let mut read = Information::default();
    section.child(format!("{path}.model_info."), information, |section| {
        read.base_model = section.optional("base_model", parsers::text);
        read.filters = section.optional("enable_tag_filtering", parsers::boolean);
        read.price = prices::read(section);
        passed.rest("model_info", section, keys::INFORMATION);
    });
    read
}

fn place(section: &mut Section<'_>, model: &str) -> AccountSpec {
    let region = section.optional("aws_region_name", parsers::region);
    let region = region.or_else(|| region_of(model).map(ToOwned::to_owned));
    let endpoint = section.optional("aws_bedrock_runtime_endpoint", parsers::endpoint);
    let base = section.optional("api_base", parsers::endpoint);
    let role = role(section);
    let bearer = section.optional("api_key", parsers::secret);
    let login = login(section);
    let endpoint = endpoint.or(base);
    let (login, role) = match bearer {
        Some(key) => (Some(Login::Bearer(key)), None),
        None => (login, role),
    };
    let timeout = section.optional("timeout", parsers::lenient_limit).flatten();
    let stream = section.optional("stream_timeout", parsers::lenient_limit).flatten();
    let first_byte = FirstByte { unary: timeout, stream: stream.or(timeout) };
    AccountSpec { region, endpoint_url: endpoint, login, role, first_byte }
}

/// Selects credentials in LiteLLM's order: a profile before keys.
fn login(section: &mut Section<'_>) -> Option<Login> {
    let profile = section.optional("aws_profile_name", parsers::text);
    let id = section.optional("aws_access_key_id", parsers::text);
    let secret = section.optional("aws_secret_access_key", parsers::secret);
    let session_token = section.optional("aws_session_token", parsers::secret);
    match (profile, id, secret) {
        (Some(name), _, _) => Some(Login::Profile(name)),
        (None, Some(access_key_id), Some(secret_access_key)) => {
            Some(Login::Keys { access_key_id, secret_access_key, session_token })
        }
        (None, None, None) => None,
        (None, ..) => {
            let note = "half an access key counts as none: the gateway's own credentials are used";
            let note = format!("{}: {note}", section.path("aws_access_key_id"));
            section.reading.notes.push(note);
            None
        }
    }
}

fn role(section: &mut Section<'_>) -> Option<Role> {
    let arn = section.optional("aws_role_name", |value| {
        let arn = parsers::text(value).ok().filter(|arn| is_role(arn));
        arn.ok_or("a role such as arn:aws:iam::123456789012:role/name")
    });
    let session_name = section.optional("aws_session_name", parsers::text);
    let external_id = section.optional("aws_external_id", parsers::text);
    let line = section.line("aws_web_identity_token").unwrap_or_default();
    let token = section.optional("aws_web_identity_token", parsers::secret);
    let sts_endpoint = section.optional("aws_sts_endpoint", parsers::endpoint);
    let token = token.and_then(|told| {
        let token = web_token(section.reading, told.reveal());
        if token.is_none() {
            let message = format!("{} leads to no token", section.path("aws_web_identity_token"));
            section.reading.complain(line, message, WEB_TOKENS);
        }
        token
    });
    let tags = session_tags(section);
    Some(Role { arn: arn?, external_id, session_name, tags, token, sts_endpoint })
}

/// Session tags, each with a `Key` and a `Value`.
fn session_tags(section: &mut Section<'_>) -> Vec<(String, String)> {
    let path = section.path("aws_session_tags");
    let Some((key, node)) = section.take("aws_session_tags") else { return Vec::new() };
    let Value::List(items) = node.value else {
        let message = format!("{path} is no list");
        section.reading.complain(key.line, message, "give each tag as { Key: k, Value: v }");
        return Vec::new();
    };
    let mut tags = Vec::new();
    for (at, item) in items.into_iter().enumerate() {
        let path = format!("{path}[{at}]");
        let Some(entries) = section.entries_of(&path, item) else { continue };
        section.child(format!("{path}."), entries, |section| {
            let name = section.optional("Key", parsers::text);
            let value = section.optional("Value", parsers::scalar);
            tags.extend(name.zip(value));
        });
    }
    tags
}

/// Ways to tell a web identity's token that are understood.
pub(super) const WEB_TOKENS: &str = "give oidc/file/PATH or an absolute path, oidc/env_path/NAME with the name of a variable that holds a path, or oidc/env/NAME with one that holds the token";

/// A web identity's token, by the words LiteLLM has for it. `None`: it cannot be known, and to go without it
/// would be to go as somebody else. A token written down as it is would end soon, so none is taken.
pub(super) fn web_token(reading: &ConfigReader, told: &str) -> Option<WebToken> {
    let variable = |name: &str| reading.variable(name).map(ToOwned::to_owned);
    let token = |name: &str| variable(name).map(AccountSecret::new).map(WebToken::Told);
    let file = |path: String| Some(WebToken::File(path.into()));
    let Some(told) = told.strip_prefix("oidc/") else {
        return told.starts_with('/').then(|| told.to_owned()).and_then(file);
    };
    match told.split_once('/')? {
        ("file", path) => file(path.to_owned()),
        ("env_path", name) => variable(name).and_then(file),
        ("env", name) => token(name),
        ("azure", _) => variable("AZURE_FEDERATED_TOKEN_FILE").and_then(file),
        ("circleci", _) => token("CIRCLE_OIDC_TOKEN"),
        ("circleci_v2", _) => token("CIRCLE_OIDC_TOKEN_V2"),
        _ => None,
    }
}
