//! `litellm_params` of one entry for Bedrock, as a target.

use std::path::PathBuf;

use translate::Unsupported;

use super::super::credentials::is_role;
use super::super::fields::Fields;
use super::super::models::shaping;
use super::super::tree::{Key, Node};
use super::super::values;
use super::{Passed, keys, router};
use crate::bedrock::{AccountSecret, Login, Place, Role};
use crate::catalogue::region_of;
use crate::routing::{Guardrail, GuardrailMode, TargetSettings};

const ROUTES: [&str; 2] = ["bedrock/", "bedrock_converse/"];

/// Reads a target and its guardrail; `None` without a model.
pub(super) fn read(
    section: &mut Fields<'_>,
    path: &str,
    name: &str,
    params: Vec<(Key, Node)>,
    passed: &mut Passed,
) -> Option<(TargetSettings, Option<Guardrail>)> {
    let mut read = None;
    section.child(format!("{path}.litellm_params."), params, |section| {
        section.optional("custom_llm_provider", values::text);
        let Some(told) = section.optional("model", values::text) else { return };
        let model = model(&told, name);
        let place = place(section, &model);
        let weight = section.optional("weight", values::weight).unwrap_or_default();
        let guardrail = guardrail(section);
        let order = router::NO_ORDER;
        let mut target =
            TargetSettings { model, place, weight, order, ..TargetSettings::default() };
        shaping(section, &mut target);
        // What is false there has no say: either place can drop.
        let drops = section.optional("drop_params", values::boolean).filter(|drops| *drops);
        target.unsupported = drops.map(|_| Unsupported::Drop);
        passed.pointless("litellm_params", section, keys::SPREADING);
        passed.rest("litellm_params", section, keys::PARAMS);
        read = Some((target, guardrail));
    });
    read
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

/// The model as our names have it. Under the name `*` a caller's name may itself begin with the route.
fn model(told: &str, name: &str) -> String {
    let routed = ROUTES.iter().find_map(|route| told.strip_prefix(route));
    match routed {
        Some("*") if name == "*" => "*".to_owned(),
        Some(_) => told.to_owned(),
        None => format!("bedrock/{told}"),
    }
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
    match bearer {
        Some(key) => Place { region, endpoint, login: Some(Login::Bearer(key)), role: None },
        None => Place { region, endpoint, login, role },
    }
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
    let token_file = token.and_then(|token| token_file(section, line, &token));
    if token_file.is_some() && sts_endpoint.is_some() {
        let note = "has no effect on web identities: set AWS_ENDPOINT_URL_STS";
        section.reading.notes.push(format!("{} {note}", section.path("aws_sts_endpoint")));
    }
    let tags = Vec::new();
    Some(Role { arn: arn?, external_id, session_name, tags, token_file, sts_endpoint })
}

/// A token is read from a file, again and again: one that stands in the configuration would end soon.
fn token_file(section: &mut Fields<'_>, line: u64, told: &AccountSecret) -> Option<PathBuf> {
    let path = told.reveal();
    let file = path.strip_prefix("oidc/file/").map(PathBuf::from);
    let by_variable = |name| section.reading.variable(name).map(PathBuf::from);
    let file = file.or_else(|| path.strip_prefix("oidc/env_path/").and_then(by_variable));
    let file = file.or_else(|| path.starts_with('/').then(|| PathBuf::from(path)));
    if file.is_none() {
        let message = format!("{} names no file", section.path("aws_web_identity_token"));
        let remedy = "give oidc/file/PATH, oidc/env_path/NAME or an absolute path";
        section.reading.complain(line, message, remedy);
    }
    file
}

fn guardrail(section: &mut Fields<'_>) -> Option<Guardrail> {
    let path = section.path("guardrailConfig");
    let entries = section.map("guardrailConfig")?;
    let (mut id, mut version) = (None, None);
    section.child(format!("{path}."), entries, |section| {
        id = section.optional("guardrailIdentifier", values::guardrail_id);
        version = section.optional("guardrailVersion", values::guardrail_version);
        let rest = section.rest();
        let unheard: Vec<String> = rest.iter().map(|(key, _)| section.path(&key.name)).collect();
        section.reading.notes.extend(unheard.into_iter().map(|key| format!("{key} is ignored")));
    });
    Some(Guardrail { id: id?, version: version?, mode: GuardrailMode::Default })
}
