//! `litellm_params` of one entry for Bedrock, as a target.

use std::path::PathBuf;

use translate::Unsupported;

use super::super::credentials::is_role;
use super::super::fields::Fields;
use super::super::reading::Reading;
use super::super::tree::{Key, Node, Value};
use super::super::values::{self, Expected};
use super::guardrails::{self, EntryGuardrail};
use super::model_spec::Spec;
use super::{Entry, Passed, keys, router};
use crate::bedrock::{FirstByte, Login, Place, Role};
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
pub(super) fn read(section: &mut Fields<'_>, entry: Entry<'_>, passed: &mut Passed) -> Deployment {
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
        let guardrail = guardrails::of_entry(section, passed);
        let order = router::NO_ORDER;
        let mut target =
            TargetSettings { model, place, weight, order, ..TargetSettings::default() };
        target.manner.base_model = base_model;
        target.order = section.optional("order", values::order).unwrap_or(target.order);
        target.rpm = section.optional("rpm", |value| none_if_zero(value, values::calls)).flatten();
        target.tpm = section.optional("tpm", |value| none_if_zero(value, values::tokens)).flatten();
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

/// `base_model` of `model_info`: whose behaviour to expect.
pub(super) fn base_model(
    section: &mut Fields<'_>,
    path: &str,
    information: Vec<(Key, Node)>,
    passed: &mut Passed,
) -> Option<String> {
    let mut base = None;
    section.child(format!("{path}.model_info."), information, |section| {
        base = section.optional("base_model", values::text);
        passed.rest("model_info", section, keys::INFORMATION);
    });
    base
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
    let token_file = token.and_then(|token| {
        let file = token_file(section.reading, token.reveal());
        if file.is_none() {
            let message = format!("{} names no file", section.path("aws_web_identity_token"));
            let remedy = "give oidc/file/PATH, oidc/env_path/NAME or an absolute path";
            section.reading.complain(line, message, remedy);
        }
        file
    });
    if token_file.is_some() && sts_endpoint.is_some() {
        let note = "has no effect on web identities: set AWS_ENDPOINT_URL_STS";
        section.reading.notes.push(format!("{} {note}", section.path("aws_sts_endpoint")));
    }
    let tags = Vec::new();
    Some(Role { arn: arn?, external_id, session_name, tags, token_file, sts_endpoint })
}

/// The file that a web identity's token is read from, by the words LiteLLM has for it. A token that
/// stands in the configuration, or in a variable, would end soon: it is read again and again.
pub(super) fn token_file(reading: &Reading, told: &str) -> Option<PathBuf> {
    let of_variable = |name| reading.variable(name).map(PathBuf::from);
    let file = told.strip_prefix("oidc/file/").map(PathBuf::from);
    let file = file.or_else(|| told.strip_prefix("oidc/env_path/").and_then(of_variable));
    file.or_else(|| told.starts_with('/').then(|| PathBuf::from(told)))
}
