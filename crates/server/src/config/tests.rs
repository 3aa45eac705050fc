//! Tests of configurations read from files.

use std::path::Path;

use super::*;

mod accounts;
mod balance;
mod catalogue;
mod litellm;
mod litellm_accounts;
mod litellm_entries;
mod master_key;
mod models;
mod paths;
mod reasoning_store;
mod redis;
mod response_cache;
mod schema;
mod socket;

struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("outcrop-config-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn sources(&self, yaml: &str) -> Sources {
        let file = Some(self.write("outcrop.yaml", yaml));
        Sources { file, directory: self.0.clone(), ..Sources::default() }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn the_example_is_valid_and_shows_the_defaults() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/outcrop.example.yaml");
    let directory = Directory::new("example");
    let sources =
        Sources { file: Some(example), directory: directory.0.clone(), ..Sources::default() };
    let from_example = Config::load(&sources).unwrap();
    let sources = Sources { directory: directory.0.clone(), ..Sources::default() };
    let defaults = Config::load(&sources).unwrap();
    assert_eq!(format!("{from_example:?}"), format!("{defaults:?}"));
}

#[test]
fn all_problems_are_reported_together_with_their_lines() {
    let directory = Directory::new("problems");
    let yaml = "listen: nowhere\ntimeouts:\n  connect: -1\n  total: 5\nlisen: 1\nbody: 3\nregion: no\nworkers: 0\n";
    let problems = Config::load(&directory.sources(yaml)).unwrap_err();
    let lines: Vec<u64> = problems.iter().map(|one| one.place.as_ref().unwrap().1).collect();
    let text = problems.to_string();
    for expected in [
        "listen: \"nowhere\" is not an address",
        "timeouts.connect: -1 is not a number of seconds above 0",
        "lisen is not a key; did you mean listen?",
        "body is a section, and holds a number",
        "region: false is not a region",
        "workers: 0 is not a whole number from 1 to 1024",
    ] {
        assert!(text.contains(expected), "{expected:?} in {text}");
    }
    assert_eq!(lines.len(), 6);
    for line in [1, 3, 5, 6, 7, 8] {
        assert!(lines.contains(&line), "line {line} in {lines:?}");
    }
}

#[test]
fn broken_yaml_and_duplicate_keys_name_their_line() {
    let directory = Directory::new("broken");
    for yaml in ["listen: [", "region: us-east-1\nregion: us-east-2\n"] {
        let problems = Config::load(&directory.sources(yaml)).unwrap_err();
        assert_eq!(problems.iter().count(), 1, "{problems}");
        assert!(problems.iter().next().unwrap().place.as_ref().unwrap().1 > 0, "{problems}");
    }
}

#[test]
fn environment_overrides_file_overrides_bedrock_json() {
    let directory = Directory::new("precedence");
    directory.write("bedrock.json", r#"{"profile": "local", "region": "eu-west-3"}"#);
    let mut sources = directory.sources("region: eu-west-1\n");
    let config = Config::load(&sources).unwrap();
    assert_eq!(config.region.as_deref(), Some("eu-west-1"));
    assert_eq!(config.profile.as_deref(), Some("local"));
    sources.environment.insert("AWS_REGION_NAME".to_owned(), "us-east-2".to_owned());
    sources.environment.insert("AWS_PROFILE".to_owned(), "work".to_owned());
    let config = Config::load(&sources).unwrap();
    // aws-config reads the environment's values itself.
    assert_eq!((config.region, config.profile), (None, None));
}

#[test]
fn ignored_keys_of_bedrock_json_are_listed() {
    let directory = Directory::new("local");
    let text = "\u{feff}{\"profile\": \"p\",\n\"regoin\": \"x\"}";
    directory.write("bedrock.json", text);
    let mut sources = directory.sources("");
    let config = Config::load(&sources).unwrap();
    assert_eq!(config.profile.as_deref(), Some("p"));
    assert!(
        config.notes.join("\n").contains("bedrock.json: not read: regoin"),
        "{:?}",
        config.notes
    );
    assert_eq!(config.account.login, None, "the SDK looks into the profile");
    sources.environment.insert("AWS_ACCESS_KEY_ID".to_owned(), "AKID".to_owned());
    let config = Config::load(&sources).unwrap();
    assert_eq!(config.account.login, Some(Login::Profile("p".to_owned())));
    assert!(
        config.notes.join("\n").contains("comes before AWS_ACCESS_KEY_ID"),
        "{:?}",
        config.notes
    );
    directory.write("bedrock.json", "{\"profile\":\n\"p\" \"q\"}");
    let problems = Config::load(&directory.sources("")).unwrap_err();
    assert!(problems.to_string().contains("bedrock.json:2"), "{problems}");
}

#[test]
fn keys_of_bedrock_json_yield_to_the_environments() {
    let directory = Directory::new("local-keys");
    let text = r#"{"region": "us-west-2", "aws_access_key_id": "A", "aws_secret_access_key": "S"}"#;
    directory.write("bedrock.json", text);
    let mut sources = directory.sources("");
    let account = Config::load(&sources).unwrap().account;
    assert!(matches!(account.login, Some(Login::Keys { .. })), "{account:?}");
    sources.environment.insert("AWS_ACCESS_KEY_ID".to_owned(), "AKID".to_owned());
    let config = Config::load(&sources).unwrap();
    assert_eq!(config.account.login, None);
    assert!(config.notes.join("\n").contains("comes before its keys"), "{:?}", config.notes);
}

#[test]
fn listening_beyond_loopback_needs_permission_or_a_key() {
    let directory = Directory::new("anonymous");
    let mut sources = directory.sources("listen: 0.0.0.0:4000\n");
    assert!(Config::load(&sources).unwrap_err().to_string().contains("--allow-anonymous"));
    sources.allow_anonymous = true;
    assert_eq!(Config::load(&sources).unwrap().shutdown.delay, Duration::from_secs(5));
}

#[test]
fn a_missing_file_is_a_problem() {
    let sources = Sources { file: Some(PathBuf::from("/nonexistent.yaml")), ..Sources::default() };
    assert!(Config::load(&sources).unwrap_err().to_string().contains("/nonexistent.yaml"));
}
