//! `litellm_params` of one entry for Bedrock, as a target.

use translate::Unsupported;

use super::super::credentials::is_role;
use super::super::fields::Fields;
use super::super::reading::Reading;
use super::super::tree::{Key, Node, Value};
use super::super::values::{self, Expected};
use super::guardrails::{self, EntryGuardrail, Listed};
use super::model_spec::Spec;
use super::{Entry, Passed, defaults, keys, router};
use crate::bedrock::{AccountSecret, FirstByte, Login, Place, Role, WebToken};
use crate::catalogue::region_of;
use crate::routing::TargetSettings;

/// What an entry describes.
pub(super) enum Deployment {
    /// A target, and the guardrail its calls carry.
    Target(Box<TargetSettings>, EntryGuardrail),
    /// A surface of AWS that is not served.
    Elsewhere(String),
    /// No model.
    NoModel,
}

/// Reads `litellm_params` of an entry.
pub(super) fn read(
    section: &mut Fields<'_>,
    entry: Entry<'_>,
    listed: &Listed,
    passed: &mut Passed,
) -> Deployment {
    let Entry { path, name: model_name, params, .. } = entry;
    let mut read = Deployment::NoModel;
    section.child(format!("{path}.litellm_params."), params, |section| {
        section.optional("custom_llm_provider", values::text);
        let Some(told) = section.optional("model", values::text) else { return };
        let (name, family) = match Spec::parse(&told, model_name) {
            Spec::Model { name, base_model } => (name, base_model),
            Spec::Elsewhere(surface) => {
                drop(section.rest());
                read = Deployment::Elsewhere(surface);
                return;
            }
        };
        // An inference profile or provisioned throughput: `model` then says whose behaviour to expect.
        let called = section.optional("model_id", values::text);
        let called = called.map(|id| format!("bedrock/{id}"));
        let base_model = family.or_else(|| called.is_some().then(|| name.clone()));
        let place = place(section, called.as_ref().unwrap_or(&name));
        let model = called.unwrap_or(name);
        let weight = section.optional("weight", values::weight).unwrap_or_default();
        let guardrail = guardrails::of_entry(section, listed, passed);
        let order = router::NO_ORDER;
        let mut target =
            TargetSettings { model, place, weight, order, ..TargetSettings::default() };
        target.manner.base_model = base_model;
        target.order = section.optional("order", values::order).unwrap_or(target.order);
        target.rpm = section.optional("rpm", |value| none_if_zero(value, values::calls)).flatten();
        target.tpm = section.optional("tpm", |value| none_if_zero(value, values::tokens)).flatten();
        target.tags = section.optional("tags", values::names).unwrap_or_default();
        target.params = defaults::read(section, passed);
        // What is false there has no say: either place can drop.
        let drops = section.optional("drop_params", values::boolean).filter(|drops| *drops);
        target.unsupported = drops.map(|_| Unsupported::Drop);
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
}

/// Reads `model_info` of an entry.
pub(super) fn information(
    section: &mut Fields<'_>,
    path: &str,
    information: Vec<(Key, Node)>,
    passed: &mut Passed,
) -> Information {
    let mut read = Information::default();
    section.child(format!("{path}.model_info."), information, |section| {
        read.base_model = section.optional("base_model", values::text);
        read.filters = section.optional("enable_tag_filtering", values::boolean);
        passed.rest("model_info", section, keys::INFORMATION);
    });
    read
}

fn place(section: &mut Fields<'_>, model: &str) -> Place {
    let region = section.optional("aws_region_name", values::region);
    let region = region.or_else(|| region_of(model).map(ToOwned::to_owned));
    let endpoint = section.optional("aws_bedrock_runtime_endpoint", values::endpoint);
    let base = section.optional("api_base", values::endpoint);
    let role = role(section);
    let bearer = section.optional("api_key", values::secret);
    let login = login(section);
    let endpoint = endpoint.or(base);
    let (login, role) = match bearer {
        Some(key) => (Some(Login::Bearer(key)), None),
        None => (login, role),
    };
    let timeout = section.optional("timeout", values::lenient_limit).flatten();
    let stream = section.optional("stream_timeout", values::lenient_limit).flatten();
    let first_byte = FirstByte { unary: timeout, stream: stream.or(timeout) };
    Place { region, endpoint, login, role, first_byte }
}

/// In LiteLLM's order: a profile before keys.
fn login(section: &mut Fields<'_>) -> Option<Login> {
    let profile = section.optional("aws_profile_name", values::text);
    let id = section.optional("aws_access_key_id", values::text);
    let secret = section.optional("aws_secret_access_key", values::secret);
    let session_token = section.optional("aws_session_token", values::secret);
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

fn role(section: &mut Fields<'_>) -> Option<Role> {
    let arn = section.optional("aws_role_name", |value| {
        let arn = values::text(value).ok().filter(|arn| is_role(arn));
        arn.ok_or("a role such as arn:aws:iam::123456789012:role/name")
    });
    let session_name = section.optional("aws_session_name", values::text);
    let external_id = section.optional("aws_external_id", values::text);
    let line = section.line("aws_web_identity_token").unwrap_or_default();
    let token = section.optional("aws_web_identity_token", values::secret);
    let sts_endpoint = section.optional("aws_sts_endpoint", values::endpoint);
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
fn session_tags(section: &mut Fields<'_>) -> Vec<(String, String)> {
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
            let name = section.optional("Key", values::text);
            let value = section.optional("Value", values::scalar);
            tags.extend(name.zip(value));
        });
    }
    tags
}

/// Ways to tell a web identity's token that are understood.
pub(super) const WEB_TOKENS: &str = "give oidc/file/PATH or an absolute path, oidc/env_path/NAME with the name of a variable that holds a path, or oidc/env/NAME with one that holds the token";

/// A web identity's token, by the words LiteLLM has for it. `None`: it cannot be known, and to go without it
/// would be to go as somebody else. A token written down as it is would end soon, so none is taken.
pub(super) fn web_token(reading: &Reading, told: &str) -> Option<WebToken> {
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
