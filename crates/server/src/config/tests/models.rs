//! Tests of names, targets and credentials, valid and wrong; each mistake has its line.

use translate::profile::PromptCache;

use super::super::*;
use super::Directory;
use bedrock::{AccountSecret, AccountSpec, Login};
use routing::catalogue::{CrossRegion, EolAliases, ProfileOverrides};
use routing::{Guardrail, GuardrailMode, TargetSettings, Unlisted, Weight};

fn load(directory: &Directory, yaml: &str) -> Config {
    Config::load(&directory.sources(yaml)).unwrap_or_else(|problems| panic!("{problems}"))
}

fn targets<'c>(config: &'c Config, name: &str) -> &'c [TargetSettings] {
    &config.models[name].targets
}

#[test]
fn a_name_has_an_id_a_mapping_or_a_list() {
    let directory = Directory::new("shapes");
    let yaml = r#"
cross_region: never
eol_aliases: remap
models_only: true
defaults: { region: eu-west-1, profile: work }
models:
  fast: nova-lite
  nova-pro: nova-pro
  one: { model: a.b, region: us-west-2, weight: 0.5, base_model: nova-pro, guardrail: { id: g, version: 1 } }
  many:
    - a.b
    - { model: c.d, access_key_id: AKID, secret_access_key: s, weight: 3 }
  guarded:
    guardrail: { id: g, version: DRAFT, mode: mandatory }
    targets: [a.b]
  "*": "*"
"#;
    let config = load(&directory, yaml);
    let naming = config.names().naming;
    assert_eq!((naming.cross_region, naming.eol_aliases), (CrossRegion::Never, EolAliases::Remap));
    assert_eq!(config.models_only, Unlisted::Refused);
    let work = Some(Login::Profile("work".to_owned()));
    let fast = &targets(&config, "fast")[0];
    assert_eq!((fast.model.as_str(), fast.weight), ("nova-lite", Weight(1000)));
    assert_eq!(fast.place.region.as_deref(), Some("eu-west-1"));
    assert_eq!(fast.place.login, work);
    let one = &targets(&config, "one")[0];
    assert_eq!((one.place.region.as_deref(), one.weight), (Some("us-west-2"), Weight(500)));
    assert_eq!(one.overrides.base_model.as_deref(), Some("nova-pro"));
    let many = targets(&config, "many");
    assert_eq!((many[0].model.as_str(), many[1].weight), ("a.b", Weight(3000)));
    let keys = Login::Keys {
        access_key_id: "AKID".to_owned(),
        secret_access_key: AccountSecret::new("s"),
        session_token: None,
    };
    assert_eq!((many[0].place.login.clone(), many[1].place.login.clone()), (work, Some(keys)));
    let guardrail =
        |version: &str, mode| Guardrail { id: "g".into(), version: version.into(), mode };
    let of = |name: &str| config.models[name].guardrail.clone();
    assert_eq!(of("one"), Some(guardrail("1", GuardrailMode::Default)));
    assert_eq!(of("guarded"), Some(guardrail("DRAFT", GuardrailMode::Mandatory)));
    assert_eq!((of("many"), config.models.len()), (None, 6));
}

#[test]
fn the_prompt_cache_is_set_at_the_root_and_per_target() {
    let directory = Directory::new("prompt-cache");
    let yaml = "prompt_cache: off\nmodels:\n  a: { model: b.c, prompt_cache: marks }\n  d: b.c\n";
    let config = load(&directory, yaml);
    assert_eq!(config.prompt_cache, PromptCache::Off);
    let wished = |name: &str| targets(&config, name)[0].overrides.accepts.clone();
    let mut marks = ProfileOverrides::default();
    marks.want(PromptCache::Marks);
    assert_eq!((wished("a"), wished("d")), (marks, ProfileOverrides::default()));
    let problems = Config::load(&directory.sources("prompt_cache: sometimes\n")).unwrap_err();
    assert!(problems.to_string().contains("\"sometimes\" is not auto, marks or off"), "{problems}");
}

