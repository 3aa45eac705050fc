//! Matches a caller's path with the operations table. Segments are split before decoding, decoded once,
//! checked, and encoded again: AWS never receives raw parts of the caller's path.

use super::table::{OperationRow, rows};
use bedrock::{Service, encode_segment};

/// Path prefix of the native API.
pub(crate) const MOUNT: &str = "/bedrock";

/// First segment of the paths of bedrock-mantle, which AWS's own paths do not have.
const MANTLE: &str = "/mantle";
/// Beginning of the header that names an operation of bedrock-data-automation-runtime.
pub(crate) const TARGET_PREFIX: &str = "AmazonBedrockKeystoneRuntimeService.";
/// Service of the ARNs of bedrock-agentcore-control.
const AGENTCORE: &str = "bedrock-agentcore";

/// Longest path or query accepted, in bytes.
const LONGEST: usize = 8 * 1024;

/// A path of a known operation.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Matched {
    /// The operation.
    pub(crate) row: &'static OperationRow,
    /// Decoded values of its variable segments, in order.
    values: Vec<String>,
}

/// Reasons for refusing a path.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PathError {
    /// No operation has this method and path.
    #[error("this operation is not one of Bedrock's that pass through here")]
    Unknown,
    /// Dots, NUL, double encoding and the like, which no SDK sends.
    #[error("the path is malformed")]
    Malformed,
}

/// First segment of the paths of models.
const MODELS: &str = "model";
/// A model's name in a template.
const MODEL: &str = "{model}";

impl Matched {
    fn of(row: &'static OperationRow, segments: Vec<String>) -> Self {
        let template = row.template.split('/').skip(1);
        let values = template.zip(segments).filter(|(segment, _)| segment.starts_with('{'));
        Self { row, values: values.map(|(_, value)| value).collect() }
    }

    /// The model id as the caller wrote it, for operations of a model.
    pub(crate) fn model(&self) -> Option<&str> {
        let at = self.variables().position(|segment| segment == "{model}")?;
        self.values.get(at).map(String::as_str)
    }

    /// The path for AWS, with `model` in place of the caller's name.
    pub(crate) fn upstream(&self, model: Option<&str>) -> String {
        let mut path = String::with_capacity(128);
        let mut values = self.values.iter();
        for segment in self.row.template.split('/').skip(1) {
            path.push('/');
            match segment {
                "{model}" => {
                    let own = values.next();
                    encode_segment(
                        model.or(own.map(String::as_str)).unwrap_or_default(),
                        &mut path,
                    );
                }
                "{}" => encode_segment(values.next().map_or("", String::as_str), &mut path),
                literal => path.push_str(literal),
            }
        }
        if self.row.service == Service::Mantle && path.starts_with(MANTLE) {
            path.drain(..MANTLE.len());
        }
        path
    }

    fn variables(&self) -> impl Iterator<Item = &'static str> {
        self.row.template.split('/').filter(|segment| segment.starts_with('{'))
    }
}

/// Finds the operation of a raw path below the mount, among the default ones and those of the services
/// `added`.
pub(crate) fn find(method: &str, raw: &str, added: &[Service]) -> Result<Matched, PathError> {
    if raw.len() > LONGEST {
        return Err(PathError::Malformed);
    }
    let path = raw.strip_prefix('/').ok_or(PathError::Malformed)?;
    let given: Vec<&str> = path.strip_suffix('/').unwrap_or(path).split('/').collect();
    let segments = given.iter().map(|raw| decode(raw)).collect::<Result<Vec<_>, _>>()?;
    // Services have paths in common, and a resource's name tells whose it is.
    let owner = match segments.iter().any(|segment| is_agentcores(segment)) {
        true => Some(Service::AgentCoreControl),
        false => None,
    };
    if let Some(row) = fitting(method, raw, &given, (added, owner)) {
        return Ok(Matched::of(row, segments));
    }
    let (given, segments) = with_one_model(&given, &segments).ok_or(PathError::Unknown)?;
    let row =
        fitting(method, raw, &given, (added, owner)).filter(|row| row.template.contains(MODEL));
    row.map(|row| Matched::of(row, segments)).ok_or(PathError::Unknown)
}

/// Finds the operation that a header names at the path `/`.
pub(crate) fn find_target(target: &str, added: &[Service]) -> Result<Matched, PathError> {
    let operation = target.strip_prefix(TARGET_PREFIX).ok_or(PathError::Unknown)?;
    let is_named = |row: &&OperationRow| {
        row.service == Service::DataAutomationRuntime && row.operation == operation
    };
    let row = rows(added).find(is_named).ok_or(PathError::Unknown)?;
    Ok(Matched::of(row, Vec::new()))
}

