//! A target's region, endpoint and credentials. Credentials are given in one way only; a role can be
//! assumed with any of them except a bearer key.

use super::parsers;
use super::provenance::Show as _;
use super::section::Section;
use super::yaml_tree::Value;
use bedrock::{AccountSpec, Login, Role};

/// Reads the keys of an account out of a section that may hold others.
pub(super) fn place(section: &mut Section<'_>) -> AccountSpec {
    let region = section.optional("region", parsers::region);
    let endpoint_url = section.optional("endpoint_url", parsers::endpoint);
    let line = first_line(section);
    let role = role(section);
    let login = login(section, line);
    if role.is_some() && matches!(login, Some(Login::Bearer(_))) {
        let message = format!("{} with {}", section.path("role_arn"), section.path("bearer_key"));
        section.reading.complain(line, message, "a bearer key is used as it is: leave one out");
    }
    AccountSpec { region, endpoint_url, login, role, ..AccountSpec::default() }
}

const WAYS: [&str; 10] = [
    "profile",
    "access_key_id",
    "access_key_id_file",
    "secret_access_key",
    "secret_access_key_file",
    "session_token",
    "session_token_file",
    "bearer_key",
    "bearer_key_file",
    "role_arn",
];

fn first_line(section: &Section<'_>) -> u64 {
    WAYS.iter().filter_map(|name| section.line(name)).min().unwrap_or_default()
}

fn login(section: &mut Section<'_>, line: u64) -> Option<Login> {
    let profile = section.optional("profile", parsers::text);
    let id = section.optional("access_key_id", parsers::text);
    let secret = section.secret("secret_access_key", "secret_access_key_file");
    let session_token = section.secret("session_token", "session_token_file");
    let bearer = section.secret("bearer_key", "bearer_key_file");
    let keyed = id.is_some() || secret.is_some() || session_token.is_some();
    if usize::from(profile.is_some()) + usize::from(keyed) + usize::from(bearer.is_some()) > 1 {
        let path = section.path("");
        let message =
            format!("{} tells credentials in more than one way", path.trim_end_matches('.'));
        section.reading.complain(line, message, "keep one of profile, access key and bearer_key");
        return None;
    }
    match (profile, id, secret, bearer) {
        (Some(name), ..) => Some(Login::Profile(name)),
        (None, _, _, Some(key)) => Some(Login::Bearer(key)),
        (None, Some(access_key_id), Some(secret_access_key), None) => {
            Some(Login::Keys { access_key_id, secret_access_key, session_token })
        }
        (None, None, None, None) if session_token.is_none() => None,
        (None, ..) => {
            let message = format!("{} without its other half", section.path("access_key_id"));
            let remedy = "an access key is access_key_id and secret_access_key";
            section.reading.complain(line, message, remedy);
            None
        }
    }
}

fn role(section: &mut Section<'_>) -> Option<Role> {
    let line = ["external_id", "session_name", "session_tags"]
        .iter()
        .filter_map(|name| section.line(name))
        .min();
    let arn = section.optional("role_arn", |value| {
        let arn = parsers::text(value).ok().filter(|arn| is_role(arn));
        arn.ok_or("a role such as arn:aws:iam::123456789012:role/name")
    });
    let external_id = section.optional("external_id", parsers::text);
    let session_name = section.optional("session_name", parsers::text);
    let tags = tags(section);
    let Some(arn) = arn else {
        if let Some(line) = line.filter(|_| section.line("role_arn").is_none()) {
            let message = format!("{} is missing", section.path("role_arn"));
            let remedy = "external_id, session_name and session_tags belong to a role";
            section.reading.complain(line, message, remedy);
        }
        return None;
    };
    Some(Role { arn, external_id, session_name, tags, token: None, sts_endpoint: None })
}

/// `arn:{partition}:iam::{account}:role/{name}`.
pub(super) fn is_role(arn: &str) -> bool {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    matches!(parts.as_slice(), ["arn", _, "iam", "", _, resource] if resource.starts_with("role/"))
}

fn tags(section: &mut Section<'_>) -> Vec<(String, String)> {
    let prefix = section.path("session_tags");
    let mut tags = Vec::new();
    for (key, node) in section.map("session_tags").unwrap_or_default() {
        let path = format!("{prefix}.{}", key.name);
        let read = |value: &Value| parsers::text(value);
        if let Some((value, origin)) = section.read_node(&path, node, read) {
            section.reading.provenance.tell(&path, value.show(), origin);
            tags.push((key.name, value));
        }
    }
    tags
}