#[test]
fn every_problem_of_models_has_its_line() {
    let directory = Directory::new("model-mistakes");
    let yaml = r#"cross_region: maybe
models:
  a: b
  b: c.d
  c: [ { weight: 2 } ]
  d: { model: x.y, regoin: us-east-1 }
  e: { model: x.y, region: nowhere }
  f: { model: x.y, profile: p, bearer_key: k }
  g: { model: x.y, access_key_id: AKID }
  h: { model: x.y, external_id: e }
  i: { model: x.y, role_arn: admin }
  j: { model: x.y, weight: -1 }
  k: { model: x.y, accepts: { tool_choice: all } }
  l: { model: x.y, accepts: { colour: red } }
  m: { model: x.y, endpoint_url: "bedrock" }
  n: { targets: x.y }
  o: [ { model: x.y, weight: 0 } ]
  p: anthropic.*
  "q*r*": x.y
  s: { model: x.y, guardrail: { id: g } }
  t: { model: x.y, role_arn: "arn:aws:iam::1:role/r", bearer_key: k }
  u: { model: x.y, bearer_key: os.environ/NOT_SET }
  v: { model: x.y, bearer_key_file: /nonexistent/key }
  w: { model: x.y, bearer_key: k, bearer_key_file: /nonexistent/key }
  x: null
  y: [ [z] ]
"#;
    let problems = Config::load(&directory.sources(yaml)).unwrap_err();
    let text = problems.to_string();
    for expected in [
        ":1: cross_region: \"maybe\" is not always, auto or never",
        ":3: models.a stands for b, which is a name of yours too; name the model itself",
        ":5: models.c[0].model is missing",
        ":6: models.d.regoin is not a key; did you mean models.d.region?",
        ":7: models.e.region: \"nowhere\" is not a region",
        ":8: models.f tells credentials in more than one way",
        ":9: models.g.access_key_id without its other half",
        ":10: models.h.role_arn is missing",
        ":11: models.i.role_arn: \"admin\" is not a role",
        ":12: models.j.weight: -1 is not a number from 0",
        ":13: models.k.accepts.tool_choice: unknown variant `all`",
        ":14: models.l.accepts.colour: unknown field `colour`",
        ":15: models.m.endpoint_url: \"bedrock\" is not a URL",
        ":16: models.n.targets is no list",
        ":17: models.o has no target with a weight",
        ":18: models.p stands for anthropic.*, and has no * to put there",
        ":19: models.q*r* is an empty name, or one with more than one *",
        ":20: models.s.guardrail needs an id and a version",
        ":21: models.t.role_arn with models.t.bearer_key",
        ":22: models.u.bearer_key is to come from NOT_SET, which is not set; set NOT_SET",
        ":23: models.v.bearer_key_file: /nonexistent/key cannot be read",
        ":24: models.w.bearer_key_file and models.w.bearer_key say the same thing twice",
        ":25: models.x is empty",
        ":26: models.y[0]: a list is not",
    ] {
        assert!(text.contains(expected), "{expected:?} in {text}");
    }
    assert_eq!(problems.iter().count(), 24, "{text}");
    let lines: Vec<u64> = problems.iter().map(|one| one.place.as_ref().unwrap().1).collect();
    assert!(lines.is_sorted(), "{lines:?}");
}

