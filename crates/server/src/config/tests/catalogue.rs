//! Tests of operator rows: valid rows reach the catalogue, and wrong rows are reported with their
//! lines.

use super::super::*;
use super::Directory;
use translate::Profile;

use routing::catalogue::{Catalogue, ModelOverrides, Naming};

const ROWS: &str = r#"
catalogue:
  who.knows*:
    like: anthropic.claude-sonnet-5
    prefixes: [us]
    profile_only: true
    context: 1000
    profile: { tool_choice: auto, least_max_tokens: os.environ/LEAST }
    prices: { input: 1, output: 2.5, geo: { input: 1.1 } }
  amazon.nova-lite-v1:0: { profile: { leading_assistant: true } }
  arn:aws:bedrock:us-east-1:1:imported-model/x: { like: "mistral.*" }
"#;

#[test]
fn operator_rows_change_models() {
    use translate::profile::{BesideToolResult, NoTool, ToolChoices};
    let directory = Directory::new("rows");
    let mut sources = directory.sources(ROWS);
    sources.environment.insert("LEAST".to_owned(), "7".to_owned());
    let config = Config::load(&sources).unwrap();
    let catalogue = Catalogue::new(config.names().naming, "us-east-1");
    let profile = |name: &str| catalogue.resolve(name, &ModelOverrides::default()).profile;
    let tomorrow = profile("who.knows-1");
    assert_eq!((tomorrow.tool_choice, tomorrow.least_max_tokens), (ToolChoices::Auto, 7));
    assert_eq!(tomorrow.no_tool, NoTool::ChoiceField, "as the row it is like");
    let nova = profile("nova-lite");
    let known = Catalogue::new(Naming::default(), "us-east-1")
        .resolve("nova-lite", &ModelOverrides::default());
    assert!(nova.leading_assistant && !known.profile.leading_assistant);
    assert_eq!(
        Profile { leading_assistant: false, ..Profile::clone(&nova) },
        *known.profile,
        "the rest stays"
    );
    let imported = profile("arn:aws:bedrock:us-east-1:1:imported-model/x");
    assert_eq!(imported.beside_tool_result, BesideToolResult::Nothing);
}

#[test]
fn rows_are_shown_with_their_source() {
    let directory = Directory::new("rows-shown");
    let mut sources = directory.sources(ROWS);
    sources.environment.insert("LEAST".to_owned(), "7".to_owned());
    let provenance = Config::load(&sources).unwrap().provenance;
    let told = |key: &str| {
        let told =
            provenance.iter().find(|told| told.key == key).unwrap_or_else(|| panic!("{key}"));
        (told.value.clone(), told.origin.to_string())
    };
    let (value, origin) = told("catalogue.who.knows*.profile.least_max_tokens");
    assert_eq!((value.as_str(), origin.as_str()), ("7", "environment LEAST"));
    let (value, origin) = told("catalogue.who.knows*.prices");
    assert_eq!(value, "{ geo: { input: 1.1 }, input: 1, output: 2.5 }");
    assert!(origin.ends_with(":9"), "{origin}");
}

#[test]
fn equal_rows_give_equal_settings() {
    let directory = Directory::new("rows-same");
    let load = |yaml: &str| Config::load(&directory.sources(yaml)).unwrap().names().naming;
    let one = "catalogue: { a.b: { context: 1 } }\n";
    assert_eq!(load(one), load("catalogue:\n  a.b:\n    context: 1\n"));
    assert_ne!(load(one), load("catalogue: { a.b: { context: 2 } }\n"));
    assert_ne!(load(one), load(""));
}

#[test]
fn every_problem_of_a_row_has_its_line() {
    let directory = Directory::new("row-mistakes");
    let yaml = r#"catalogue:
  "": {}
  a*b: {}
  us.who.knows: {}
  a.b:
    contxt: 1
    context: many
    like: 1
    profile:
      tool_chioce: auto
      sampling: boht
    prices: { inptu: 1 }
    eol: soon
  a.c: 1
"#;
    let problems = Config::load(&directory.sources(yaml)).unwrap_err();
    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let expected = [
        (2, "is no id", "name a model"),
        (3, "is no id", "name a model"),
        (4, "begins with a region's prefix", "name a model"),
        (6, "a.b.contxt: unknown field", "did you mean context?"),
        (7, "a.b.context: invalid type", ""),
        (8, "a.b.like: like must be", ""),
        (10, "profile.tool_chioce: unknown field", "did you mean tool_choice?"),
        (11, "profile.sampling: unknown variant", "did you mean both?"),
        (12, "a.b.prices: unknown field", "did you mean input?"),
        (13, "a.b.eol:", ""),
        (14, "a.c is a section", ""),
    ];
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for ((line, message, remedy), told) in expected.into_iter().zip(&told) {
        assert!(told.contains(&format!(":{line}: ")), "{line}: {told}");
        assert!(told.contains(message) && told.contains(remedy), "{message}: {told}");
    }
    for (yaml, message) in [
        ("catalogue: { a.b: { like: no.such } }\n", ":1: catalogue.a.b: there is no row no.such"),
        (
            "catalogue:\n  a.b: { like: a.c }\n  a.c: { like: a.b }\n",
            ":2: catalogue.a.b: like leads nowhere",
        ),
    ] {
        let text = Config::load(&directory.sources(yaml)).unwrap_err().to_string();
        assert!(text.contains(message), "{text}");
    }
}
