//! Tests of where a master key is read from, and of errors, which refuse all callers instead of
//! admitting them.

const LONG: &str = "sk-0123456789abcdef0123456789abcdef";

use super::super::*;
use super::Directory;

fn key(text: &str) -> Option<MasterKey> {
    Some(MasterKey::Key(AccountSecret::new(text)))
}

fn missing() -> Option<MasterKey> {
    Some(MasterKey::Missing(String::new()))
}

fn load(yaml: &str, variables: &[(&str, &str)]) -> Result<Config, Problems> {
    let directory = Directory::new("master-key");
    let mut sources = directory.sources(yaml);
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    sources.environment.extend(variables);
    Config::load(&sources)
}

#[test]
fn a_key_comes_from_the_files_or_from_the_environment() {
    const LITELLM: &str = "general_settings: { master_key: os.environ/MK }\n";
    let variable = ("LITELLM_MASTER_KEY", "sk-e");
    for (yaml, variables, expected) in [
        ("", &[][..], None),
        ("", &[variable], key("sk-e")),
        ("", &[("LITELLM_MASTER_KEY", " ")], None),
        ("master_key: sk-1\n", &[variable], key("sk-1")),
        ("master_key: null\n", &[], None),
        ("master_key: os.environ/MK\n", &[("MK", "sk-2")], key("sk-2")),
        ("general_settings: { master_key: sk-3 }\n", &[variable], key("sk-3")),
        (LITELLM, &[("MK", "sk-4")], key("sk-4")),
        (LITELLM, &[], missing()),
        (LITELLM, &[("MK", "")], missing()),
        (LITELLM, &[variable], key("sk-e")),
        ("general_settings: { master_key: '' }\n", &[], missing()),
        ("general_settings: { master_key: null }\n", &[], None),
        ("model_list: []\noutcrop: { master_key: sk-5 }\n", &[], key("sk-5")),
    ] {
        let config = load(yaml, variables).unwrap_or_else(|problems| panic!("{yaml}: {problems}"));
        let found = config.master_key.map(|key| match key {
            MasterKey::Missing(_) => MasterKey::Missing(String::new()),
            found @ MasterKey::Key(_) => found,
        });
        assert_eq!(found, expected, "{yaml} {variables:?}");
        let is_told = config.notes.iter().any(|note| note.contains("every call is refused"));
        assert_eq!(is_told, expected == missing(), "{:?}", config.notes);
    }
}

#[test]
fn an_unusable_key_is_a_problem_and_is_not_shown() {
    for (yaml, expected) in [
        ("master_key: os.environ/UNSET\n", "UNSET, which is not set"),
        ("master_key: 123456\n", "master_key"),
        ("master_key: 'canary key'\n", "master_key cannot be sent in a header"),
        ("general_settings: { master_key: canäry }\n", "cannot be sent in a header"),
        ("general_settings: { master_key: [canary] }\n", "general_settings.master_key"),
        ("general_settings: { master_key: 123456 }\n", "general_settings.master_key"),
        (
            "general_settings: { master_key: canary }\noutcrop: { master_key: canary }\n",
            "say the same thing twice",
        ),
    ] {
        let text = load(yaml, &[]).unwrap_err().to_string();
        assert!(text.contains(expected), "{yaml}: {text}");
        assert!(!text.contains("canary") && !text.contains("123456"), "{text}");
    }
}

#[test]
fn a_key_lets_the_gateway_listen_beyond_loopback() {
    let text = load("listen: 0.0.0.0:1\n", &[]).unwrap_err().to_string();
    assert!(text.contains("can be reached from outside") && text.contains("master_key"), "{text}");
    let weak = load("listen: 0.0.0.0:1\nmaster_key: sk-1\n", &[]).unwrap_err().to_string();
    assert!(weak.contains("less than 32 characters"), "{weak}");
    load(&format!("listen: 0.0.0.0:1\nmaster_key: {LONG}\n"), &[]).unwrap();
    let mut config = load("listen: 127.0.0.1:1\n", &[]).unwrap();
    let before = load("listen: 0.0.0.0:1\n", &[("LITELLM_MASTER_KEY", LONG)]).unwrap();
    config.keep_fixed(&before);
    assert!(config.exposure().is_some(), "the address stays and the key is gone");
}