#[test]
fn values_come_from_the_environment_and_from_files() {
    let directory = Directory::new("elsewhere");
    let key = directory.write("key", "from-a-file\n");
    let named = directory.write("named", "named-by-a-variable");
    let yaml = format!(
        "workers: os.environ/WORKERS\nlisten: os.environ/WHERE\nallow_anonymous: os.environ/OPEN\n\
         models:\n  a: {{ model: os.environ/MODEL, bearer_key_file: {} }}\n  \
         b: {{ model: x.y, bearer_key: os.environ/KEY, accepts: {{ leading_assistant: os.environ/OPEN }} }}\n",
        key.display()
    );
    let mut sources = directory.sources(&yaml);
    for (name, value) in [
        ("WORKERS", "3"),
        ("WHERE", "127.0.0.1:9"),
        ("OPEN", "true"),
        ("MODEL", "nova-lite"),
        ("KEY_FILE", named.to_str().unwrap()),
    ] {
        sources.environment.insert(name.to_owned(), value.to_owned());
    }
    let config = Config::load(&sources).unwrap();
    let provenance = &config.provenance;
    assert_eq!((config.workers, config.allow_anonymous), (Some(3), true));
    assert_eq!(config.listen.port(), 9);
    let bearer = |name| targets(&config, name)[0].place.login.clone();
    let secret = |text| Some(Login::Bearer(AccountSecret::new(text)));
    assert_eq!(targets(&config, "a")[0].model, "nova-lite");
    assert_eq!(bearer("a"), secret("from-a-file"));
    assert_eq!(bearer("b"), secret("named-by-a-variable"));
    assert_eq!(config.read_files, [key, named]);
    let told = |key: &str| {
        let one = provenance.iter().find(|told| told.key == key).unwrap();
        format!("{} from {}", one.value, one.origin)
    };
    assert_eq!(told("workers"), "3 from environment WORKERS");
    assert_eq!(told("models.b.bearer_key"), "[secret] from environment KEY_FILE");
    assert!(told("models.a.bearer_key_file").ends_with("outcrop.yaml:5"));
    assert_eq!(told("models.b.accepts.leading_assistant"), "true from environment OPEN");
    assert_eq!(told("timeouts.connect"), "3 from default");
    let all = format!("{provenance:?}{config:?}");
    assert!(!all.contains("from-a-file") && !all.contains("named-by-a-variable"));
}

#[test]
fn a_role_is_read_with_all_its_keys() {
    let directory = Directory::new("role");
    let yaml = "models:\n  a:\n    model: x.y\n    role_arn: arn:aws:iam::123456789012:role/r\n    \
                external_id: e\n    session_name: s\n    session_tags: { team: search, cost: '12' }\n";
    let config = load(&directory, yaml);
    let role = targets(&config, "a")[0].place.role.clone().unwrap();
    assert_eq!(role.arn, "arn:aws:iam::123456789012:role/r");
    assert_eq!((role.external_id.as_deref(), role.session_name.as_deref()), (Some("e"), Some("s")));
    let tags = [("team", "search"), ("cost", "12")];
    assert_eq!(role.tags, tags.map(|(key, value)| (key.to_owned(), value.to_owned())));
}

#[test]
fn the_demo_drops_endpoints_and_credentials() {
    let directory = Directory::new("demo");
    let yaml = "models:\n  a: { model: x.y, region: eu-west-1, endpoint_url: 'https://h', bearer_key: k }\n";
    let sources = Sources { demo: true, ..directory.sources(yaml) };
    let config = Config::load(&sources).unwrap();
    assert_eq!(targets(&config, "a")[0].place, AccountSpec::in_region("eu-west-1"));
}

#[test]
fn an_arn_without_a_region_is_called_in_its_own() {
    const ARN: &str = "arn:aws:bedrock:eu-central-1:1:application-inference-profile/abc";
    let directory = Directory::new("models-arn");
    let yaml = format!(
        "defaults: {{ region: us-east-1 }}\nmodels:\n  own: \"{ARN}\"\n  told: {{ model: \"{ARN}\", region: us-west-2 }}\n"
    );
    let config = Config::load(&directory.sources(&yaml)).unwrap();
    let region = |name: &str| config.models[name].targets[0].place.region.as_deref();
    assert_eq!((region("own"), region("told")), (Some("eu-central-1"), Some("us-west-2")));
}
