//! The gateway's own account according to LiteLLM's environment: `environment_variables`, which come
//! before the process's environment, and the variables that LiteLLM uses for values an entry leaves
//! out. Variables that AWS's SDKs read from the process's environment are left to the SDKs.

use std::collections::BTreeMap;

use super::super::credentials::is_role;
use super::super::parsers;
use super::super::reader::ConfigReader;
use super::accounts::AccountVariables;
use super::files::Files;
use super::{Passed, params};
use bedrock::{AccountSecret, AccountSpec, Login, Role};
use routing::catalogue::is_region;

const SECTION: &str = "environment_variables";

/// Variables that select the account and its region; within each list, the first one set is used.
const REGIONS: [&str; 3] = ["AWS_REGION_NAME", "AWS_REGION", "AWS_DEFAULT_REGION"];
const ENDPOINTS: [&str; 3] =
    ["AWS_BEDROCK_RUNTIME_ENDPOINT", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "AWS_ENDPOINT_URL"];
const KEYS: [&str; 3] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];
const BEARER: &str = "AWS_BEARER_TOKEN_BEDROCK";
const PROFILE: &str = "AWS_PROFILE";

/// Variables of LiteLLM's own. AWS's SDKs do not read them.
const LITELLM_PROFILE: &str = "AWS_PROFILE_NAME";
const ROLE: &str = "AWS_ROLE_NAME";
const SESSION: &str = "AWS_SESSION_NAME";
const EXTERNAL_ID: &str = "AWS_EXTERNAL_ID";
const STS_ENDPOINT: &str = "AWS_STS_ENDPOINT";
const WEB_IDENTITY: &str = "AWS_WEB_IDENTITY_TOKEN";

/// The variable with which LiteLLM encrypts what it stores.
const SALT: &str = "LITELLM_SALT_KEY";
const NO_SALT: &str = "keys are stored under a pepper of Outcrop's own (OUTCROP_KEY_PEPPER)";

/// Variables of the file and of the process.
struct Variables<'r> {
    file: BTreeMap<String, (String, u64)>,
    reading: &'r mut ConfigReader,
}

/// Builds the gateway's own account from the variables of all files, and returns those that concern accounts of
/// callers.
pub(super) fn account(
    files: &mut Files,
    reading: &mut ConfigReader,
    passed: &mut Passed,
) -> (AccountSpec, AccountVariables) {
    let (mut file, mut callers) = (BTreeMap::new(), AccountVariables::default());
    files.each(reading, |root| {
        root.open(SECTION, |section| {
            for (key, node) in section.rest() {
                let path = section.path(&key.name);
                let read = section.read_node(&path, node, parsers::scalar);
                let Some((value, _)) = read else { continue };
                if is_known(&key.name) {
                    file.insert(key.name, (value, key.line));
                } else if AccountVariables::NAMES.contains(&key.name.as_str()) {
                    callers.told.insert(key.name, (value, key.line));
                } else if key.name == SALT {
                    passed.pointless.entry(NO_SALT).or_default().insert(path);
                } else {
                    passed.note(path, &[]);
                }
            }
        });
    });
    if reading.variable(SALT).is_some() {
        passed.pointless.entry(NO_SALT).or_default().insert(SALT.to_owned());
    }
    let mut variables = Variables { file, reading };
    let account = AccountSpec {
        region: variables.region(),
        endpoint_url: variables.endpoint(),
        login: variables.login(),
        role: variables.role(),
        ..AccountSpec::default()
    };
    (account, callers)
}

fn is_known(name: &str) -> bool {
    [REGIONS, ENDPOINTS, KEYS].concat().contains(&name)
        || [
            BEARER,
            PROFILE,
            LITELLM_PROFILE,
            ROLE,
            SESSION,
            EXTERNAL_ID,
            STS_ENDPOINT,
            WEB_IDENTITY,
        ]
        .contains(&name)
}

impl Variables<'_> {
    /// The value in the file. The AWS SDKs read these names from the process's environment themselves.
    fn of_file(&self, name: &str) -> Option<String> {
        self.file.get(name).map(|(value, _)| value.clone())
    }

    /// The value in the file, or else in the process's environment.
    fn either(&self, name: &str) -> Option<String> {
        self.of_file(name).or_else(|| self.reading.variable(name).map(ToOwned::to_owned))
    }

    fn region(&mut self) -> Option<String> {
        let (name, region) = REGIONS.iter().find_map(|name| Some((*name, self.of_file(name)?)))?;
        self.judged(name, region, is_region, "give a region such as us-east-1")
    }

    fn endpoint(&mut self) -> Option<String> {
        let (name, url) = ENDPOINTS.iter().find_map(|name| Some((*name, self.of_file(name)?)))?;
        self.judged(name, url, parsers::is_endpoint, "give a URL without user and query")
    }

    fn login(&self) -> Option<Login> {
        let [id, secret, token] = KEYS.map(|name| self.of_file(name));
        if let Some(key) = self.of_file(BEARER) {
            return Some(Login::Bearer(AccountSecret::new(key)));
        }
        let profile = self.either(LITELLM_PROFILE).or_else(|| self.of_file(PROFILE));
        match (profile, id, secret) {
            (Some(name), _, _) => Some(Login::Profile(name)),
            (None, Some(access_key_id), Some(secret)) => Some(Login::Keys {
                access_key_id,
                secret_access_key: AccountSecret::new(secret),
                session_token: token.map(AccountSecret::new),
            }),
            (None, ..) => None,
        }
    }

    fn role(&mut self) -> Option<Role> {
        let arn = self.either(ROLE)?;
        let arn = self.judged(ROLE, arn, is_role, "give a role's ARN")?;
        let token = self.either(WEB_IDENTITY);
        let token = match token {
            None => None,
            Some(told) => Some(params::web_token(self.reading, &told).or_else(|| {
                let line = self.file.get(WEB_IDENTITY).map_or(0, |(_, line)| *line);
                let message = format!("{WEB_IDENTITY} leads to no token");
                self.reading.complain(line, message, params::WEB_TOKENS);
                None
            })?),
        };
        Some(Role {
            arn,
            external_id: self.either(EXTERNAL_ID),
            session_name: self.either(SESSION),
            tags: Vec::new(),
            token,
            sts_endpoint: self.either(STS_ENDPOINT),
        })
    }

    fn judged(
        &mut self,
        name: &str,
        value: String,
        holds: impl FnOnce(&str) -> bool,
        remedy: &str,
    ) -> Option<String> {
        if holds(&value) {
            return Some(value);
        }
        let line = self.file.get(name).map_or(0, |(_, line)| *line);
        let message = format!("{name} cannot be {value:?}");
        self.reading.complain(line, message, remedy);
        None
    }
}

/// Gives an entry without a role the role that the environment sets for all entries.
pub(super) fn role_for(entry: AccountSpec, account: &AccountSpec) -> AccountSpec {
    let is_keyed = matches!(entry.login, Some(Login::Keys { .. } | Login::Profile(_)));
    if is_keyed && entry.role.is_none() {
        return AccountSpec { role: account.role.clone(), ..entry };
    }
    entry
}