/// Whether a segment is the ARN of a resource of bedrock-agentcore.
fn is_agentcores(segment: &str) -> bool {
    let mut parts = segment.split(':');
    parts.next() == Some("arn") && parts.nth(1) == Some(AGENTCORE)
}

/// The operation that a path of these segments names; `owner` is the service that is preferred.
fn fitting(
    method: &str,
    raw: &str,
    given: &[&str],
    (added, owner): (&[Service], Option<Service>),
) -> Option<&'static OperationRow> {
    let fitting = rows(added).filter(|row| {
        let template = row.template.strip_suffix('/').unwrap_or(row.template);
        row.method == method && fits(template, given)
    });
    // The trailing slash is optional, unless two operations differ only by it.
    fitting.min_by_key(|row| {
        let is_others = owner.is_some_and(|owner| row.service != owner);
        (row.template.ends_with('/') != raw.ends_with('/'), is_others)
    })
}

/// The same path where all between `model` and the operation is one name: some clients do not encode the
/// slashes of ARNs and names.
fn with_one_model<'g>(
    given: &[&'g str],
    decoded: &[String],
) -> Option<(Vec<&'g str>, Vec<String>)> {
    let ([MODELS, _, _, .., operation], [models, name @ .., last]) = (given, decoded) else {
        return None;
    };
    let segments = vec![models.clone(), name.join("/"), last.clone()];
    Some((vec![MODELS, "", operation], segments))
}

fn fits(template: &str, given: &[&str]) -> bool {
    let mut given = given.iter();
    template
        .split('/')
        .skip(1)
        .all(|segment| given.next().is_some_and(|own| segment.starts_with('{') || segment == *own))
        && given.next().is_none()
}

/// Decodes one segment once; a text that another reader could interpret differently is refused.
fn decode(raw: &str) -> Result<String, PathError> {
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.as_bytes();
    loop {
        match rest {
            [] => break,
            [b'%', high, low, tail @ ..] => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16);
                let (Some(high), Some(low)) = (digit(high), digit(low)) else {
                    return Err(PathError::Malformed);
                };
                bytes.push(u8::try_from(high * 16 + low).map_err(|_| PathError::Malformed)?);
                rest = tail;
            }
            [b'%', ..] => return Err(PathError::Malformed),
            [byte, tail @ ..] => {
                bytes.push(*byte);
                rest = tail;
            }
        }
    }
    let text = String::from_utf8(bytes).map_err(|_| PathError::Malformed)?;
    let odd = |c: char| c.is_control() || matches!(c, '%' | '\\' | '?' | '#' | ';');
    let dots = text.split('/').any(|part| matches!(part, "." | ".." | ""));
    if dots || text.chars().any(odd) { Err(PathError::Malformed) } else { Ok(text) }
}

/// The path of an operation, without the mount.
pub(crate) fn below_mount(path: &str) -> &str {
    path.strip_prefix(MOUNT).filter(|below| below.starts_with('/')).unwrap_or(path)
}

