//! Variables that are set to an empty value. `${NAME:-}` in a compose file passes an optional variable
//! on as a blank one, which boto3 treats as unset. AWS's SDK for Rust treats some as values and panics
//! on others. It reads the process's environment, so the process restarts itself without them.

use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// Prefixes of variables that AWS's SDKs and the gateway read.
const FAMILIES: [&str; 2] = ["AWS_", "OUTCROP_"];

/// Replaces the process by one without blank variables, if there are any. Returns if there are none, or
/// if the process cannot be replaced.
pub fn drop_blank_variables() {
    let blank = blank(env::vars_os());
    let (Some(name), false, Ok(program)) =
        (env::args_os().next(), blank.is_empty(), env::current_exe())
    else {
        return;
    };
    let mut command = Command::new(program);
    command.arg0(name).args(env::args_os().skip(1));
    for name in &blank {
        command.env_remove(name);
    }
    // `exec` returns only on failure; the variables then stay as they are.
    let error = command.exec();
    super::complain(&format!("outcrop: blank variables could not be dropped: {error}"));
}

fn blank(variables: impl Iterator<Item = (OsString, OsString)>) -> Vec<OsString> {
    let is_family = |name: &OsStr| {
        name.to_str().is_some_and(|name| FAMILIES.iter().any(|family| name.starts_with(family)))
    };
    variables
        .filter(|(name, value)| {
            is_family(name) && value.to_str().is_some_and(|text| text.trim().is_empty())
        })
        .map(|(name, _)| name)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_blank_variables_of_the_two_families_are_dropped() {
        let variables = [
            ("AWS_ENDPOINT_URL", ""),
            ("AWS_REGION", "us-east-1"),
            ("AWS_RETRY_MODE", "  "),
            ("OUTCROP_CONFIG", ""),
            ("HOME", ""),
        ];
        let variables =
            variables.map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let blank = blank(variables.into_iter());
        assert_eq!(blank, ["AWS_ENDPOINT_URL", "AWS_RETRY_MODE", "OUTCROP_CONFIG"]);
    }
}
