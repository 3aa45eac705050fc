//! Tests of the address of the Redis for rate limits: its sources and their precedence, its parts, and that it is
//! never shown.

use bedrock::AccountSecret;

use super::super::*;
use super::Directory;

fn load(yaml: &str, variables: &[(&str, &str)]) -> Result<Config, Problems> {
    let directory = Directory::new("redis");
    let mut sources = directory.sources(yaml);
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    sources.environment.extend(variables);
    Config::load(&sources)
}

#[test]
fn the_address_comes_from_the_environment_or_from_the_files() {
    const OURS: &str = "access: { redis_url: 'redis://file' }\n";
    const LITELLM: &str =
        "router_settings: { redis_host: r, redis_port: '6380', redis_password: 'p@ss' }\n";
    for (yaml, variables, expected) in [
        ("", &[][..], None),
        (OURS, &[], Some("redis://file")),
        (OURS, &[("REDIS_URL", " rediss://u:p@env/2 ")], Some("rediss://u:p@env/2")),
        ("", &[("REDIS_URL", " ")], None),
        ("", &[("REDIS_HOST", "h")], Some("redis://h:6379/0")),
        ("", &[("REDIS_PORT", "7000")], None),
        ("", &[("REDIS_URL", "redis://u"), ("REDIS_HOST", "h")], Some("redis://u")),
        (
            "",
            &[("REDIS_HOST", "::1"), ("REDIS_PORT", "7000"), ("REDIS_PASSWORD", "a/b:c@d")],
            Some("redis://:a%2Fb%3Ac%40d@[::1]:7000/0"),
        ),
        (
            "",
            &[
                ("REDIS_HOST", "h"),
                ("REDIS_USERNAME", "u"),
                ("REDIS_SSL", "True"),
                ("REDIS_DB", "3"),
            ],
            Some("rediss://u:@h:6379/3"),
        ),
        // A Service called redis, as Kubernetes announces it.
        (
            "",
            &[("REDIS_HOST", "h"), ("REDIS_PORT", "tcp://10.0.0.1:6379")],
            Some("redis://h:6379/0"),
        ),
        (LITELLM, &[], Some("redis://:p%40ss@r:6380/0")),
        (LITELLM, &[("REDIS_HOST", "h")], Some("redis://h:6379/0")),
        ("router_settings: { redis_url: 'redis://l', redis_host: r }\n", &[], Some("redis://l")),
        ("router_settings: { redis_host: os.environ/UNSET }\n", &[], None),
        ("router_settings: { redis_url: 'http://no' }\n", &[], None),
        (
            "router_settings: { redis_host: r }\noutcrop: { access: { redis_url: 'redis://o' } }\n",
            &[],
            Some("redis://o"),
        ),
    ] {
        let config = load(yaml, variables).unwrap_or_else(|problems| panic!("{yaml}: {problems}"));
        let found = config.access.redis_url.as_ref().map(AccountSecret::reveal);
        assert_eq!(found, expected, "{yaml} {variables:?}");
        let told = config.provenance.iter().find(|told| told.key == "access.redis_url");
        assert_eq!(told.is_some(), expected.is_some());
        let shown = format!("{:?} {:?}", config.access, told.map(|told| &told.value));
        assert!(!shown.contains("redis:/") && !shown.contains("p%40ss"), "{shown}");
    }
}

#[test]
fn the_address_may_stand_in_a_file_of_its_own() {
    let directory = Directory::new("redis-file");
    let path = directory.write("url", "redis://:secret@h\n").display().to_string();
    let config = load(&format!("access: {{ redis_url_file: '{path}' }}\n"), &[]).unwrap();
    assert_eq!(config.access.redis_url.unwrap().reveal(), "redis://:secret@h");
    let config = load("", &[("REDIS_URL_FILE", &path)]).unwrap();
    assert_eq!(config.access.redis_url.unwrap().reveal(), "redis://:secret@h");
}

#[test]
fn wrong_values_are_reported_and_addresses_are_not_shown() {
    const WITH: &str = "master_key: sk-1\n";
    for (yaml, variables, expected) in [
        (
            "access: { redis_url: 'canary://h' }\n",
            &[][..],
            "access.redis_url is no address of a Redis",
        ),
        (WITH, &[("REDIS_URL", "canary")], "REDIS_URL is no address of a Redis"),
        ("", &[("REDIS_URL_FILE", "/no/such/file")], "REDIS_URL_FILE: /no/such/file"),
        ("access: { redis_timeout: 0 }\n", &[], "access.redis_timeout"),
        ("access: { redis_timeout: 11 }\n", &[], "access.redis_timeout"),
    ] {
        let text = load(yaml, variables).unwrap_err().to_string();
        assert!(text.contains(expected) && !text.contains("canary"), "{yaml}: {text}");
    }
    // Without accounts the variable is another program's.
    load("", &[("REDIS_URL", "redis-sentinel://h")]).unwrap();
    let timeout = load("access: { redis_timeout: 0.25 }\n", &[]).unwrap().access.redis_timeout;
    assert_eq!(timeout, Duration::from_millis(250));
}