/// Whether a path belongs to the native API, judged by the path alone.
pub(crate) fn is_below(path: &str) -> bool {
    let rest = path.strip_prefix(MOUNT);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) || path.starts_with("/model/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(method: &str, raw: &str) -> Result<String, PathError> {
        find(method, raw, &[]).map(|matched| matched.upstream(None))
    }

    #[test]
    fn raw_and_encoded_ids_give_the_same_upstream_path() {
        for raw in [
            "/model/a.b-v1:0/converse",
            "/model/a.b-v1%3A0/converse",
            "/model/a%2eb-v1%3a0/converse",
        ] {
            assert_eq!(sent("POST", raw).unwrap(), "/model/a.b-v1%3A0/converse");
        }
        for raw in ["/model/team/a/converse", "/model/team%2Fa/converse", "/model/team/a/converse/"]
        {
            assert_eq!(sent("POST", raw).unwrap(), "/model/team%2Fa/converse", "{raw}");
            assert_eq!(find("POST", raw, &[]).unwrap().model(), Some("team/a"));
        }
        let arn = "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A0%3Ainference-profile%2Fus.a/invoke";
        assert_eq!(sent("POST", arn).unwrap(), arn);
        assert_eq!(
            find("POST", arn, &[]).unwrap().model(),
            Some("arn:aws:bedrock:us-east-1:0:inference-profile/us.a")
        );
    }

    #[test]
    fn a_trailing_slash_follows_the_table() {
        assert_eq!(sent("POST", "/sessions").unwrap(), "/sessions/");
        assert_eq!(sent("POST", "/sessions/").unwrap(), "/sessions/");
        assert_eq!(sent("POST", "/retrieveAndGenerate/").unwrap(), "/retrieveAndGenerate");
        assert_eq!(sent("POST", "/rerank").unwrap(), "/rerank");
    }

    #[test]
    fn paths_outside_the_table_are_unknown() {
        for (method, raw) in [
            ("GET", "/model/x/converse"),
            ("POST", "/model/x"),
            ("POST", "/model/x/converse/y"),
            ("POST", "/model/x/delete"),
            ("DELETE", "/foundation-models/x"),
            ("POST", "/"),
            ("POST", "/model/a/b/delete"),
            ("GET", "/model/a/b/converse"),
        ] {
            assert_eq!(
                find(method, raw, &[]).unwrap_err(),
                if raw == "/" { PathError::Malformed } else { PathError::Unknown },
                "{method} {raw}"
            );
        }
    }

    #[test]
    fn tricky_paths_are_malformed() {
        for id in [
            "..",
            ".",
            "%2e%2e",
            "..%2F..%2Ffoundation-models",
            "a%2F..%2Fb",
            "a%00b",
            "a%0d%0ab",
            "a%5cb",
            "a\\b",
            "%252e%252e",
            "a%25b",
            "%",
            "%2",
            "%zz",
            "%c0%ae",
            "a;b",
            "%3fx",
            "%23",
            "",
            "a%2F%2Fb",
            "%2Fa",
            "a%2F",
            "a//b",
            "a/../b",
            "a/%2e%2e",
            "./a",
        ] {
            let raw = format!("/model/{id}/converse");
            assert_eq!(find("POST", &raw, &[]).unwrap_err(), PathError::Malformed, "{raw}");
        }
        assert_eq!(
            find("POST", &format!("/model/{}/converse", "a".repeat(9000)), &[]).unwrap_err(),
            PathError::Malformed
        );
    }

    #[test]
    fn services_are_added_by_name() {
        for (method, raw, service) in
            [("GET", "/flows", Service::Agent), ("DELETE", "/guardrails/x", Service::Control)]
        {
            assert_eq!(find(method, raw, &[]).unwrap_err(), PathError::Unknown);
            assert_eq!(find(method, raw, &[service]).unwrap().row.service, service);
        }
        let agent = |raw| find("POST", raw, &[Service::Agent]).unwrap().row.operation;
        assert_eq!(
            (agent("/agents/x"), agent("/agents/x/")),
            ("InvokeInlineAgent", "PrepareAgent")
        );
        let core = [Service::Agent, Service::AgentCore, Service::AgentCoreControl];
        let runtime = "arn%3Aaws%3Abedrock-agentcore%3Aus-east-1%3A1%3Aruntime%2Fx";
        let raw = format!("/runtimes/{runtime}/invocations");
        assert_eq!(find("POST", &raw, &[]).unwrap_err(), PathError::Unknown);
        let matched = find("POST", &raw, &core).unwrap();
        assert_eq!(matched.row.operation, "InvokeAgentRuntime");
        assert_eq!(matched.upstream(None), raw);
        for (tagged, service) in [
            (runtime, Service::AgentCoreControl),
            ("arn%3Aaws%3Abedrock%3Ax", Service::AgentRuntime),
        ] {
            let tags = find("GET", &format!("/tags/{tagged}"), &core).unwrap();
            assert_eq!(tags.row.service, service);
        }
        let mantle = find("POST", "/mantle/openai/v1/responses", &[Service::Mantle]).unwrap();
        assert_eq!(mantle.upstream(None), "/openai/v1/responses");
        let named = format!("{TARGET_PREFIX}InvokeDataAutomationAsync");
        assert_eq!(find_target(&named, &[]).unwrap_err(), PathError::Unknown);
        let matched = find_target(&named, &[Service::DataAutomationRuntime]).unwrap();
        assert_eq!((matched.row.method, &*matched.upstream(None)), ("POST", "/"));
        assert_eq!(find("POST", "/", &[Service::DataAutomationRuntime]), Err(PathError::Malformed));
        // A path that both services have belongs to the runtime.
        let tags = find("GET", "/tags/x", &[Service::Agent]).unwrap();
        assert_eq!(tags.row.service, Service::AgentRuntime);
    }
}
